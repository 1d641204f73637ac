"""The ``README.txt`` of a run directory: what it is, and how its model is loaded and used."""

from collections.abc import Sequence

from cxr_runner.base.markdown import printable

_TEXT = """\
A model that cxr_runner trained: {model}. It maps an X-ray, stretched to {size}x{size} pixels, to a logit; above 0 it
says {positive}, else {negative}. Not for clinical use. In Python, in this directory:

import cxr_runner
model = cxr_runner.load({load}
print(model.predict(["image.png"]))  # name, logit, probability, decision
logits = model.module(model.preprocess(["image.png"]))  # a torch.nn.Module, and its input
print(model.class_names, model.threshold)

The same from a shell, also against labelled images of another hospital: cxr-model --help
"""


def readme_text(model: str, image_size: int, class_names: Sequence[str], target: str = "") -> str:
    """Return the text.

    Args:
        model: the model in a few words.
        image_size: side of the images, in pixels.
        class_names: names of the negative and the positive class.
        target: class that has to be found and trusted to load the model, ``package.module:Class``; '' for none.
    """
    negative, positive = map(printable, class_names)
    load = f'".", trust=True)  # where {target} can be imported; runs its code' if target else '".")'
    return _TEXT.format(model=model, size=image_size, negative=negative, positive=positive, load=load)

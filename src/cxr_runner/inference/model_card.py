"""The card of a model that is handed on: what it is, how it did on its own test images, what it is not for."""

from cxr_runner.artifacts.evaluation_file import METRIC_WORDS, with_ends
from cxr_runner.base.markdown import markdown_list, markdown_table, markdown_text
from cxr_runner.base.numbers import plural
from cxr_runner.inference.loaded_model import LoadedModel
from cxr_runner.inference.side_metrics import Side
from cxr_runner.models.build import describe_model

_USE = """\
import cxr_runner
model = cxr_runner.load(".")  # in this folder
print(model.predict(["image.png"]))  # name, logit, probability, decision
logits = model.module(model.preprocess(["image.png"]))
"""


def model_card(model: LoadedModel) -> str:
    """Return the card in Markdown; it names no image and no patient."""
    negative, positive = map(markdown_text, model.class_names)
    trained_on = model.parts.trained_on
    described = sorted({describe_model(member.config, member.network) for member in model.members})
    images = model.parts.held_out("test")
    facts = [
        f"{plural(len(model.members), 'network')}: {'; '.join(described)}",
        f"Input: X-rays, grey, stretched to {model.image_size}x{model.image_size} pixels, from 0, black, to 1, white",
        f"Decision: {positive} above a logit of {model.threshold:.6g}, else {negative}; threshold {model.point.rule}, "
        f"calibration {model.point.calibration}",
        f"Trained on: {trained_on['title']}" + (f". {trained_on['citation']}" if trained_on["citation"] else ""),
        f"Tested on {len(images):,} images of the same place, each judged by networks that have not seen it",
    ]
    parts = [
        "---\nlibrary_name: cxr_runner\npipeline_tag: image-classification\n---",
        f"# {positive} or {negative} on chest X-rays",
        "**Not for clinical use.** How it does elsewhere is not known before it is tried there: `cxr-model evaluate`.",
        markdown_list(facts),
        "## On its own test images",
        _metrics(model),
        "In brackets 95 %, by resampling patients, images where these are not known.",
        "## Use",
        f"```python\n{_USE}```",
        "`cxr-model predict . -- IMAGES`; against labelled images, `cxr-model evaluate . data=folder data.root=DIR`.",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _metrics(model: LoadedModel) -> str:
    side = Side(model.parts.held_out("test"), model.point, seed=1)
    measured = side.whatever_the_threshold() | side.at(model.threshold)
    rows = [[METRIC_WORDS[name], with_ends(*one.interval)] for name, one in measured.items()]
    return markdown_table(["metric", "inside"], rows, [False, True])

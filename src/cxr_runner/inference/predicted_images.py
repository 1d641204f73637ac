"""What a model says of images, a row each, with how these compare with its training images."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cxr_runner.inference.image_input import Prepared
from cxr_runner.inference.loaded_model import LoadedModel
from cxr_runner.inference.training_images import TrainingImages


def predict_images(
    model: LoadedModel, chunks: Iterable[Sequence[Prepared]], training: TrainingImages | None
) -> pd.DataFrame:
    """Predict images; those that cannot be read stand behind the others.

    Args:
        model: the model.
        chunks: the images, some at a time, prepared for this model.
        training: its training images; None where they are not known.

    Returns:
        One row an image: what :meth:`~cxr_runner.inference.loaded_model.LoadedModel.predict` returns; ``overlap`` and
        ``unlike`` of :meth:`~cxr_runner.inference.training_images.TrainingImages.compare`, where they are known;
        ``error``, why an image cannot be read, and then nothing else.
    """
    parts, bad = [], []
    for chunk in chunks:
        bad += [{"name": one.name, "error": one.error} for one in chunk if one.error]
        if good := [one for one in chunk if not one.error]:
            logits = model.member_logits(np.stack([one.square for one in good]))
            answers = model.answers([one.name for one in good], logits)
            compared = [training.compare(good)] if training else []
            parts.append(pd.concat([answers, *compared], axis=1).assign(error=""))
    return pd.concat([*parts, pd.DataFrame(bad, columns=["name", "error"])], ignore_index=True)

"""Numbers that claims look at on the test images, each with what every patient adds to it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.report.compare.claims.run_numbers import Decisions
from cxr_runner.stats.roc_areas import auroc_parts


class ImageNumber(NamedTuple):
    """One number of one run, and float [patients], what each of them adds to it as a part of that number."""

    value: float
    images: NDArray[np.float64]


def _accuracy(decisions: Decisions) -> ImageNumber:
    return _share(decisions.called == decisions.labels, np.ones(len(decisions.labels), bool), decisions)


def _recall(decisions: Decisions) -> ImageNumber:
    return _share(decisions.called, decisions.labels, decisions)


def _specificity(decisions: Decisions) -> ImageNumber:
    return _share(~decisions.called, ~decisions.labels, decisions)


def _share(correct: NDArray[np.bool_], among: NDArray[np.bool_], decisions: Decisions) -> ImageNumber:
    """Return the share of some images that are correct."""
    share = float(correct[among].mean())
    return _by_patient(share, np.where(among, correct - share, 0.0) / among.mean(), decisions)


def _f1(decisions: Decisions) -> ImageNumber:
    """Return F1, a ratio of two means over images, and its linear term in each image (the delta method)."""
    above = 2.0 * (decisions.called & decisions.labels)
    below = decisions.called.astype(np.float64) + decisions.labels
    score = above.mean() / below.mean() if below.any() else 0.0
    images = (above - score * below) / below.mean() if below.any() else np.zeros(len(below))
    return _by_patient(float(score), images, decisions)


def _auroc(decisions: Decisions) -> ImageNumber:
    """Return the AUROC and its linear term in each image, by the components of DeLong, DeLong and Clarke-Pearson."""
    labels = decisions.labels
    parts = auroc_parts(decisions.logits, labels.astype(np.int64))
    images = np.empty(len(labels))
    images[labels] = (parts.of_positives - parts.area) / labels.mean()
    images[~labels] = (parts.of_negatives - parts.area) / (~labels).mean()
    return _by_patient(parts.area, images, decisions)


IMAGE_NUMBERS: Mapping[str, Callable[[Decisions], ImageNumber]] = {
    "accuracy": _accuracy,
    "recall": _recall,
    "specificity": _specificity,
    "f1": _f1,
    "auroc": _auroc,
}
"""By the id of a definition, what is computed from decisions on the test images."""


def _by_patient(value: float, images: NDArray[np.float64], decisions: Decisions) -> ImageNumber:
    return ImageNumber(value, np.bincount(decisions.groups, images) / len(images))

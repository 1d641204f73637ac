"""Test metrics of a baseline, with intervals for how few the test images are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.intervals import bootstrap, wilson
from cxr_runner.stats.scores import auroc, f1, sensitivity

Ends = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """Metrics of one test split; an image counts as positive when its logit is above 0.

    Attributes:
        accuracy: of all images alike.
        precision: 0 where nothing is called positive.
        recall: of the positive class.
        f1: 0 where nothing is called positive.
        auroc: 0.5 for one output for all images.
        n: test images.
        accuracy_ends: 95 % Wilson interval; None where none was asked for, as below.
        f1_ends: 95 % bootstrap interval over test images (percentiles of 2,000 resamples).
        auroc_ends: the same.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    auroc: float
    n: int
    accuracy_ends: Ends | None = None
    f1_ends: Ends | None = None
    auroc_ends: Ends | None = None


def score(labels: NDArray[np.int64], logits: NDArray[np.float64], drawn: NDArray[np.float64] | None = None) -> Score:
    """Score a baseline.

    Args:
        labels: int [images], both classes among them.
        logits: float [images].
        drawn: float [images, replicates] of :func:`resample`, for the intervals; None for a score without.
    """
    called = logits > 0
    hits, num_called = int((called & (labels == 1)).sum()), int(called.sum())
    correct = int((called == (labels == 1)).sum())
    figures = (
        correct / len(labels),
        hits / num_called if num_called else 0.0,
        float(sensitivity(called, labels)),
        float(f1(called, labels)),
        float(auroc(logits, labels)),
        len(labels),
    )
    if drawn is None:
        return Score(*figures)
    ends = (
        wilson(correct, len(labels)),
        bootstrap(lambda weights: f1(called, labels, weights), drawn),
        bootstrap(lambda weights: auroc(logits, labels, weights), drawn),
    )
    return Score(*figures, *((interval.low, interval.high) for interval in ends))

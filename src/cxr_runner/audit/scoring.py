"""Test metrics of a baseline, with intervals over the test images."""

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
        accuracy: accuracy over all images.
        precision: precision of the positive class; 0 where nothing is predicted positive.
        recall: recall of the positive class.
        f1: F1 of the positive class; 0 where nothing is predicted positive.
        auroc: AUROC; 0.5 where all images have the same output.
        n: number of test images.
        accuracy_ends: 95 % Wilson interval; None for a score without intervals, as are the next two.
        f1_ends: 95 % bootstrap interval over test images (percentiles of 2,000 resamples).
        auroc_ends: the same for the AUROC.
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
        labels: int64 [images], both classes among them.
        logits: float64 [images].
        drawn: float64 [images, replicates] of :func:`~cxr_runner.stats.intervals.resample`, for the intervals; None
            for a score without intervals.
    """
    predicted = logits > 0
    true_positives, num_predicted = int((predicted & (labels == 1)).sum()), int(predicted.sum())
    correct = int((predicted == (labels == 1)).sum())
    values = (
        correct / len(labels),
        true_positives / num_predicted if num_predicted else 0.0,
        float(sensitivity(predicted, labels)),
        float(f1(predicted, labels)),
        float(auroc(logits, labels)),
        len(labels),
    )
    if drawn is None:
        return Score(*values)
    intervals = (
        wilson(correct, len(labels)),
        bootstrap(lambda weights: f1(predicted, labels, weights), drawn),
        bootstrap(lambda weights: auroc(logits, labels, weights), drawn),
    )
    return Score(*values, *((interval.low, interval.high) for interval in intervals))

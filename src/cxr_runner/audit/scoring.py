"""Test metrics of a baseline, with intervals for how few the test images are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
NUM_RESAMPLES = 1000
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
        f1_ends: 95 % bootstrap interval over test images (percentiles of 1,000 resamples).
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


def score(labels: NDArray[np.int64], logits: NDArray[np.float64], intervals: bool) -> Score:
    """Score a baseline.

    Args:
        labels: int [images], both classes among them.
        logits: float [images].
        intervals: whether to compute intervals.
    """
    called = logits > 0
    hits, num_called, num_positive = int((called & (labels == 1)).sum()), int(called.sum()), int(labels.sum())
    correct = int((called == (labels == 1)).sum())
    figures = (
        correct / len(labels),
        hits / num_called if num_called else 0.0,
        hits / num_positive,
        float(f1(labels, logits)),
        float(auroc(labels, logits)),
        len(labels),
    )
    if not intervals:
        return Score(*figures)
    from scipy.stats import binomtest

    wilson = binomtest(correct, len(labels)).proportion_ci(CONFIDENCE, method="wilson")
    ends = (float(wilson.low), float(wilson.high))
    return Score(*figures, ends, _bootstrap(labels, logits, f1), _bootstrap(labels, logits, auroc))


def f1(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return F1 along the last axis; 0 where nothing is called positive."""
    called = logits > 0
    hits = (called & (labels == 1)).sum(axis=-1)
    total = called.sum(axis=-1) + labels.sum(axis=-1)
    return np.asarray(2 * hits / np.maximum(total, 1), dtype=np.float64)


def auroc(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the AUROC along the last axis, from ranks (Mann and Whitney); 0.5 where a class is missing."""
    from scipy.stats import rankdata

    num_positive = labels.sum(axis=-1)
    num_negative = labels.shape[-1] - num_positive
    ranks = (rankdata(logits, axis=-1) * labels).sum(axis=-1)
    wins = ranks - num_positive * (num_positive + 1) / 2
    pairs = num_positive * num_negative
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.5)


def _bootstrap(labels: NDArray[np.int64], logits: NDArray[np.float64], statistic: Any) -> Ends:
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(labels), (NUM_RESAMPLES, len(labels)))
    values = statistic(labels[chosen], logits[chosen])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)

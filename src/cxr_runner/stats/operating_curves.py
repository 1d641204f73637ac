"""ROC and precision-recall curves of several runs on one grid: their mean and the band that they span."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import Labels, Values

NUM_POINTS = 101


class CurveBand(NamedTuple):
    """Curves averaged vertically: at each point of the grid over the runs.

    Attributes:
        grid: float [points], false positive rates, or recalls, from 0 to 1.
        mean: float [points], mean true positive rate, or precision.
        low: lowest of all runs.
        high: highest of all runs.
    """

    grid: Values
    mean: Values
    low: Values
    high: Values


def roc_points(logits: NDArray[np.floating[Any]], labels: Labels, num_points: int = NUM_POINTS) -> CurveBand:
    """Return the true positive rate over the false positive rate.

    Between two thresholds the curve is straight, as in the AUROC; where it rises upright, its upper end counts.

    Args:
        logits: float [runs, images].
        labels: 0 or 1, both among them.
        num_points: number of points of the grid.

    Source:
        Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), 861-874, section 8.1.
    """
    return _band(_true_positive_rates, logits, labels, num_points)


def pr_points(logits: NDArray[np.floating[Any]], labels: Labels, num_points: int = NUM_POINTS) -> CurveBand:
    """Return the precision over the recall.

    The precision at a recall is that of the highest threshold which reaches it: steps, as in the average precision. A
    straight line between two thresholds would promise too much.

    Args:
        logits: float [runs, images].
        labels: 0 or 1, with a positive one.
        num_points: number of points of the grid.

    Source:
        Davis and Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.
    """
    return _band(_precisions, logits, labels, num_points)


def _band(
    curve: Callable[[Values, Values, Values], Values],
    logits: NDArray[np.floating[Any]],
    labels: Labels,
    num_points: int,
) -> CurveBand:
    grid = np.linspace(0, 1, num_points)
    curves = np.stack([curve(grid, *_counts(run, labels == 1)) for run in np.atleast_2d(logits)])
    return CurveBand(grid, curves.mean(axis=0), curves.min(axis=0), curves.max(axis=0))


def _counts(logits: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> tuple[Values, Values]:
    """Return how many true and false positives there are at each threshold, from none of either to all."""
    order = np.argsort(-logits, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(logits[order]) != 0, True])  # of the images with the same logit
    hits = truth[order].cumsum()[last]
    return np.r_[0.0, hits], np.r_[0.0, last + 1.0 - hits]


def _true_positive_rates(grid: Values, hits: Values, alarms: Values) -> Values:
    rates, heights = alarms / alarms[-1], hits / hits[-1]
    at = (
        np.searchsorted(rates, grid + 1e-12, "right") - 1
    )  # the last threshold that is not beyond, the highest of equals
    after = np.minimum(at + 1, len(rates) - 1)
    width = rates[after] - rates[at]
    along = np.divide(grid - rates[at], width, out=np.zeros_like(grid), where=width > 0)
    return np.asarray(heights[at] + along.clip(0, 1) * (heights[after] - heights[at]))


def _precisions(grid: Values, hits: Values, alarms: Values) -> Values:
    recalls = hits[1:] / hits[-1]
    at = np.searchsorted(recalls, np.maximum(grid, 1e-12) - 1e-12, "left")
    return np.asarray(hits[1:][at] / (hits[1:] + alarms[1:])[at])

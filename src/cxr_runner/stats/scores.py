"""Metrics of a split as functions of how much each image weighs: plainly with 1 each, in a bootstrap as often as drawn.

All take ``labels``, int [images], and ``weights``, float [images, replicates] or None, and return float [replicates],
or a number without weights. What is decided, ``positive``, is bool [..., images]: the leading axes, runs for example,
come back too. A figure is nan where the class that it is about was not drawn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Weights = NDArray[np.float64] | None
Values = NDArray[np.float64]


def accuracy(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the share of images decided correctly."""
    return _share(positive == (labels == 1), np.ones_like(labels, bool), weights)


def sensitivity(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the share of the positive class that is found."""
    return _share(positive, labels == 1, weights)


def specificity(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the share of the negative class that is called so."""
    return _share(~positive, labels == 0, weights)


def f1(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the harmonic mean of precision and sensitivity; 0 where nothing is predicted or present."""
    truth = labels == 1
    true_positives = _total(positive & truth, weights)
    both = _total(positive, weights) + _total(truth, weights)
    return np.divide(2 * true_positives, both, out=np.zeros_like(true_positives), where=both > 0)


def auroc(scores: NDArray[np.floating[Any]], labels: Labels, weights: Weights = None) -> Values:
    """Return the area under the ROC curve: how often a positive image stands above a negative one, ties counted half.

    Args:
        scores: float [images], logits or anything in their order.
        labels: 0 or 1.
        weights: of the images.
    """
    order, starts = _levels(scores)
    drawn = (np.ones((len(labels), 1)) if weights is None else weights)[order]
    truth = labels[order, None] == 1
    positives, negatives = (np.add.reduceat(drawn * mask, starts) for mask in (truth, ~truth))
    below = negatives.cumsum(axis=0)
    pairs = below[-1] * positives.sum(axis=0)
    above = np.einsum("ij,ij->j", positives, below - negatives / 2)
    areas = np.divide(above, pairs, out=np.full_like(above, np.nan), where=pairs > 0)
    return np.asarray(areas if weights is not None else areas[0])


def auprc(scores: NDArray[np.floating[Any]], labels: Labels) -> float:
    """Return the average precision: the area under the steps of precision over recall.

    Args:
        scores: float [images].
        labels: 0 or 1, with a positive one.
    """
    order, starts = _levels(scores)
    found = np.add.reduceat(labels[order] == 1, starts, dtype=np.float64)[::-1]
    called = np.diff([*starts, len(order)])[::-1]
    precision = found.cumsum() / called.cumsum()
    return float((precision * found).sum() / found.sum())


def brier(probabilities: Values, labels: Labels) -> Values:
    """Return the mean squared error of probabilities, float [..., images]: 0 is best."""
    errors: Values = np.square(probabilities - labels).mean(axis=-1)
    return errors


def _levels(scores: NDArray[np.floating[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the images in the order of their scores, and where in it each score begins."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _share(chosen: NDArray[np.bool_], among: NDArray[np.bool_], weights: Weights) -> Values:
    part, whole = _total(chosen & among, weights), _total(among, weights)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _total(mask: NDArray[np.bool_], weights: Weights) -> Values:
    total: Values = mask.sum(axis=-1, dtype=np.float64) if weights is None else mask @ weights
    return np.asarray(total)

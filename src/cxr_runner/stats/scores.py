"""Metrics of a split as functions of how much each image weighs: plainly with 1 each, in a bootstrap as often as drawn.

All take ``labels``, int [images], and ``weights``, float [images, replicates] or None, and return float [replicates],
or a number without weights. What is decided, ``positive``, is bool [..., images]: the leading axes, runs for example,
come back too. A figure is nan where the class that it is about was not drawn.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Weights = NDArray[np.float64] | None
Values = NDArray[np.float64]


def accuracy(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the share of images decided correctly."""
    return _share(positive == (labels == 1), np.ones_like(labels, bool), weights)


def sensitivity(positive: NDArray[np.bool_], labels: Labels, weights: Weights = None) -> Values:
    """Return the share of the positive class that is called so."""
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
        weights: weights of the images.
    """
    drawn = np.ones((len(labels), 1)) if weights is None else weights
    truth = labels == 1
    order = np.flatnonzero(~truth)[np.argsort(scores[~truth], kind="stable")]
    below = np.zeros((len(order) + 1, drawn.shape[1]))  # how many of the lowest negative images were drawn
    np.cumsum(drawn[order], axis=0, out=below[1:])
    positives = drawn[truth]
    # A positive image beats all negative ones on its left, and half of those level with it.
    sides: list[Literal["left", "right"]] = ["left", "right"]
    ranks = [np.searchsorted(scores[order], scores[truth], side) for side in sides]
    beaten = sum(np.einsum("ij,ij->j", positives, below[rank]) for rank in ranks) / 2
    pairs = below[-1] * positives.sum(axis=0)
    areas = np.divide(beaten, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)
    return np.asarray(areas if weights is not None else areas[0])


def auprc(scores: NDArray[np.floating[Any]], labels: Labels) -> float:
    """Return the average precision: the area under the steps of precision over recall.

    Args:
        scores: float [images].
        labels: 0 or 1, with a positive one.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of images with the same score
    hits = np.add.reduceat(labels[order] == 1, starts, dtype=np.float64)[::-1]
    called = np.diff([*starts, len(order)])[::-1]
    precision = hits.cumsum() / called.cumsum()
    return float((precision * hits).sum() / hits.sum())


def brier(probabilities: Values, labels: Labels) -> Values:
    """Return the mean squared error of probabilities, float [..., images]: 0 is best."""
    errors: Values = np.square(probabilities - labels).mean(axis=-1)
    return errors


def _share(chosen: NDArray[np.bool_], among: NDArray[np.bool_], weights: Weights) -> Values:
    total, whole = _total(chosen & among, weights), _total(among, weights)
    return np.divide(total, whole, out=np.full_like(total, np.nan), where=whole > 0)


def _total(mask: NDArray[np.bool_], weights: Weights) -> Values:
    total: Values = mask.sum(axis=-1, dtype=np.float64) if weights is None else mask @ weights
    return np.asarray(total)

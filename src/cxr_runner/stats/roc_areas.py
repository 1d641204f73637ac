"""Areas under the ROC curve, what each image adds to them, and DeLong's test of two."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.intervals import CONFIDENCE


class DeLong(NamedTuple):
    """Two AUROCs, the first minus the second with its interval, and the p value that they are the same."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


class AurocParts(NamedTuple):
    """An AUROC, and DeLong's structural components.

    Attributes:
        area: the AUROC.
        of_positives: float [positive images], share of the negative images below each.
        of_negatives: float [negative images], share of the positive images above each.
    """

    area: float
    of_positives: NDArray[np.float64]
    of_negatives: NDArray[np.float64]


def delong(
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    confidence: float = CONFIDENCE,
) -> DeLong:
    """Test whether two AUROCs on the same images are the same.

    Args:
        first: float [images], scores of the first model.
        second: float [images], scores of the second model.
        labels: 0 or 1, at least two of each.
        confidence: confidence of the interval.

    Returns:
        Without any variance (equal scores, or both without error) the p value is 1 where the areas are equal, else 0.

    Source:
        DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
        Characteristic Curves", Biometrics 44 (1988), 837-845; by midranks as in Sun and Xu, "Fast Implementation of
        DeLong's Algorithm", IEEE Signal Processing Letters 21 (2014), 1389-1393.
    """
    return delong_of_parts(auroc_parts(first, labels), auroc_parts(second, labels), confidence)


def delong_of_parts(first: AurocParts, second: AurocParts, confidence: float = CONFIDENCE) -> DeLong:
    """Return what :func:`delong` returns, of models whose parts are known, so that each is taken apart once."""
    positives, negatives = first.of_positives - second.of_positives, first.of_negatives - second.of_negatives
    variance = positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)
    return compare_areas(first.area, second.area, float(np.sqrt(variance)) if variance > 1e-15 else 0.0, confidence)


def compare_areas(first: float, second: float, error: float, confidence: float = CONFIDENCE) -> DeLong:
    """Return DeLong's test of two areas by the standard error of their difference, whatever images they are of."""
    from scipy.special import ndtr, ndtri  # here, because scipy takes a second to import

    difference, half = first - second, float(ndtri((1 + confidence) / 2)) * error
    p = float(2 * ndtr(-abs(difference) / error)) if error else float(abs(difference) < 1e-12)
    return DeLong(first, second, difference, difference - half, difference + half, p)


def auroc_parts(scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> AurocParts:
    """Return an AUROC with what each image adds to it.

    Args:
        scores: float [images].
        labels: 0 or 1, at least two of each.
    """
    positives, negatives = scores[labels == 1], scores[labels != 1]
    m, n = len(positives), len(negatives)
    ranks = _midranks(np.concatenate([positives, negatives]))
    area = (ranks[:m].sum() - m * (m + 1) / 2) / (m * n)
    below = (ranks[:m] - _midranks(positives)) / n
    return AurocParts(float(area), below, 1 - (ranks[m:] - _midranks(negatives)) / m)


def _midranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[codes])

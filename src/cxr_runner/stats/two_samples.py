"""The AUROC of one set of images, and of two sets that have no image in common."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.intervals import CONFIDENCE, Interval
from cxr_runner.stats.roc_areas import AurocParts, DeLong, auroc_parts, compare_areas


def auroc_interval(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], units: NDArray[np.int64]
) -> tuple[Interval, float]:
    """Return an AUROC with DeLong's interval, and its variance; images of one patient are taken together.

    Args:
        scores: float [images].
        labels: 0 or 1, at least two of each.
        units: int [images], the patients, or a number of its own for every image whose patient is not known.

    Source:
        Obuchowski, "Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997), 567-578; DeLong's where
        every image is of another patient.
    """
    from scipy.special import ndtri  # here, because scipy takes a second to import

    parts = auroc_parts(scores, labels)
    variance = _variance(parts, units[labels == 1], units[labels != 1])
    half = float(ndtri((1 + CONFIDENCE) / 2)) * np.sqrt(variance)
    return Interval(parts.area, max(0.0, parts.area - half), min(1.0, parts.area + half)), variance


def independent_delong(first: tuple[Interval, float], second: tuple[Interval, float]) -> DeLong:
    """Test whether the AUROCs on two sets of images are the same; the sets share no image and no patient.

    Args:
        first: as :func:`auroc_interval` returns it.
        second: likewise.

    Source:
        DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845: without covariance, variances add.
    """
    return compare_areas(first[0].estimate, second[0].estimate, float(np.sqrt(first[1] + second[1])))


def _variance(parts: AurocParts, of_positives: NDArray[np.int64], of_negatives: NDArray[np.int64]) -> float:
    m, n = len(of_positives), len(of_negatives)
    units, codes = np.unique(np.concatenate([of_positives, of_negatives]), return_inverse=True)
    sums = [
        np.bincount(code, values - parts.area, len(units))
        for code, values in ((codes[:m], parts.of_positives), (codes[m:], parts.of_negatives))
    ]
    num_positive, num_negative = (len(np.unique(one)) for one in (of_positives, of_negatives))
    both = len(units) / (len(units) - 1) * float(sums[0] @ sums[1]) / (m * n)
    of_each = [
        number / (number - 1) * float(np.square(one).sum()) / size**2 if number > 1 else np.nan
        for number, one, size in ((num_positive, sums[0], m), (num_negative, sums[1], n))
    ]
    return max(0.0, sum(of_each) + 2 * both)

"""Where one more run would lie that has another seed, other test images and, as far as is known, another split.

A published value is of such a run. What the mean of one's runs is uncertain by is only a part of how far it may lie.
"""

import math
from collections.abc import Mapping

from cxr_runner.stats.intervals import CONFIDENCE, Interval, added_error
from cxr_runner.stats.replicates import Estimate

Counts = Mapping[str, float]  # tp, fp, fn and tn


def image_variance(metric: str, counts: Counts) -> float:
    """Return the variance that the choice of test images gives a metric, each image taken as of another patient.

    Args:
        metric: ``accuracy``, ``precision``, ``recall`` or ``f1``.
        counts: confusion counts, or means of them. With c times as many images the variance is that over c.

    Returns:
        p (1 - p) / n of a share, by the delta method of F1; nan where the metric is not defined.

    Source:
        Of F1: Takahashi et al., "Confidence interval for micro-averaged F1 and macro-averaged F1 scores", Applied
        Intelligence 52 (2022), 4961-4972, for one class.
    """
    tp, fp, fn, tn = (counts[key] for key in ("tp", "fp", "fn", "tn"))
    if metric == "f1":
        below = 2 * tp + fp + fn
        score = 2 * tp / below if below else math.nan
        return (4 * (1 - score) ** 2 * tp + score**2 * (fp + fn)) / below**2 if below else math.nan
    right, number = {
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
    }[metric]
    return right * (number - right) / number**3 if number else math.nan


def predict_run(mean: Estimate, by_images: float, confidence: float = CONFIDENCE) -> Interval:
    """Return where the metric of one more run lies: of another seed, on other test images, of another split.

    The variance of the mean over the runs at hand, and that which seed, split and test images give one run, add up. Of
    one split it is not known what splits do, and the interval is too narrow by that.

    Args:
        mean: mean over the runs at hand, its variance by test images included.
        by_images: variance that the choice of test images gives the other run.
        confidence: confidence of the interval.

    Returns:
        The mean; its ends are nan of a single run.

    Source:
        Hahn and Meeker, "Statistical Intervals" (1991), section 4.7, with Satterthwaite's degrees of freedom.
    """
    from scipy.special import stdtrit  # here, because scipy takes a second to import

    pieces, spread = mean.variance.pieces(), mean.spread
    if math.isnan(mean.error) or spread.seeds is None:
        return Interval(mean.mean, math.nan, math.nan)
    of_seeds = pieces.get("seeds", 0.0) + spread.seeds**2
    of_splits = sum(pieces.get(key, 0.0) for key in ("splits", "rest")) + (spread.splits or 0.0) ** 2
    parts = [(of_seeds, mean.num_seeds - 1), (of_splits, mean.num_splits - 1), (pieces["images"] + by_images, math.inf)]
    error, freedom = added_error([(part, max(1.0, number)) for part, number in parts if part > 0])
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error if error else 0.0
    return Interval(mean.mean, mean.mean - half, mean.mean + half)

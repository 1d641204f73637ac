"""What the best of several candidates gains by luck, and candidates that are probably worse than the best.

Whoever picks the largest of many uncertain numbers picks a number that is too large. How much too large is seen where
the choice is made on one half of the evidence and judged on the other.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import accuracy, auroc, f1, sensitivity, specificity

SPLITS = 200  # into halves; twice as many move the estimate by less than a tenth of itself
_FEWEST = 20  # splits in which both halves have both classes
Values = NDArray[np.float64]
Weighted = Callable[[Values, NDArray[np.integer[Any]], Values], Values]


class Luck(NamedTuple):
    """What the best of several candidates gains by having been chosen, in units of the metric, 0 or more on average.

    Attributes:
        gain: of the choice on all the evidence; no less than it is, on average.
        on_half: of a choice on half of it, which is estimated without bias.
        replicates: replicates that every candidate has, from which halves were taken.
        halved_images: whether halves of the images were taken as well.
    """

    gain: float
    on_half: float
    replicates: int
    halved_images: bool


class NestedChoice(NamedTuple):
    """A choice made in each fold and judged on that fold's test images.

    Attributes:
        chosen: int [folds], the candidate with the best val of each fold.
        test: float [folds], its test metric there.
    """

    chosen: NDArray[np.int64]
    test: Values


def _brier(logits: Values, labels: NDArray[np.integer[Any]], weights: Values) -> Values:
    errors = np.square(1 / (1 + np.exp(-logits)) - labels)
    return np.asarray(errors @ weights / weights.sum(axis=0))


WEIGHTED_METRICS: dict[str, Weighted] = {
    "accuracy": lambda logits, labels, weights: accuracy(logits > 0, labels, weights),
    "recall": lambda logits, labels, weights: sensitivity(logits > 0, labels, weights),
    "specificity": lambda logits, labels, weights: specificity(logits > 0, labels, weights),
    "f1": lambda logits, labels, weights: f1(logits > 0, labels, weights),
    "auroc": auroc,
    "brier": _brier,
}
"""Metrics of logits, float [images], with labels and weights, float [images, halves], that can be taken of halves."""


def draw_halves(units: NDArray[np.int64], splits: int = SPLITS, seed: int = 0) -> Values:
    """Draw half of the images, again and again, whole patients at a time.

    Args:
        units: int [images], patients counted from 0, or a number of its own for every image.
        splits: number of draws.
        seed: seed of the draws.

    Returns:
        float [images, 2 x splits], 1 for an image that is in a half: first all first halves, then their other halves.
    """
    number = int(units.max()) + 1
    ranks = np.random.default_rng(seed).random((splits, number)).argsort(axis=1).argsort(axis=1)
    first = (ranks < number // 2).T[units].astype(np.float64)
    return np.concatenate([first, 1 - first], axis=1)


def luck_of_choice(halves: Values, higher_is_better: bool, *, halved_images: bool, seed: int = 0) -> Luck:
    """Estimate what the best of several candidates gains by luck.

    The candidates are compared on half of the replicates (and of the images), the best is judged on the other half of
    both; the loss, a mean over many halves, is without bias what a choice on half of the evidence gains by luck. On all
    of it, noise is smaller by the square root of two, and so is the gain where candidates are equally good; where some
    are better the gain shrinks faster, so that this is no less than it is.

    Args:
        halves: float [candidates, replicates, 2 x splits], the metric of every run on both halves of the images, as
            :func:`draw_halves` orders them; of whole splits the same number twice. Replicates of one column belong
            together: the same seed, or the same fold.
        higher_is_better: whether the best is the largest.
        halved_images: whether these are of halves of the images.
        seed: seed of the halves of replicates.

    Returns:
        nan where there is nothing to take halves of, or one candidate only; where halves lack a class, of the others.

    Source:
        The idea is that of Tibshirani and Tibshirani, "A bias correction for the minimum error rate in
        cross-validation", Annals of Applied Statistics 3 (2009), 822-829; choosing and judging on resampled images:
        Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate
        cross-validation", Machine Learning 107 (2018), 1895-1922.
    """
    candidates, replicates, doubled = halves.shape
    if candidates < 2 or (replicates < 2 and not halved_images):
        return Luck(np.nan, np.nan, replicates, halved_images)
    signed = halves if higher_is_better else -halves
    pairs = signed.reshape(candidates, replicates, 2, doubled // 2)
    known = np.isfinite(pairs).all(axis=(0, 1, 2))  # a half may lack a class
    if known.sum() < min(_FEWEST, doubled // 2):
        return Luck(np.nan, np.nan, replicates, halved_images)
    first, second = np.moveaxis(pairs[..., known], 2, 0)
    splits = first.shape[-1]
    ranks = np.random.default_rng(seed).random((splits, replicates)).argsort(axis=1).argsort(axis=1)
    taken = (ranks < max(1, replicates // 2)).T.astype(np.float64)  # [replicates, splits]
    others = taken if replicates == 1 else 1 - taken
    judged_on = np.einsum("crs,rs->cs", second, others) / others.sum(axis=0)
    seen = np.einsum("crs,rs->cs", first, taken) / taken.sum(axis=0)
    best = seen.argmax(axis=0)
    columns = np.arange(splits)
    on_half = float((seen[best, columns] - judged_on[best, columns]).mean())
    return Luck(on_half / math.sqrt(2), on_half, replicates, halved_images)


def whole_splits(values: Values, splits: int = SPLITS) -> Values:
    """Return metrics of whole splits, float [candidates, replicates], as :func:`luck_of_choice` takes them."""
    return np.repeat(values[..., None], 2 * splits, axis=-1)


def choose_in_folds(val: Values, test: Values, higher_is_better: bool) -> NestedChoice:
    """Choose in each fold by that fold's val, and judge on its test images, which that choice has not seen.

    Args:
        val: float [candidates, folds]; nan for a candidate that has no run there.
        test: float [candidates, folds].
        higher_is_better: whether the best is the largest.

    Source:
        Varma and Simon, "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics
        7 (2006), article 91.
    """
    signed = np.where(np.isnan(val), -np.inf, val if higher_is_better else -val)
    chosen = signed.argmax(axis=0)
    return NestedChoice(chosen, test[chosen, np.arange(val.shape[1])])


def worse_in_pairs(values: Values, reference: Values, higher_is_better: bool) -> float:
    """Return the one-sided p value of Wilcoxon's signed-rank test that a candidate is worse than the reference.

    Args:
        values: float [replicates], of the candidate.
        reference: float [replicates], of the reference with the same seeds or folds.
        higher_is_better: whether larger is better.

    Returns:
        1 where its mean is no worse than that of the reference, or there is no pair.

    Source:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945), 80-83; as a rule for ending
        trials it is that of Optuna's WilcoxonPruner.
    """
    lost = reference - values if higher_is_better else values - reference
    if not len(lost) or lost.mean() <= 0:
        return 1.0
    from scipy.stats import wilcoxon  # here, because scipy takes a second to import

    return float(wilcoxon(lost, alternative="greater", zero_method="zsplit").pvalue)

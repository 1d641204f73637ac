"""Tests of two models on the same images, and what many tests at once do to p values."""

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_runner.stats.groups import independent_difference
from cxr_runner.stats.intervals import CONFIDENCE, Difference, wilson

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.stats.replicates import Estimate


class McNemar(NamedTuple):
    """Images that only one of two models decides correctly, and the p value that both do so equally often."""

    only_first: int
    only_second: int
    p: float


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


class Equivalence(NamedTuple):
    """A difference, its interval, and the p value against its being as large as the margin.

    Attributes:
        estimate: difference.
        low: lower end of the interval with confidence 1 - 2 level, which lies within the margin where p < level.
        high: upper end.
        margin: differences nearer to 0 than this do not matter.
        p: p value against the true difference being at least the margin, in either direction.
    """

    estimate: float
    low: float
    high: float
    margin: float
    p: float


def mcnemar_exact(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test whether two models are right equally often; images on which both are right or both wrong say nothing.

    Args:
        first: bool [images], which ones the first model decides correctly.
        second: bool [images], which ones the second model decides correctly.

    Source:
        McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
        Psychometrika 12 (1947), 153-157; exact and two-sided, by the binomial distribution.
    """
    from scipy.special import bdtr  # here, because scipy takes a second to import

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    p = min(1.0, float(2 * bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
    return McNemar(only_first, only_second, p)


def compare_rates(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    first_seeds: NDArray[np.integer[Any]],
    second_seeds: NDArray[np.integer[Any]],
    paired: bool = False,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Compare how often the runs of two configurations do a thing, such as collapse: the first share minus the second.

    Seeds are counted, not runs: a seed does it if at least half of its runs do, since runs of one seed start from the
    same weights in all splits and are no independent trials.

    Boschloo's test takes the seeds of the two configurations as independent. It is exact, as Fisher's is, and finds
    more: Fisher's test also fixes how many collapse in all, which nobody does. Where a seed gives both configurations
    the same initial weights, McNemar's exact test on the seeds that both have counts those that collapse in one only.

    Args:
        first: bool [runs], which runs of the first configuration do it.
        second: bool [runs], of the second one.
        first_seeds: int [runs], seeds of the runs.
        second_seeds: int [runs], likewise.
        paired: whether equal seeds start from equal weights.
        confidence: confidence of the interval, which takes the seeds as independent: where they are paired, it is too
            wide rather than too narrow.

    Returns:
        The difference over the seeds, where paired over those that both have; nan where either has none.

    Source:
        Boschloo, "Raised conditional level of significance for the 2 x 2-table when testing the equality of two
        probabilities", Statistica Neerlandica 24 (1970), 1-9; Lydersen, Fagerland and Laake, "Recommended tests for
        association in 2 x 2 tables", Statistics in Medicine 28 (2009), 1159-1175.
    """
    names, others = np.unique(first_seeds), np.unique(second_seeds)
    if paired:
        names = others = np.intersect1d(names, others)
    if not len(names) or not len(others):
        return Difference(np.nan, np.nan, np.nan, np.nan)
    one = np.array([first[first_seeds == seed].mean() >= 0.5 for seed in names])
    two = np.array([second[second_seeds == seed].mean() >= 0.5 for seed in others])
    counts, totals = (int(one.sum()), int(two.sum())), (len(one), len(two))
    intervals = [wilson(count, total, confidence) for count, total in zip(counts, totals, strict=True)]
    if paired:
        p = mcnemar_exact(one, two).p
    elif sum(counts) in (0, sum(totals)):
        p = 1.0  # all seeds alike
    else:
        p = _boschloo(counts, totals)
    return Difference(*independent_difference(*intervals), p)


@cache  # it takes half a second, and rows of a table often have the same counts
def _boschloo(counts: tuple[int, int], totals: tuple[int, int]) -> float:
    from scipy.stats import boschloo_exact

    table = [counts, [total - count for count, total in zip(counts, totals, strict=True)]]
    return min(1.0, float(boschloo_exact(table).pvalue))


def equivalence(difference: "Estimate", margin: float, level: float = 1 - CONFIDENCE) -> Equivalence:
    """Test whether two configurations are alike: whether their difference is smaller than a margin, either way.

    Two one-sided tests. That a difference is not significant does not show that there is none.

    Args:
        difference: difference of the two, of :func:`~cxr_runner.stats.replicates.mean_over_runs`.
        margin: smallest difference that would matter, above 0; stated before the results are seen.
        level: level of the test.

    Returns:
        nan for a difference without an interval.

    Source:
        Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
        equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15 (1987), 657-680.
    """
    assert margin > 0
    low, high = difference.interval(1 - 2 * level)
    p_values = difference.p_value(-margin, "greater"), difference.p_value(margin, "less")
    return Equivalence(difference.mean, low, high, margin, float(np.max(p_values)))


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
    from scipy.special import ndtr, ndtri

    difference = first.area - second.area
    positives, negatives = first.of_positives - second.of_positives, first.of_negatives - second.of_negatives
    variance = positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)
    error = float(np.sqrt(variance)) if variance > 1e-15 else 0.0
    half = float(ndtri((1 + confidence) / 2)) * error
    p = float(2 * ndtr(-abs(difference) / error)) if error else float(abs(difference) < 1e-12)
    return DeLong(first.area, second.area, difference, difference - half, difference + half, p)


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


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust the p values of one table, so that a chance finding anywhere in it stays as rare as in a single test.

    Args:
        p_values: float [tests]; nan for a test that was not made, which counts for nothing.

    Source:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979),
        65-70.
    """
    given = np.asarray(p_values, np.float64)
    adjusted = np.full_like(given, np.nan)
    order = np.argsort(given, kind="stable")[: np.isfinite(given).sum()]
    steps = given[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def _midranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[codes])

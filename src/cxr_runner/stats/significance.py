"""Tests of two models on the same images, and what many tests at once do to p values."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_runner.stats.groups import independent_difference
from cxr_runner.stats.intervals import CONFIDENCE, Difference, wilson
from cxr_runner.stats.replicates import Estimate


class McNemar(NamedTuple):
    """Images that only one of two models decides correctly, and the p value that both do so equally often."""

    only_first: int
    only_second: int
    p: float


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


def equivalence(difference: Estimate, margin: float, level: float = 1 - CONFIDENCE) -> Equivalence:
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

"""Tests of two configurations by the shares of their seeds, and of equivalence, against scipy and statsmodels."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import DescrStatsW

from cxr_runner import stats


def seeds_that(count, total):
    """Return for each seed whether it does a thing: as many as counted do."""
    return np.arange(total) < count


@pytest.mark.parametrize(("first", "second"), [((8, 10), (1, 10)), ((3, 12), (5, 9)), ((1, 3), (0, 10))])
def test_shares_of_seeds_are_compared_exactly_and_with_newcombes_interval(first, second):
    result = stats.compare_rates(seeds_that(*first), seeds_that(*second), np.arange(first[1]), np.arange(second[1]))
    (a, n), (b, m) = first, second
    expected = scipy.stats.boschloo_exact([[a, b], [n - a, m - b]]).pvalue
    assert result.p == pytest.approx(min(1, expected))
    assert result.p <= scipy.stats.fisher_exact([[a, b], [n - a, m - b]]).pvalue
    assert result[1:3] == pytest.approx(confint_proportions_2indep(a, n, b, m, method="newcomb"))
    assert result.estimate == pytest.approx(a / n - b / m)


def test_boschloos_test_gives_a_published_example():
    # scipy's documentation of the test, from Boschloo (1970): 74 of 117 against 31 of 63, one-sided p 0.0356
    result = stats.compare_rates(seeds_that(74, 117), seeds_that(31, 63), np.arange(117), np.arange(63))
    assert result.p == pytest.approx(2 * 0.0356, abs=2e-4)


def test_runs_of_one_seed_in_several_folds_count_once():
    collapsed = np.array([[True] * 5, [True, True, True, False, False], [False] * 5, [False] * 4 + [True]])
    many = stats.compare_rates(collapsed.ravel(), np.zeros(20, bool), *[np.repeat(np.arange(4), 5)] * 2)
    few = stats.compare_rates(seeds_that(2, 4), seeds_that(0, 4), np.arange(4), np.arange(4))
    assert many == few


def test_seeds_that_start_alike_are_compared_by_pairs():
    first, second = seeds_that(6, 12), seeds_that(0, 12)
    paired = stats.compare_rates(first, second[:10], np.arange(12), np.arange(10), paired=True)
    assert paired.p == stats.mcnemar_exact(first[:10], second[:10]).p == pytest.approx(2 * 0.5**6)
    assert paired.estimate == pytest.approx(0.6)  # over the seeds that both have
    both = stats.compare_rates(first, first, np.arange(12), np.arange(12), paired=True)
    assert (both.estimate, both.p) == (0, 1)


def test_where_all_seeds_are_alike_or_there_are_none_nothing_is_found():
    none = stats.compare_rates(seeds_that(0, 3), seeds_that(0, 5), np.arange(3), np.arange(5))
    assert (none.estimate, none.p) == (0, 1)
    assert np.isnan(stats.compare_rates(seeds_that(0, 3), seeds_that(0, 0), np.arange(3), np.arange(0))).all()
    apart = stats.compare_rates(seeds_that(1, 2), seeds_that(1, 2), np.arange(2), np.arange(2, 4), paired=True)
    assert np.isnan(apart).all()


def test_the_exact_test_of_shares_keeps_its_level_whatever_the_share():
    number = np.arange(6)
    counts = [(a, b) for a in range(7) for b in range(a)]  # the p values of (b, a) are the same
    found = [pair for pair in counts if stats.compare_rates(*map(seeds_that, pair, (6, 6)), number, number).p <= 0.05]
    assert (5, 0) in found  # p 0.015 by Fisher's test
    for share in np.linspace(0.02, 0.98, 25):
        chances = scipy.stats.binom.pmf(np.arange(7), 6, share)
        assert 2 * sum(chances[a] * chances[b] for a, b in found) <= 0.05


def of_seeds(values):
    """Return the estimate of a difference on one split, without test images."""
    return stats.mean_over_runs(values, np.zeros(len(values)), np.arange(len(values)), 0.25, 0.0)


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_equivalence_is_that_of_two_one_sided_tests(margin):
    values = np.array([0.004, -0.01, 0.012, 0.006, -0.002, 0.008])
    result = stats.equivalence(of_seeds(values), margin)
    described = DescrStatsW(values)
    assert result.p == pytest.approx(described.ttost_mean(-margin, margin)[0])
    assert (result.low, result.high) == pytest.approx(described.tconfint_mean(alpha=0.1))
    assert (result.p < 0.05) == (-margin < result.low and result.high < margin)


def test_what_is_too_uncertain_is_not_alike():
    noisy = np.array([0.1, -0.1, 0.12, -0.13, 0.02])
    assert of_seeds(noisy).p > 0.5  # no difference is seen
    assert stats.equivalence(of_seeds(noisy), 0.05).p > 0.05
    assert np.isnan(stats.equivalence(of_seeds(noisy[:1]), 0.05).p)

"""The mean over runs of several splits and seeds, against formulas by hand and two-way analyses of variance."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cxr_runner import stats
from cxr_runner.stats.components import crossed_components


def grid(num_splits, num_seeds, sds=(0.02, 0.03, 0.01), seed=0):
    """Return values, splits and seeds of a complete grid: sds of splits, seeds and the rest."""
    rng = np.random.default_rng(seed)
    effects = (sd * rng.normal(size=shape) for sd, shape in zip(sds, [(num_splits, 1), (1, num_seeds)], strict=False))
    values = 0.9 + sum(effects) + sds[2] * rng.normal(size=(num_splits, num_seeds))
    return values.ravel(), *np.indices(values.shape).reshape(2, -1)


def t_of(values, variance, freedom):
    half = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    return values.mean() - half, values.mean() + half


def test_of_one_split_the_mean_over_runs_is_that_over_seeds():
    rng = np.random.default_rng(0)
    values, replicates = rng.normal(0.9, 0.01, 5), rng.normal(0, 0.01, (5, 500))
    expected = stats.mean_over_seeds(values, replicates)
    for shared in (False, True):
        by_images = np.var(replicates.mean(axis=0))
        estimate = stats.mean_over_runs(values, np.full(5, 7), np.arange(5), 0.25, by_images, shared)
        assert (estimate.mean, estimate.low, estimate.high, estimate.p) == pytest.approx(tuple(expected))
        assert estimate.spread.splits is estimate.shares.splits is estimate.doubled.splits is None


def test_of_one_seed_on_ten_folds_it_is_the_corrected_t_of_nadeau_and_bengio():
    # differences of ten folds by hand: mean 0.02, S^2 = 0.0011333; t = 0.02 / sqrt((1/10 + 1/9) S^2) = 1.2930
    values = np.array([0.05, -0.01, 0.04, 0.0, 0.06, -0.03, 0.05, 0.01, -0.02, 0.05])
    estimate = stats.mean_over_runs(values, np.arange(10), np.zeros(10), 1 / 9, 0.0)
    assert values.var(ddof=1) == pytest.approx(0.0011333, abs=1e-7)
    assert estimate.mean / estimate.error == pytest.approx(1.2930, abs=1e-4)
    assert estimate.freedom == 9
    assert estimate.p == pytest.approx(2 * scipy.stats.t.sf(1.2930, 9), abs=1e-4)
    assert estimate.spread.seeds is estimate.shares.seeds is estimate.doubled.seeds is None


def test_more_splits_than_test_every_image_once_do_not_narrow_what_they_have_in_common():
    values, splits, _ = grid(50, 1)
    estimate = stats.mean_over_runs(values, splits, np.zeros(50), 0.25, 0.0)
    expected = t_of(values, (1 / 5 + 1 / 4) * values.var(ddof=1), 49)
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert estimate.doubled.splits == pytest.approx(estimate.half_width, rel=0.02)  # only Student's t is smaller
    few = stats.mean_over_runs(values[:2], [0, 1], [0, 0], 0.25, 0.0)
    assert few.error**2 == pytest.approx((1 / 2 + 1 / 4) * values[:2].var(ddof=1))


def test_splits_that_are_alike_by_luck_leave_what_their_test_images_make_uncertain():
    values, splits, seeds = np.array([0.9, 0.9001, 0.9002]), np.arange(3), np.zeros(3)
    alike = stats.mean_over_runs(values, splits, seeds, 0.5, 0.01**2)
    # each image is tested once: as uncertain as a share of three times as many images
    assert alike.error**2 == pytest.approx(0.01**2 / 3, rel=0.01)
    assert alike.half_width >= 1.96 * 0.01 / np.sqrt(3)
    assert alike.shares.images == pytest.approx(1, abs=0.01)
    assert alike.doubled.images == pytest.approx(alike.half_width / np.sqrt(2), rel=0.01)
    apart = stats.mean_over_runs(values * [0.9, 1, 1.1], splits, seeds, 0.5, 0.01**2)
    assert apart.error**2 == pytest.approx((1 / 3 + 0.5) * np.var(values * [0.9, 1, 1.1], ddof=1))
    many = stats.mean_over_runs(np.full(30, 0.9), np.arange(30), np.zeros(30), 0.25, 0.01**2)
    assert many.error**2 == pytest.approx(0.01**2 / 5)  # more than five folds test images again


def test_what_a_seed_does_in_all_splits_is_averaged_over_seeds_only():
    of_seeds = np.array([0.9, 0.5, 0.8])
    values, splits, seeds = np.tile(of_seeds, 5), np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)
    estimate = stats.mean_over_runs(values, splits, seeds, 0.25, 0.0)
    expected = scipy.stats.ttest_1samp(of_seeds, 0).confidence_interval()
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert estimate.shares == stats.Sources(pytest.approx(1), pytest.approx(0), pytest.approx(0))
    assert estimate.spread.seeds == pytest.approx(of_seeds.std(ddof=1))
    assert estimate.worth_more_of == "seeds"


def test_variance_components_of_a_complete_grid_are_those_of_the_analysis_of_variance():
    values, splits, seeds = grid(6, 4)
    table = anova_lm(ols("y ~ C(split) + C(seed)", pd.DataFrame({"y": values, "split": splits, "seed": seeds})).fit())
    of_splits, of_seeds, rest = table["mean_sq"]
    parts = crossed_components(values, splits, seeds)
    assert parts[:3] == pytest.approx(((of_splits - rest) / 4, (of_seeds - rest) / 6, rest))
    assert parts.split_mean == pytest.approx(values.reshape(6, 4).mean(axis=1).var(ddof=1))
    estimate = stats.mean_over_runs(values, splits, seeds, 0.25, 0.0)
    pieces = [((1 / 5 + 1 / 4) * parts.split_mean, 5), (parts.seeds / 4, 3)]
    error, freedom = stats.added_error(pieces)
    assert (estimate.error, estimate.freedom) == (pytest.approx(error), pytest.approx(freedom))


def test_a_variance_below_0_is_0():
    values = np.array([[0.0, 1.0], [1.0, 0.0]])  # no main effects, all is the rest
    parts = crossed_components(values.ravel(), *np.indices((2, 2)).reshape(2, -1))
    assert parts[:4] == (0, 0, pytest.approx(1), 0)


def test_variance_components_remain_unbiased_where_runs_are_missing():
    rng = np.random.default_rng(0)
    _, splits, seeds = grid(8, 6)
    there = rng.random(48) < 0.7
    draws = [grid(8, 6, seed=[1, number])[0][there] for number in range(3000)]
    parts = np.mean([crossed_components(values, splits[there], seeds[there]) for values in draws], axis=0)
    assert parts[:3] == pytest.approx([0.02**2, 0.03**2, 0.01**2], rel=0.06)
    assert parts[3] == pytest.approx(0.02**2 + 0.01**2 / parts[4], rel=0.06)


def test_on_shared_test_images_training_sets_vary_by_what_they_have_not_in_common():
    values, splits, seeds = grid(5, 4)
    parts = crossed_components(values, splits, seeds)
    estimate = stats.mean_over_runs(values, splits, seeds, 0.25, 0.01**2, shared_test=True)
    pieces = [((1 / 5 + 4) * parts.splits, 4), (parts.rest / 20, 12), (parts.seeds / 4, 3), (0.01**2, np.inf)]
    error, freedom = stats.added_error(pieces)
    assert (estimate.error, estimate.freedom) == (pytest.approx(error), pytest.approx(freedom))
    same = stats.mean_over_runs(values, splits, seeds, 0.0, 0.01**2, shared_test=True)  # one training set for all
    assert same.error < estimate.error


def test_seeds_of_which_each_was_in_one_split_only_are_not_told_from_splits():
    values = np.random.default_rng(0).normal(size=6)
    estimate = stats.mean_over_runs(values, np.arange(6), np.arange(6), 0.25, 0.0)
    assert estimate.error**2 == pytest.approx((1 / 5 + 1 / 4) * values.var(ddof=1))
    assert estimate.spread.seeds is None


def test_of_a_single_run_and_of_none_there_is_no_interval():
    for values in ([0.9], []):
        estimate = stats.mean_over_runs(values, np.zeros(len(values)), np.zeros(len(values)), 0.25, 0.01)
        assert np.isnan([estimate.low, estimate.high, estimate.p]).all()
        assert estimate.worth_more_of is None
        assert estimate.shares == stats.Sources(None, None, None)
    assert stats.mean_over_runs([0.9], [0], [0], 0.25, 0.01).mean == 0.9


def test_runs_that_are_all_alike_have_no_width():
    _, splits, seeds = grid(3, 2)
    estimate = stats.mean_over_runs(np.full(6, 0.5), splits, seeds, 0.25, 0.0)
    assert (estimate.low, estimate.high, estimate.p) == (0.5, 0.5, 0)
    assert estimate.p_value(0.5) == 1
    assert (estimate.p_value(0.4, "greater"), estimate.p_value(0.4, "less")) == (0, 1)


def test_doubling_says_what_more_of_each_source_is_worth():
    values, splits, seeds = grid(5, 3, (0.001, 0.03, 0.001))
    assert stats.mean_over_runs(values, splits, seeds, 0.25, 0.0).worth_more_of == "seeds"
    values, splits, seeds = grid(50, 3, (0.03, 0.001, 0.001))
    estimate = stats.mean_over_runs(values, splits, seeds, 0.25, 0.03**2 * 0.9)
    assert estimate.worth_more_of == "images"
    assert estimate.shares.images > 0.7
    values, splits, seeds = grid(3, 3, (0.03, 0.001, 0.001))
    estimate = stats.mean_over_runs(values, splits, seeds, 0.25, 0.0)
    assert estimate.worth_more_of == "splits"
    assert estimate.doubled.splits < 0.7 * estimate.half_width  # 1/3 becomes 1/5, and 2 degrees of freedom 5
    assert estimate.doubled.images == pytest.approx(estimate.half_width)  # no variance is by images


GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(0, 1000), st.booleans())


def drawn(case):
    """Return arguments of mean_over_runs, some runs missing, at least three of them there."""
    num_splits, num_seeds, seed, shared = case
    values, splits, seeds = grid(num_splits, num_seeds, seed=seed)
    there = np.random.default_rng(seed).random(len(values)) < 0.8
    there[:3] = True
    return (values[there], splits[there], seeds[there], 0.25, 0.01**2, shared)


@settings(deadline=None)
@given(GRIDS)
def test_a_constant_shifts_the_mean_only(case):
    values, *others = drawn(case)
    one, other = stats.mean_over_runs(values, *others), stats.mean_over_runs(values + 1, *others)
    assert (other.low, other.mean, other.high) == pytest.approx((one.low + 1, one.mean + 1, one.high + 1), nan_ok=True)


@settings(deadline=None)
@given(GRIDS, st.sampled_from([-3.0, 0.5]))
def test_another_unit_changes_nothing_else(case, factor):
    values, splits, seeds, ratio, by_images, shared = drawn(case)
    one = stats.mean_over_runs(values, splits, seeds, ratio, by_images, shared)
    other = stats.mean_over_runs(factor * values, splits, seeds, ratio, factor**2 * by_images, shared)
    assert other.error == pytest.approx(abs(factor) * one.error, nan_ok=True)
    assert other.p == pytest.approx(one.p, nan_ok=True)
    for name in ("seeds", "splits", "images"):
        assert getattr(other.shares, name) == pytest.approx(getattr(one.shares, name), nan_ok=True)


@settings(deadline=None)
@given(GRIDS)
def test_neither_the_order_of_runs_nor_the_names_of_splits_and_seeds_matter(case):
    values, splits, seeds, *others = drawn(case)
    order = np.random.default_rng(0).permutation(len(values))
    one = stats.mean_over_runs(values, splits, seeds, *others)
    other = stats.mean_over_runs(values[order], 90 - 7 * splits[order], 3 * seeds[order] + 11, *others)
    assert (other.low, other.high, other.p) == pytest.approx((one.low, one.high, one.p), nan_ok=True)
    assert other.num_runs == len(values)


@settings(deadline=None)
@given(GRIDS)
def test_shares_add_up_and_p_values_agree_with_intervals(case):
    estimate = stats.mean_over_runs(*drawn(case))
    if np.isnan(estimate.error):
        return
    known = [share for share in vars(estimate.shares).values() if share is not None]
    assert sum(known) == pytest.approx(1)
    assert min(known) >= 0
    assert estimate.p_value(estimate.high) == pytest.approx(0.05)
    assert estimate.p_value(estimate.low, "greater") == pytest.approx(0.025)
    assert estimate.p_value(estimate.low, "less") == pytest.approx(0.975)
    assert estimate.interval(0.9)[0] > estimate.low
    assert estimate.interval() == pytest.approx((estimate.low, estimate.high))


def test_p_values_are_one_sided_and_confidence_another_where_asked_for():
    values, *others = drawn((5, 3, 0, False))
    two, one = (stats.mean_over_runs(values - 0.88, *others, alternative=side) for side in ("two-sided", "greater"))
    assert one.p == pytest.approx(two.p / 2)
    wide = stats.mean_over_runs(values, *others, confidence=0.99)
    assert wide.half_width > two.half_width
    assert wide.confidence == 0.99

"""How many more would decide, against statsmodels and by simulation."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from cxr_runner import stats
from cxr_runner.stats.power import Needed


def of_seeds(values, by_images=0.0):
    """Return the estimate of a difference on one split."""
    return stats.mean_over_runs(values, np.zeros(len(values)), np.arange(len(values)), 0.25, by_images)


def with_effect(distance, number=10):
    """Return values whose mean is so many standard deviations from 0."""
    values = np.random.default_rng(0).normal(size=number)
    return (values - values.mean()) / values.std(ddof=1) + distance


@pytest.mark.parametrize("distance", [0.5, 0.3, -0.7])
def test_the_likely_number_of_seeds_is_that_of_a_power_computation(distance):
    found = stats.what_would_decide(of_seeds(with_effect(distance)), 100)
    exact = TTestPower().solve_power(abs(distance), power=0.8, alpha=0.05)
    assert found["seeds"].likely == pytest.approx(exact, rel=0.1)  # larger numbers are tried in steps of a tenth
    assert found["splits"] is None
    assert found["images"] is None  # there are none


def test_the_range_holds_the_true_number_in_four_of_five_cases():
    rng = np.random.default_rng(1)
    held, endless = [], []
    for _ in range(400):
        needed = stats.what_would_decide(of_seeds(rng.normal(0.7, 1, 10)), 100)["seeds"]
        held.append(needed.fewest is not None and needed.fewest <= 18.5 <= (needed.most or np.inf))
        endless.append(needed.most is None)
    assert TTestPower().solve_power(0.7, power=0.8, alpha=0.05) == pytest.approx(18, abs=0.5)
    assert np.mean(held) == pytest.approx(0.8, abs=0.06)
    assert np.mean(endless) > 0.15  # not even the sign is sure then


def test_no_number_of_seeds_decides_where_the_images_are_the_limit():
    values = with_effect(0.3) * 0.001
    found = stats.what_would_decide(of_seeds(values, by_images=0.01**2), 200)
    assert found["seeds"] == Needed(None, None, None)
    images = found["images"]
    assert images.likely is None  # nor any number of images, with the seeds there are
    found = stats.what_would_decide(of_seeds(with_effect(3) * 0.001, by_images=0.003**2), 200)
    assert found["seeds"] == Needed(None, None, None)
    factor = found["images"].likely / 200
    assert factor == pytest.approx((2.8 * 0.003 / 0.003) ** 2, rel=0.2)


def test_more_repeats_do_not_decide_what_the_images_limit():
    rng = np.random.default_rng(0)
    splits, seeds = np.indices((50, 3)).reshape(2, -1)
    values = 0.01 + np.repeat(rng.normal(0, 0.02, 50), 3) + 0.001 * rng.normal(size=150)
    difference = stats.mean_over_runs(values, splits, seeds, 0.25, 0.02**2)
    assert difference.p > 0.05
    found = stats.what_would_decide(difference, 500)
    assert found["splits"].likely is None
    assert found["seeds"].likely is None
    assert found["images"].likely > 500


def test_what_is_decided_needs_no_more_and_a_single_run_says_nothing():
    found = stats.what_would_decide(of_seeds(with_effect(30)), 100)
    assert found["seeds"] == Needed(10, 10, 10)
    assert stats.what_would_decide(of_seeds([0.1]), 100) == {"seeds": None, "splits": None, "images": None}
    assert stats.what_would_decide(of_seeds(np.full(3, 0.1)), 100)["seeds"] is None
    other = stats.what_would_decide(of_seeds(with_effect(30)), 100, bound=30.2)["seeds"]
    assert other.likely > 100

"""The mean over runs of several splits and seeds, against formulas by hand and two-way analyses of variance."""

import numpy as np
import pytest

from cxr_runner import stats


def test_of_one_split_the_mean_over_runs_is_that_over_seeds():
    rng = np.random.default_rng(0)
    values, replicates = rng.normal(0.9, 0.01, 5), rng.normal(0, 0.01, (5, 500))
    expected = stats.mean_over_seeds(values, replicates)
    estimate = stats.mean_over_runs(values, np.zeros(5), np.arange(5), 0.25, np.var(replicates.mean(axis=0)))
    assert (estimate.mean, estimate.low, estimate.high, estimate.p) == pytest.approx(tuple(expected))

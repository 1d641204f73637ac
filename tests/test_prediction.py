"""Where one more run would lie, against Student's prediction interval and resampling."""

import numpy as np
import pytest
import scipy.stats

from cxr_runner import stats

COUNTS = {"tp": 400.0, "fp": 29.0, "fn": 11.0, "tn": 142.0}


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1"])
def test_the_variance_by_images_is_that_of_images_drawn_anew(metric):
    rng, total = np.random.default_rng(0), int(sum(COUNTS.values()))
    tp, fp, fn, tn = rng.multinomial(total, np.array(list(COUNTS.values())) / total, 40_000).T
    drawn = {
        "accuracy": (tp + tn) / total,
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }[metric]
    assert stats.image_variance(metric, COUNTS) == pytest.approx(drawn.var(), rel=0.04)
    tripled = {cell: 3 * number for cell, number in COUNTS.items()}
    assert stats.image_variance(metric, tripled) == pytest.approx(stats.image_variance(metric, COUNTS) / 3)


def test_a_share_of_nothing_has_no_variance():
    assert np.isnan(stats.image_variance("precision", {"tp": 0, "fp": 0, "fn": 5, "tn": 5}))
    assert np.isnan(stats.image_variance("f1", {"tp": 0, "fp": 0, "fn": 0, "tn": 5}))


def test_over_seeds_alone_it_is_students_prediction_interval():
    values = np.array([0.9, 0.93, 0.92, 0.91])
    mean = stats.mean_over_runs(values, np.zeros(4), np.arange(4), 0.0, 0.0)
    half = scipy.stats.t.ppf(0.975, 3) * values.std(ddof=1) * np.sqrt(1 + 1 / 4)
    assert stats.predict_run(mean, 0.0) == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))


def test_images_of_both_and_splits_make_it_wider():
    values = np.array([0.9, 0.93, 0.92, 0.91])
    mean = stats.mean_over_runs(values, np.zeros(4), np.arange(4), 0.0, 0.01**2)
    sides = stats.predict_run(mean, 0.02**2)
    error = np.sqrt(values.var(ddof=1) * 5 / 4 + 0.01**2 + 0.02**2)
    freedom = error**4 / ((values.var(ddof=1) * 5 / 4) ** 2 / 3)
    assert sides.high - sides.estimate == pytest.approx(scipy.stats.t.ppf(0.975, freedom) * error)
    rng = np.random.default_rng(0)
    splits, seeds = np.indices((5, 4)).reshape(2, -1)
    grid = 0.9 + rng.normal(0, 0.02, 5)[splits] + rng.normal(0, 0.005, 20)
    folds = stats.mean_over_runs(grid, splits, seeds, 0.25, 0.0)
    one = stats.mean_over_runs(grid[:4], splits[:4], seeds[:4], 0.0, 0.0)
    assert np.diff(stats.predict_run(folds, 0.0)[1:]) > 1.5 * np.diff(stats.predict_run(one, 0.0)[1:])


def test_a_single_run_predicts_nothing():
    mean = stats.mean_over_runs([0.9], [0], [0], 0.0, 0.01**2)
    assert np.isnan(stats.predict_run(mean, 0.01**2)[1:]).all()

"""The variance between models without that of seeds and images, against simulation and plain sums."""

import numpy as np
import pytest

from cxr_runner import stats


def test_the_variance_between_models_has_no_bias_by_seeds_or_images():
    rng, levels = np.random.default_rng(0), np.array([0.0, 1.0, 2.0, 1.0])
    found, plain = [], []
    for _ in range(3000):
        images = rng.normal(size=(4, 40)) / 40
        values = levels[:, None] + 0.5 * rng.normal(size=5) + rng.normal(size=(4, 5)) + images.sum(axis=1)[:, None]
        found.append(stats.variance_between(values, images - images.mean(axis=1, keepdims=True)))
        plain.append(values.mean(axis=1).var(ddof=1))
    truth = levels.var(ddof=1)
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / np.sqrt(3000))
    assert np.mean(plain) > truth + 0.15  # a fifth of the seeds' variance, and that of the images


def test_without_noise_it_is_the_variance_and_what_seeds_do_to_all_models_alike_is_none():
    levels = np.array([0.9, 0.93, 0.91])
    values = levels[:, None] + np.array([0.0, 0.1, -0.2, 0.3])
    assert stats.variance_between(values) == pytest.approx(levels.var(ddof=1))
    assert stats.between_by_seed(values) == pytest.approx(np.full(4, levels.var(ddof=1)))


def test_the_pseudo_values_have_the_variance_as_their_mean_and_tell_how_uncertain_it_is():
    rng, spread, told = np.random.default_rng(1), [], []
    for _ in range(1500):
        values = np.array([0.0, 0.0, 2.0, 2.0])[:, None] + rng.normal(size=(4, 8))
        pseudo = stats.between_by_seed(values)
        assert pseudo.mean() == pytest.approx(stats.variance_between(values))
        spread.append(pseudo.mean())
        told.append(pseudo.var(ddof=1) / 8)
    assert np.mean(told) == pytest.approx(np.var(spread), rel=0.15)


def test_what_each_patient_adds_is_the_derivative():
    rng = np.random.default_rng(2)
    values, images = rng.normal(size=(4, 6)), rng.normal(size=(4, 10)) / 10
    images -= images.mean(axis=1, keepdims=True)
    step = 1e-6
    for patient in range(10):
        moved = values + step * images[:, [patient]]
        slope = (stats.variance_between(moved) - stats.variance_between(values)) / step
        assert slope == pytest.approx(stats.between_by_image(values, images)[patient], abs=1e-5)

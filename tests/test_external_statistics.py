"""Statistics of a test on foreign images, against scikit-learn, statsmodels and plain formulas."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.calibration import _SigmoidCalibration, _TemperatureScaling

from cxr_runner.stats import (
    auroc,
    auroc_interval,
    calibration_fit,
    decision_curve,
    delong,
    fit_calibration,
    independent_delong,
    resample,
)


def sample(num_images: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=num_images)
    return rng.normal(size=num_images) * 2 + shift * labels, labels


def test_platt_and_temperature_are_those_of_scikit_learn() -> None:
    logits, labels = sample(400, 2.5)
    platt = _SigmoidCalibration().fit(logits, labels)
    fitted = fit_calibration("sigmoid", logits, labels)
    assert (fitted.slope, fitted.intercept) == pytest.approx((-platt.a_, -platt.b_), abs=1e-4)
    temperature = _TemperatureScaling().fit(logits[:, None], labels)
    factor = 2 * temperature.beta_  # it takes a logit z for the two scores -z and z
    assert fit_calibration("temperature", logits, labels) == pytest.approx((factor, 0), abs=1e-4)
    assert fit_calibration("none", logits, labels) == (1, 0)


def test_calibration_slope_and_intercept_are_those_of_logistic_regression() -> None:
    logits, labels = sample(300, 1.5)
    fit = calibration_fit(logits, labels)
    assert fit.slope == pytest.approx(sm.Logit(labels, sm.add_constant(logits)).fit(disp=0).params[1], abs=1e-6)
    family = sm.families.Binomial()
    offset = sm.GLM(labels, np.ones(len(labels)), family=family, offset=logits).fit()
    assert fit.in_the_large == pytest.approx(offset.params[0], abs=1e-6)
    weights = resample(len(labels), replicates=3)
    replicates = calibration_fit(logits, labels, weights)
    for number in range(3):
        weighted = sm.GLM(labels, sm.add_constant(logits), family=family, freq_weights=weights[:, number]).fit()
        assert replicates.slope[number] == pytest.approx(weighted.params[1], abs=1e-5)


def test_a_calibration_of_separated_classes_is_finite() -> None:
    logits, labels = np.r_[np.full(20, -3.0), np.full(20, 3.0)], np.r_[np.zeros(20, int), np.ones(20, int)]
    fitted = fit_calibration("sigmoid", logits, labels)
    assert 0 < fitted.slope < 5
    assert np.isfinite(calibration_fit(logits, labels).slope)
    assert np.isfinite(calibration_fit(np.full(40, 0.5), labels).slope)  # a collapsed model


def test_net_benefit_counts_hits_and_alarms_at_the_odds_of_the_threshold() -> None:
    logits, labels = sample(200, 1.0)
    probabilities = 1 / (1 + np.exp(-logits))
    curve = decision_curve(probabilities, labels)
    for threshold, benefit, act_on_all in zip(*curve, strict=True):
        positive, odds = probabilities > threshold, threshold / (1 - threshold)
        expected = ((positive & (labels == 1)).sum() - (positive & (labels == 0)).sum() * odds) / 200
        assert benefit == pytest.approx(expected)
        assert act_on_all == pytest.approx((labels == 1).mean() - (labels == 0).mean() * odds)


def test_two_samples_of_single_images_are_compared_by_delongs_variances() -> None:
    (one, labels), (other, others) = sample(150, 2.0), sample(120, 0.5, seed=1)
    first, second = (auroc_interval(s, y, np.arange(len(y))) for s, y in ((one, labels), (other, others)))
    # DeLong's test against a model whose AUROC is 1/2 for certain gives the variance of one AUROC.
    halves = [(one, labels), (other, others)]
    errors = [(delong(s, np.zeros_like(s), y).high - auroc(s, y) + 0.5) / 1.959963985 for s, y in halves]
    found = independent_delong(first, second)
    assert found.difference == pytest.approx(float(auroc(one, labels) - auroc(other, others)))
    assert (found.high - found.difference) / 1.959963985 == pytest.approx(np.hypot(*errors), rel=1e-6)
    assert found.p < 0.01
    assert independent_delong(first, first).p == pytest.approx(1)


def test_the_interval_over_patients_is_as_wide_as_their_bootstrap() -> None:
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(80), 4)
    labels = (rng.random(80) < 0.5).astype(int)[patients] ^ (rng.random(320) < 0.1)
    scores = rng.normal(size=80)[patients] + 0.3 * rng.normal(size=320) + labels
    interval, variance = auroc_interval(scores, labels, patients)
    replicates = auroc(scores, labels, resample(320, patients.tolist()))
    assert np.sqrt(variance) == pytest.approx(replicates.std(), rel=0.1)
    apart = auroc_interval(scores, labels, np.arange(320))[1]
    assert variance > 2 * apart  # images of one patient are alike
    assert interval.low < interval.estimate < interval.high

"""How logits become probabilities: calibration fitted on one set of images, and how it holds on another."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import Labels, Values

CalibrationRule = Literal["none", "temperature", "sigmoid"]
_STEPS, _LARGEST = 60, 1e3


class LogitMap(NamedTuple):
    """probability = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float


class CalibrationFit(NamedTuple):
    """Two logistic regressions of labels on logits, float [replicates] or a number each.

    Attributes:
        slope: 1 where logits are as far apart as they should be, below 1 where they are too far, below 0 where they
            point the wrong way.
        in_the_large: intercept at a slope of 1: above 0 where probabilities are too low on the whole.
    """

    slope: Values
    in_the_large: Values


def fit_calibration(rule: CalibrationRule, logits: Values, labels: Labels) -> LogitMap:
    """Fit probabilities to what happened, by maximum likelihood.

    - ``none``: the logits as they are.
    - ``temperature``: one factor for all logits; decisions at 0.5 stay.
    - ``sigmoid``: a factor and a shift, Platt's; his targets, a little inside of 0 and 1, keep it finite.

    Args:
        rule: what is fitted.
        logits: float [images].
        labels: 0 or 1, both among them.

    Source:
        Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017; Platt, "Probabilistic
        Outputs for Support Vector Machines", Advances in Large Margin Classifiers (1999). As scikit-learn's
        ``CalibratedClassifierCV`` with ``method="temperature"`` and ``"sigmoid"`` on a fitted classifier.
    """
    if rule == "none":
        return LogitMap(1.0, 0.0)
    truth = labels == 1
    if rule == "temperature":
        return LogitMap(float(_newton(logits, truth.astype(np.float64), None, slope=True, intercept=False)[0]), 0.0)
    num_positive, num_negative = int(truth.sum()), int((~truth).sum())
    targets = np.where(truth, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    slope, intercept = _newton(logits, targets, None, slope=True, intercept=True)
    return LogitMap(float(slope), float(intercept))


def calibration_fit(logits: Values, labels: Labels, weights: NDArray[np.float64] | None = None) -> CalibrationFit:
    """Return how calibrated logits are on other images.

    Args:
        logits: float [images], calibrated or as they are.
        labels: 0 or 1, both among them.
        weights: float [images, replicates], or None for each image once.

    Source:
        Cox, "Two Further Applications of a Model for Binary Regression", Biometrika 45 (1958), 562-565; Van Calster et
        al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 17 (2019), 230.
    """
    targets = (labels == 1).astype(np.float64)
    slope, _ = _newton(logits, targets, weights, slope=True, intercept=True)
    _, shift = _newton(logits, targets, weights, slope=False, intercept=True)
    return CalibrationFit(slope, shift)


def _newton(
    logits: Values, targets: Values, weights: NDArray[np.float64] | None, *, slope: bool, intercept: bool
) -> tuple[Values, Values]:
    """Fit slope and intercept by Newton's method, all replicates at once; what is not fitted stays at 1 and 0."""
    drawn = np.ones((len(logits), 1)) if weights is None else weights
    scale = float(logits.std()) or 1.0
    column, mean = (logits / scale)[:, None], float(logits.mean()) / scale if slope and intercept else 0.0
    column = column - mean  # apart, the two are told more surely
    a, b = np.full(drawn.shape[1], scale if not slope else 0.0), np.zeros(drawn.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(a * column + b, -500, 500)))
        rest, spread = drawn * (targets[:, None] - p), drawn * p * (1 - p) + 1e-12
        gradient = np.stack([(column * rest).sum(axis=0) * slope, rest.sum(axis=0) * intercept])
        aa, ab, bb = (column**2 * spread).sum(axis=0), (column * spread).sum(axis=0), spread.sum(axis=0)
        if slope and intercept:
            determinant = aa * bb - ab**2 + 1e-300
            step = np.stack([bb * gradient[0] - ab * gradient[1], aa * gradient[1] - ab * gradient[0]]) / determinant
        else:
            step = np.stack([gradient[0] / aa, gradient[1] / bb])
        step = np.clip(step, -2, 2)  # far from the optimum a whole step can leave its reach
        a, b = np.clip(a + step[0], -_LARGEST, _LARGEST), np.clip(b + step[1], -_LARGEST, _LARGEST)
        if np.abs(step).max() < 1e-12:
            break
    factor, shift = a / scale, b - a * mean
    return (factor, shift) if weights is not None else (factor[0], shift[0])

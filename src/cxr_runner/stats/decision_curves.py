"""Decision curves: what acting on a model is worth, whatever a false alarm costs against a missed finding."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import Labels, Values

GRID = np.arange(1, 100) / 100


class DecisionCurve(NamedTuple):
    """Net benefit over the probability above which one acts, each float [points].

    Attributes:
        threshold: probability above which an image counts as positive; its odds are what a false alarm costs against
            what a finding is worth.
        model: net benefit of acting on the model.
        act_on_all: that of acting on all images; acting on none has 0.
    """

    threshold: Values
    model: Values
    act_on_all: Values


def decision_curve(probabilities: Values, labels: Labels, grid: NDArray[np.float64] = GRID) -> DecisionCurve:
    """Return the net benefit of a model: true positives, less false ones at the odds of the threshold, an image.

    Args:
        probabilities: float [images].
        labels: 0 or 1.
        grid: float [points], probabilities above 0 and below 1.

    Source:
        Vickers and Elkin, "Decision Curve Analysis: A Novel Method for Evaluating Prediction Models", Medical Decision
        Making 26 (2006), 565-574.
    """
    odds, share = grid / (1 - grid), float((labels == 1).mean())
    positive, negative = (np.sort(probabilities[labels == label]) for label in (1, 0))
    hits = len(positive) - np.searchsorted(positive, grid, "right")
    alarms = len(negative) - np.searchsorted(negative, grid, "right")
    return DecisionCurve(grid, (hits - alarms * odds) / len(labels), share - (1 - share) * odds)

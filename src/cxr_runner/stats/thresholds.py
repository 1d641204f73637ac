"""Thresholds chosen on the validation split, the shift that a class weight makes, and calibration.

Logits are float [..., images]: the leading axes, runs for example, come back. An image is positive above a threshold. A
threshold chosen on the images that it is tested on flatters: choose it on val, and look at test with it.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import Labels, Values, accuracy, f1, sensitivity, specificity

Logits = NDArray[np.floating[Any]]
ThresholdRule = Literal["zero", "youden", "sensitivity"]
MIN_SENSITIVITY = 0.95
NUM_BINS = 15  # of equal width, as the ECE in metrics.json


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold gives, each float [...].

    Attributes:
        threshold: an image is positive above it.
        sensitivity: share of the positive class that is called so.
        specificity: share of the negative class that is called so.
        accuracy: share of images decided correctly.
        f1: harmonic mean of precision and sensitivity.
    """

    threshold: Values
    sensitivity: Values
    specificity: Values
    accuracy: Values
    f1: Values


@dataclass(frozen=True)
class Reliability:
    """Predicted probabilities against what happened, in bins of equal width.

    Attributes:
        counts: images in each bin, float [bins].
        predicted: mean probability in each, nan where it is empty.
        observed: share of the positive class in each, likewise.
        ece: expected calibration error: the mean distance of the two, over images.
    """

    counts: Values
    predicted: Values
    observed: Values
    ece: float


def choose_threshold(
    rule: ThresholdRule, logits: Logits, labels: Labels, min_sensitivity: float = MIN_SENSITIVITY
) -> Values:
    """Choose a threshold on the validation split.

    - ``zero``: 0, whatever the split says: a probability of 0.5.
    - ``youden``: where sensitivity + specificity - 1 is highest, Youden's J.
    - ``sensitivity``: the highest at which the sensitivity is at least ``min_sensitivity``.

    All thresholds between two neighbouring logits decide alike: 0 is taken where it is among them, else the one in the
    middle. Of several equally good gaps Youden's rule takes the one nearest to 0; where all images have one logit or
    the model tells nothing, that is 0 itself.

    Args:
        rule: rule of choice.
        logits: float [..., images], of the validation split.
        labels: 0 or 1, both among them.
        min_sensitivity: sensitivity that the last rule asks for, above 0 and at most 1.

    Returns:
        float [...].

    Source:
        Youden, "Index for rating diagnostic tests", Cancer 3 (1950), 32-35.
    """
    if rule == "zero":
        return np.zeros(logits.shape[:-1])
    flat = np.asarray(logits, np.float64).reshape(-1, logits.shape[-1])
    chosen = [_choose(rule, row, labels == 1, min_sensitivity) for row in flat]
    return np.array(chosen).reshape(logits.shape[:-1])


def _choose(rule: ThresholdRule, logits: Values, truth: NDArray[np.bool_], min_sensitivity: float) -> float:
    values = np.unique(logits)
    lowest, highest = np.nextafter(values[0], -np.inf), np.nextafter(values[-1], np.inf)
    # In each gap between neighbours, that below all and that above all included, all thresholds decide alike.
    lower, upper = np.r_[lowest, values], np.r_[values, highest]
    middle = lower + (upper - lower) / 2
    middle = np.where(middle < upper, middle, lower)  # between two floats next to each other there is none
    thresholds = np.where((lower <= 0) & (upper > 0), 0.0, middle)
    thresholds[0], thresholds[-1] = min(lowest, 0.0), max(values[-1], 0.0)
    positive, negative = (np.sort(logits[chosen]) for chosen in (truth, ~truth))
    sensitive = 1 - np.searchsorted(positive, thresholds, "right") / len(positive)
    if rule == "sensitivity":
        return float(thresholds[np.flatnonzero(sensitive >= min_sensitivity - 1e-9)[-1]])
    index = sensitive + np.searchsorted(negative, thresholds, "right") / len(negative)
    best = thresholds[index >= index.max() - 1e-9]
    return float(best[np.argmin(abs(best))])


def operating_point(threshold: Values, logits: Logits, labels: Labels) -> OperatingPoint:
    """Return what a threshold gives on a split.

    Args:
        threshold: float [...].
        logits: float [..., images].
        labels: 0 or 1.
    """
    positive = logits > threshold[..., None]
    figures = (figure(positive, labels) for figure in (sensitivity, specificity, accuracy, f1))
    return OperatingPoint(threshold, *figures)


def match_threshold(logits: Logits, labels: Labels, target: float) -> Values:
    """Find the lowest threshold at which at least a share of the negative class is called so.

    Args:
        logits: float [..., images].
        labels: 0 or 1, with a negative one.
        target: specificity, above 0 and at most 1.

    Returns:
        float [...], logits of the negative class. Where many logits are equal, as behind a ReLU, the specificity
        reached can be far above the target.
    """
    negatives = np.sort(logits[..., labels == 0], axis=-1)
    needed = math.ceil(target * negatives.shape[-1] - 1e-9)
    return np.asarray(negatives[..., max(needed, 1) - 1], np.float64)


def sensitivity_at_specificity(
    val: tuple[Logits, Labels], test: tuple[Logits, Labels], target: float
) -> OperatingPoint:
    """Return the sensitivity at a fixed specificity: the threshold from the validation split, the rest from the test.

    Args:
        val: logits and labels of the validation split.
        test: logits and labels of the test split.
        target: specificity asked for.
    """
    return operating_point(match_threshold(*val, target), *test)


def undo_weight_shift(logits: Logits, pos_weight: float) -> Values:
    """Take from logits what a weight of the positive class adds to the best ones: ln(pos_weight).

    The weighted cross-entropy -(w y log p + (1 - y) log(1 - p)) is least at odds of w times the true ones. Logits
    behind a last ReLU cannot be shifted back: what stood below 0 is lost.

    Source:
        Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, theorem 2.
    """
    return np.asarray(logits, np.float64) - math.log(pos_weight)


def reliability(probabilities: Values, labels: Labels, num_bins: int = NUM_BINS) -> Reliability:
    """Bin predicted probabilities and compare each bin with what happened.

    Args:
        probabilities: float [..., images], 0 to 1; the leading axes are pooled.
        labels: 0 or 1.
        num_bins: number of bins of equal width.

    Source:
        Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    flat = probabilities.ravel()
    truth = np.broadcast_to(labels == 1, probabilities.shape).ravel()
    bins = np.minimum((flat * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins).astype(np.float64)
    filled = np.where(counts > 0, counts, np.nan)
    predicted = np.bincount(bins, flat, num_bins) / filled
    observed = np.bincount(bins, truth, num_bins) / filled
    ece = float(np.nansum(counts * abs(predicted - observed)) / len(flat))
    return Reliability(counts, predicted, observed, ece)

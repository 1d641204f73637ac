"""Thresholds chosen on the validation split, the shift that a class weight makes, and calibration.

Logits are float [..., images]: the leading axes, runs for example, come back.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.scores import Labels, Values, sensitivity, specificity

Logits = NDArray[np.floating[Any]]
NUM_BINS = 15  # of equal width, as the ECE in metrics.json


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold gives, each float [...].

    Attributes:
        threshold: an image is positive above it.
        sensitivity: on the test split.
        specificity: on the test split; it was asked for on the validation split.
    """

    threshold: Values
    sensitivity: Values
    specificity: Values


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


def match_threshold(logits: Logits, labels: Labels, target: float) -> Values:
    """Find the lowest threshold at which at least a share of the negative class is called so.

    To be chosen on the validation split: a threshold chosen on the images that it is tested on flatters.

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
    threshold = match_threshold(*val, target)
    logits, labels = test
    positive = logits > threshold[..., None]
    return OperatingPoint(threshold, sensitivity(positive, labels), specificity(positive, labels))


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

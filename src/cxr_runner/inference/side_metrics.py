"""The metrics of a model on one set of images, each with what resampled patients make of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cxr_runner import stats
from cxr_runner.artifacts.operating_file import ModelPoint
from cxr_runner.inference.scored_images import ScoredImages

REPLICATES = 1000
_MOST_CELLS = 2_000_000  # images times replicates that are fitted at once
AT_THRESHOLDS = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
ALL_THRESHOLDS = ("auroc", "brier", "ece", "calibration_slope", "calibration_in_the_large")


@dataclass(frozen=True)
class Measured:
    """One metric.

    Attributes:
        estimate: on the images as they are.
        replicates: float [replicates], on resampled patients.
    """

    estimate: float
    replicates: NDArray[np.float64]

    @property
    def interval(self) -> stats.Interval:
        """The 95 % interval."""
        return stats.percentile_interval(self.estimate, self.replicates)

    def minus(self, other: "Measured") -> stats.Interval:
        """Return the difference to the same metric on other images and other patients."""
        return stats.percentile_interval(self.estimate - other.estimate, self.replicates - other.replicates)


class Side:
    """A model on one set of images, inside or outside of its hospital."""

    def __init__(self, images: ScoredImages, point: ModelPoint, seed: int) -> None:
        """Draw patients; nothing is computed yet.

        Args:
            images: images of both classes.
            point: calibration of the model.
            seed: seed of the draws; that of another side differs.
        """
        self.images, self.point = images, point
        self.weights = stats.resample(len(images), images.units.tolist(), REPLICATES, seed)

    @cached_property
    def calibrated(self) -> NDArray[np.float64]:
        """Logits that give the probabilities of the model, float64 [images]."""
        return self.point.slope * self.images.logits + self.point.intercept

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 [images]."""
        return np.asarray(expit(self.calibrated))

    @cached_property
    def auroc(self) -> tuple[stats.Interval, float]:
        """The AUROC with DeLong's interval, patients taken together, and its variance."""
        return stats.auroc_interval(self.images.logits, self.images.labels, self.images.units)

    def whatever_the_threshold(self) -> dict[str, Measured]:
        """Return the metrics that no threshold decides."""
        labels = self.images.labels
        fits = stats.calibration_fit(self.calibrated, labels), self._calibration()
        area = stats.auroc(self.images.logits, labels), stats.auroc(self.images.logits, labels, self.weights)
        errors = np.square(self.probabilities - labels)
        pairs = {
            "auroc": area,
            "brier": (errors.mean(), errors @ self.weights / self.weights.sum(axis=0)),
            "ece": (self._ece(np.ones((len(labels), 1)))[0], self._ece(self.weights)),
            "calibration_slope": (fits[0].slope, fits[1].slope),
            "calibration_in_the_large": (fits[0].in_the_large, fits[1].in_the_large),
        }
        return {name: Measured(float(estimate), np.asarray(drawn)) for name, (estimate, drawn) in pairs.items()}

    def at(self, threshold: float) -> dict[str, Measured]:
        """Return the metrics of calling images positive above a threshold of the logit."""
        positive = self.images.logits > threshold
        return {
            name: Measured(
                float(_of_decisions(name, positive, self.images.labels, None)),
                _of_decisions(name, positive, self.images.labels, self.weights),
            )
            for name in AT_THRESHOLDS
        }

    def _calibration(self) -> stats.CalibrationFit:
        """Return the calibration of each replicate, some at a time: each takes as much memory as all images."""
        step = max(1, _MOST_CELLS // len(self.images))
        parts = [
            stats.calibration_fit(self.calibrated, self.images.labels, self.weights[:, start : start + step])
            for start in range(0, REPLICATES, step)
        ]
        return stats.CalibrationFit(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _ece(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected calibration error, float [replicates], in the bins of :func:`stats.reliability`."""
        bins = np.minimum((self.probabilities * stats.NUM_BINS).astype(int), stats.NUM_BINS - 1)
        gaps = self.probabilities - self.images.labels
        sums = [abs((gaps[bins == number, None] * weights[bins == number]).sum(axis=0)) for number in np.unique(bins)]
        return np.asarray(np.sum(sums, axis=0) / weights.sum(axis=0))


def _of_decisions(
    name: str, positive: NDArray[np.bool_], labels: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    # Of those called positive, the share that is: the sensitivity of the labels to the decisions, and so below.
    if name == "ppv":
        return stats.sensitivity(labels == 1, positive.astype(np.int64), weights)
    if name == "npv":
        return stats.specificity(labels == 1, positive.astype(np.int64), weights)
    figure = {
        "accuracy": stats.accuracy,
        "sensitivity": stats.sensitivity,
        "specificity": stats.specificity,
        "f1": stats.f1,
    }
    return figure[name](positive, labels, weights)

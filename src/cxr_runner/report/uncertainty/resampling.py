"""Test figures of the study's rows, on the test images as they are and on resampled ones."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.runs.predictions import Predictions

Metric = Literal["accuracy", "f1", "auroc"]
Values = NDArray[np.float64]
LEVEL = 0.05  # a p value below it counts as a difference
ONE_SEED = "a single seed shows no spread, so that no difference over seeds is tested"


class Resampled(NamedTuple):
    """A figure of the living runs of a row.

    Attributes:
        seeds: of the runs.
        values: float [seeds], on the test images as they are.
        replicates: float [seeds, replicates], on resampled ones; all rows see the same.
    """

    seeds: tuple[int, ...]
    values: Values
    replicates: Values

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean())

    def minus(self, other: "Resampled") -> stats.Difference:
        """Return this figure minus that of another row, on the seeds with which both live."""
        common = [seed for seed in self.seeds if seed in other.seeds]
        own, others = ([found.seeds.index(seed) for seed in common] for found in (self, other))
        values, replicates = (
            one[own] - another[others]
            for one, another in ((self.values, other.values), (self.replicates, other.replicates))
        )
        return stats.mean_over_seeds(values, replicates)


class Resampling:
    """The figures of all rows; each is computed once.

    Patients are resampled where they are known, else images.
    """

    def __init__(self, predictions: Predictions) -> None:
        """Draw the images."""
        self.predictions = predictions
        self.weights = stats.resample(len(predictions.test_labels), predictions.patients)
        self.unit = "images" if predictions.patients is None else "patients"  # what is drawn
        self.figure = cache(self._figure)

    def _figure(self, row_id: str, metric: Metric) -> Resampled:
        """Return a figure of a row at the threshold 0, or its AUROC."""
        found = self.predictions.rows[row_id]
        if metric == "auroc":
            labels = self.predictions.test_labels
            values = np.array([stats.auroc(logits, labels) for logits in found.test])
            replicates = np.stack([stats.auroc(logits, labels, self.weights) for logits in found.test])
            return Resampled(found.seeds, values, replicates)
        return self.decided(row_id, metric, found.test > 0)

    def decided(self, row_id: str, metric: Metric, positive: NDArray[np.bool_]) -> Resampled:
        """Return a figure of decisions of a row.

        Args:
            row_id: of the row.
            metric: ``accuracy`` or ``f1``.
            positive: bool [seeds, images].
        """
        function: Callable[..., Values] = {"accuracy": stats.accuracy, "f1": stats.f1}[metric]
        labels = self.predictions.test_labels
        seeds = self.predictions.rows[row_id].seeds
        return Resampled(seeds, function(positive, labels), function(positive, labels, self.weights))

    def median_run(self, row_id: str) -> int:
        """Return the place of the run with the median accuracy, the lower of two."""
        values = self.figure(row_id, "accuracy").values
        return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])

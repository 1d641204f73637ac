"""Test figures of the study's rows, on the test images as they are and on resampled ones."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.predictions import Predictions
from cxr_runner.study import load_study

Metric = Literal["accuracy", "f1", "auroc"]
Values = NDArray[np.float64]


class Resampled(NamedTuple):
    """A figure of the living runs of a row.

    Attributes:
        values: float [seeds], on the test images as they are.
        replicates: float [seeds, replicates], on resampled ones; all rows see the same.
        means: float [replicates], over seeds that are resampled too.
    """

    values: Values
    replicates: Values
    means: Values

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(self.values.mean())


class Resampling:
    """The figures of all rows; each is computed once.

    Patients are resampled where they are known, else images. Seeds of different rows are resampled independently.
    """

    def __init__(self, predictions: Predictions) -> None:
        """Draw the images."""
        self.predictions = predictions
        self.weights = stats.resample(len(predictions.test_labels), predictions.patients)
        self.figure = cache(self._figure)

    def _figure(self, row_id: str, metric: Metric) -> Resampled:
        """Return a figure of a row at the threshold 0, or its AUROC."""
        logits = self.predictions.rows[row_id].test
        if metric == "auroc":
            labels = self.predictions.test_labels
            values = np.array([stats.auroc(one, labels) for one in logits])
            return self._resampled(row_id, values, np.stack([stats.auroc(one, labels, self.weights) for one in logits]))
        return self.decided(row_id, metric, logits > 0)

    def decided(self, row_id: str, metric: Metric, positive: NDArray[np.bool_]) -> Resampled:
        """Return a figure of decisions of a row.

        Args:
            row_id: of the row.
            metric: ``accuracy`` or ``f1``.
            positive: bool [seeds, images].
        """
        function: Callable[..., Values] = {"accuracy": stats.accuracy, "f1": stats.f1}[metric]
        labels = self.predictions.test_labels
        return self._resampled(row_id, function(positive, labels), function(positive, labels, self.weights))

    def median_run(self, row_id: str) -> int:
        """Return the place of the run with the median accuracy, the lower of two."""
        values = self.figure(row_id, "accuracy").values
        return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])

    def _resampled(self, row_id: str, values: Values, replicates: Values) -> Resampled:
        number = [row.id for row in load_study().rows].index(row_id)
        return Resampled(values, replicates, stats.mean_over_seeds(replicates, number))

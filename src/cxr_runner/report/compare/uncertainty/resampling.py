"""Test metrics of the study's rows, on the test images as they are and on resampled ones."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import Predictions

ResampledMetric = Literal["accuracy", "f1", "auroc"]
Values = NDArray[np.float64]


class Resampled(NamedTuple):
    """A metric of the runs of a row that did not collapse.

    Attributes:
        seeds: seeds of the runs.
        values: float [seeds], on the test images as they are.
        replicates: float [seeds, replicates], on resampled ones; all rows see the same.
    """

    seeds: tuple[int, ...]
    values: Values
    replicates: Values

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(self.values.mean())

    def minus(self, other: "Resampled") -> stats.Difference:
        """Return this metric minus that of another row, on the seeds with which neither collapsed."""
        common = [seed for seed in self.seeds if seed in other.seeds]
        mine, others = ([metric.seeds.index(seed) for seed in common] for metric in (self, other))
        values, replicates = (
            one[mine] - another[others]
            for one, another in ((self.values, other.values), (self.replicates, other.replicates))
        )
        return stats.mean_over_seeds(values, replicates)


class Resampling:
    """The metrics of all rows; each is computed once.

    Patients are resampled where they are known, else images.
    """

    def __init__(self, predictions: Predictions) -> None:
        """Draw the images."""
        self.predictions = predictions
        self.weights = stats.resample(len(predictions.test_labels), predictions.patients)
        self.unit = "images" if predictions.patients is None else "patients"  # what is drawn
        self.metric = cache(self._metric)

    def _metric(self, row_id: str, metric: ResampledMetric) -> Resampled:
        """Return a metric of a row at the threshold 0, or its AUROC."""
        answers = self.predictions.rows[row_id]
        if metric == "auroc":
            labels = self.predictions.test_labels
            values = np.array([stats.auroc(logits, labels) for logits in answers.test])
            replicates = np.stack([stats.auroc(logits, labels, self.weights) for logits in answers.test])
            return Resampled(answers.seeds, values, replicates)
        return self.decided(row_id, metric, answers.test > 0)

    def decided(self, row_id: str, metric: ResampledMetric, positive: NDArray[np.bool_]) -> Resampled:
        """Return a metric of decisions of a row.

        Args:
            row_id: id of the row.
            metric: ``accuracy`` or ``f1``.
            positive: bool [seeds, images].
        """
        function: Callable[..., Values] = {"accuracy": stats.accuracy, "f1": stats.f1}[metric]
        labels = self.predictions.test_labels
        seeds = self.predictions.rows[row_id].seeds
        return Resampled(seeds, function(positive, labels), function(positive, labels, self.weights))

    def median_run(self, row_id: str) -> int:
        """Return the index of the run with the median accuracy, the lower of two."""
        values = self.metric(row_id, "accuracy").values
        return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])

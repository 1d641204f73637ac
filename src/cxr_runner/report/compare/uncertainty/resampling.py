"""Test metrics of all runs, on the test images as they are and on resampled ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import Predictions, SplitLogits
from cxr_runner.report.collected_runs import RunSplit

ResampledMetric = Literal["accuracy", "f1", "auroc"]
RESAMPLED_METRICS: tuple[ResampledMetric, ...] = ("accuracy", "f1", "auroc")
Values = NDArray[np.float64]
_MOST_PRODUCTS = 2 * 10**9  # of images by runs by replicates: some ten seconds
_LEAST_REPLICATES = 200  # a variance is then good to a tenth


@dataclass(frozen=True)
class Resampled:
    """A metric of runs of one configuration, or of one minus another on the same splits and seeds.

    Attributes:
        splits: int [runs], number of the split.
        seeds: int [runs].
        tests: int [runs], number of the test images: the same where splits share them.
        sizes: int [runs, 3], images of train, val and test.
        values: float [runs], on the test images as they are.
        replicates: float [runs, replicates], on resampled ones; all runs see the same.
        lowest: the least that the metric can be: 0, of a difference -1.
    """

    splits: NDArray[np.int64]
    seeds: NDArray[np.int64]
    tests: NDArray[np.int64]
    sizes: NDArray[np.int64]
    values: Values
    replicates: Values
    lowest: float = 0.0

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return float(self.values.mean())

    @property
    def shared_test(self) -> bool:
        """Whether all splits have the same test images."""
        return len(np.unique(self.tests)) == 1

    @property
    def held_ratio(self) -> float:
        """Images that change from split to split over training images; 0 of a single split."""
        _, first = np.unique(self.splits, return_index=True)
        trained, val, test = self.sizes[first].sum(axis=0)
        return float((val if self.shared_test else test) / trained) if len(first) > 1 and trained else 0.0

    def estimate(self) -> stats.Estimate:
        """Return the mean over the runs, as uncertain as splits, seeds and test images make it."""
        groups = [self.replicates[self.splits == split].mean(axis=0) for split in np.unique(self.splits)]
        by_images = float(np.mean([np.nanvar(group) for group in groups])) if groups else 0.0
        replicates = (self.values, self.splits, self.seeds, self.held_ratio)
        return stats.mean_over_runs(*replicates, by_images, self.shared_test, bounds=(self.lowest, 1.0))

    def chosen(self, mask: NDArray[np.bool_]) -> "Resampled":
        """Return some of the runs, bool [runs]."""
        numbers = self.splits[mask], self.seeds[mask], self.tests[mask], self.sizes[mask]
        return Resampled(*numbers, self.values[mask], self.replicates[mask], self.lowest)

    def minus(self, other: "Resampled") -> "Resampled":
        """Return this metric minus that of another configuration, on the splits and seeds that both have."""
        keys, others = self._keys(), other._keys()
        common = [key for key in keys if key in others]
        mine, theirs = ([one[key] for key in common] for one in (keys, others))
        return Resampled(
            self.splits[mine],
            self.seeds[mine],
            self.tests[mine],
            np.maximum(self.sizes[mine], other.sizes[theirs]),  # older runs do not say on how many images they trained
            self.values[mine] - other.values[theirs],
            self.replicates[mine] - other.replicates[theirs],
            lowest=-1.0,
        )

    def _keys(self) -> dict[tuple[int, int], int]:
        keys = zip(self.splits.tolist(), self.seeds.tolist(), strict=True)
        return {key: number for number, key in enumerate(keys)}


class RunParts(NamedTuple):
    """What a single run is compared with another by: bool [images], what it decides correctly, and its AUROC."""

    correct: NDArray[np.bool_]
    auroc: stats.AurocParts


class Resampling:
    """The metrics of all runs; each is computed once.

    Patients are resampled where they are known, else images.
    """

    def __init__(self, predictions: Predictions) -> None:
        """Draw the images."""
        self.predictions = predictions
        self.unit = "images" if predictions.patients is None else "patients"  # what is drawn
        self.metric = cache(self._metric)
        self.parts = cache(self._parts)
        every = [one for splits in predictions.configurations.values() for one in splits]
        self._tests: dict[bytes, int] = {}
        self._numbers = {split: number for number, split in enumerate(dict.fromkeys(one.split for one in every))}
        tested = sum(one.test.size for one in every)
        replicates = min(stats.REPLICATES, max(_LEAST_REPLICATES, _MOST_PRODUCTS // max(tested, 1)))
        num_images = len(predictions.labels)
        self._weights = stats.resample(num_images, predictions.patients, replicates) if num_images else np.zeros((0, 0))

    def splits(self, configuration: str) -> tuple[SplitLogits, ...]:
        """Return the logits of a configuration, a split each."""
        return self.predictions.configurations[configuration]

    def collapsed(self, configuration: str) -> NDArray[np.bool_]:
        """Return which runs of a configuration collapsed, bool [runs], in the order of :meth:`metric`."""
        return np.concatenate([one.collapsed for one in self.splits(configuration)])

    def differences(self, first: str, second: str) -> dict[str, stats.Estimate]:
        """Return by metric one configuration minus another; nothing where they have no split and seed in common."""
        found = {key: self.metric(first, key).minus(self.metric(second, key)) for key in RESAMPLED_METRICS}
        return {key: difference.estimate() for key, difference in found.items() if len(difference.values)}

    def decided(self, configuration: str, metric: ResampledMetric, called: Sequence[NDArray[np.bool_]]) -> Resampled:
        """Return a metric of decisions.

        Args:
            configuration: name of the configuration.
            metric: ``accuracy`` or ``f1``.
            called: of each split, what its runs call positive, bool [seeds, images].
        """
        function: Callable[..., Values] = {"accuracy": stats.accuracy, "f1": stats.f1}[metric]
        return self._resampled(configuration, [
            (function(positive, labels), function(positive, labels, weights))
            for positive, (labels, weights) in zip(called, self._images(configuration), strict=True)
        ])  # fmt: skip

    def _metric(self, configuration: str, metric: ResampledMetric) -> Resampled:
        """Return a metric of a configuration at the threshold 0, or its AUROC."""
        splits = self.splits(configuration)
        if metric != "auroc":
            return self.decided(configuration, metric, [one.test > 0 for one in splits])
        measured = []
        for one, (labels, weights) in zip(splits, self._images(configuration), strict=True):
            values = np.array([stats.auroc(logits, labels) for logits in one.test])
            measured.append((values, np.stack([stats.auroc(logits, labels, weights) for logits in one.test])))
        return self._resampled(configuration, measured)

    def _parts(self, configuration: str) -> dict[tuple[RunSplit, int], RunParts]:
        """Return what single runs are compared by, of each split and seed of a configuration."""
        found = {}
        for one, (labels, _) in zip(self.splits(configuration), self._images(configuration), strict=True):
            for seed, logits in zip(one.seeds, one.test, strict=True):
                found[one.split, seed] = RunParts((logits > 0) == (labels == 1), stats.auroc_parts(logits, labels))
        return found

    def _images(self, configuration: str) -> list[tuple[NDArray[np.int64], Values]]:
        """Return labels and weights of the test images of each split."""
        labels, weights = self.predictions.labels, self._weights
        rows = [one.test_rows for one in self.splits(configuration)]
        every = np.arange(len(labels))
        return [(labels[row], weights if np.array_equal(row, every) else weights[row]) for row in rows]

    def _resampled(self, configuration: str, measured: Sequence[tuple[Values, Values]]) -> Resampled:
        splits = self.splits(configuration)
        numbers = [np.full(len(one.seeds), self._numbers[one.split]) for one in splits]
        values, replicates = (np.concatenate(parts) for parts in zip(*measured, strict=True))
        seeds = np.concatenate([np.array(one.seeds, np.int64) for one in splits])
        tests = [self._tests.setdefault(one.test_rows.tobytes(), len(self._tests)) for one in splits]
        sizes = [(one.num_train, len(one.val_labels), len(one.test_rows)) for one in splits]
        of_runs = [len(one.seeds) for one in splits]
        return Resampled(
            np.concatenate(numbers),
            seeds,
            np.repeat(tests, of_runs),
            np.repeat(sizes, of_runs, axis=0),
            values,
            replicates,
        )

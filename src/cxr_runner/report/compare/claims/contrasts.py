"""Differences between models, seed by seed and, for test metrics, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_runner.report.compare.claims.run_numbers import Decisions, RunNumbers
from cxr_runner.stats.power import Effect

ON_IMAGES = ("accuracy", "f1")  # the definitions that are computed from decisions on the test images


@dataclass(frozen=True)
class Contrast:
    """A difference between models.

    Attributes:
        effect: the difference.
        num_tried: seeds with which all models were trained, collapsed or not.
    """

    effect: Effect
    num_tried: int


@dataclass(frozen=True)
class _Value:
    """One number of one run, and what each test image adds to it; their mean is 0."""

    value: float
    images: NDArray[np.float64]

    def __add__(self, other: "_Value") -> "_Value":
        return _Value(self.value + other.value, self.images + other.images)

    def times(self, factor: float) -> "_Value":
        return _Value(factor * self.value, factor * self.images)


def contrast_pair(
    statistic: str,
    first: Sequence[str],
    second: Sequence[str],
    runs: Mapping[str, Sequence[RunNumbers]],
    spread: bool,
    factor: float,
) -> Contrast:
    """Return the second group minus the first, on the seeds with which no model of either collapsed.

    Args:
        statistic: id of a definition.
        first: ids of the rows of the first group.
        second: ids of the rows of the second group.
        runs: runs by the id of their row.
        spread: whether a group stands for the difference between its highest and lowest row, else for the mean.
        factor: factor that the first group is multiplied by.
    """

    def value(by_row: Mapping[str, _Value]) -> _Value:
        combine = _spread if spread else _mean
        return combine([by_row[row] for row in second]) + combine([by_row[row] for row in first]).times(-factor)

    by_seed, num_tried, patients = _by_seed(statistic, runs)
    return _contrast([value(by_row) for by_row in by_seed], num_tried, patients)


def contrast_row(statistic: str, row: str, runs: Mapping[str, Sequence[RunNumbers]]) -> Contrast:
    """Return the number of one row itself."""
    by_seed, num_tried, patients = _by_seed(statistic, runs)
    return _contrast([by_row[row] for by_row in by_seed], num_tried, patients)


def _by_seed(
    statistic: str, runs: Mapping[str, Sequence[RunNumbers]]
) -> tuple[list[dict[str, _Value]], int, NDArray[np.int64]]:
    """Return the values of all rows for each seed with which none collapsed, seeds tried, patients of images."""
    tried = set.intersection(*({run.seed for run in of_row} for of_row in runs.values()))
    reference = next(
        (run.decisions for of_row in runs.values() for run in of_row if run.decisions and run.trained), None
    )
    values: dict[str, dict[int, _Value]] = {}
    for row, of_row in runs.items():
        by_seed = {run.seed: _value(run, statistic) for run in of_row if run.trained}
        values[row] = {seed: value for seed, value in by_seed.items() if value is not None}
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    patients = reference.groups if reference and statistic in ON_IMAGES else np.zeros(0, np.int64)
    return [{row: by_seed[seed] for row, by_seed in values.items()} for seed in seeds], len(tried), patients


def _value(run: RunNumbers, statistic: str) -> _Value | None:
    """Return the number of a run; None where it has none."""
    if statistic not in ON_IMAGES:
        value = run.numbers.get(statistic)
        return None if value is None else _Value(value, np.zeros(0))
    if run.decisions is None:
        return None
    return _accuracy(run.decisions) if statistic == "accuracy" else _f1(run.decisions)


def _accuracy(decisions: Decisions) -> _Value:
    correct = (decisions.called == decisions.labels).astype(np.float64)
    return _Value(float(correct.mean()), correct - correct.mean())


def _f1(decisions: Decisions) -> _Value:
    """Return F1, a ratio of two means over images, and its linear term in each image (the delta method)."""
    above = 2.0 * (decisions.called & decisions.labels)
    below = decisions.called.astype(np.float64) + decisions.labels
    score = above.mean() / below.mean() if below.any() else 0.0
    images = (above - score * below) / below.mean() if below.any() else np.zeros(len(below))
    return _Value(float(score), images)


def _mean(values: Sequence[_Value]) -> _Value:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total.times(1 / len(values))


def _spread(values: Sequence[_Value]) -> _Value:
    ordered = sorted(values, key=lambda value: value.value)
    return ordered[-1] + ordered[0].times(-1)


def _contrast(values: Sequence[_Value], num_tried: int, patients: NDArray[np.int64]) -> Contrast:
    seeds = np.array([value.value for value in values], np.float64)
    if not len(patients) or not values:
        return Contrast(Effect(seeds, np.zeros(0)), num_tried)
    by_image = np.mean([value.images for value in values], axis=0)
    by_patient = np.bincount(patients, by_image)
    each = len(by_image) / len(by_patient)
    return Contrast(Effect(seeds, by_patient / each, each), num_tried)

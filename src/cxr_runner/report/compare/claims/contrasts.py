"""Differences between models, run by run with equal seeds on equal splits and, for test metrics, image by image."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.compare.claims.image_numbers import IMAGE_NUMBERS, ImageNumber
from cxr_runner.report.compare.claims.observed_runs import Observed
from cxr_runner.report.compare.claims.run_numbers import RunNumbers

_LEAST_SEEDS = 3  # with which a variance between models has pseudo-values


class Compared(NamedTuple):
    """What is compared: the second group minus so many times the first, which may be empty."""

    statistic: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    spread: bool = False
    factor: float = 1.0


@dataclass(frozen=True)
class Contrast:
    """A difference between models, or the number of one model.

    Attributes:
        effect: its mean over the runs with which no model collapsed.
        kept: share of the splits and seeds with which all models were trained that is in the mean.
        seeds_tried: seeds among them, with which a model collapsed or not.
        of_all: the mean with the runs that collapsed, as far as these have the number; nan where there are none, and of
            variances between models.
        num_images: test images of a split; 0 where they are not the matter.
    """

    effect: stats.Estimate
    kept: float
    seeds_tried: int
    of_all: float = math.nan
    num_images: int = 0


_Cell = tuple[int, int]  # split and seed
_Cells = list[dict[str, ImageNumber]]  # values by row, a dictionary a seed


def contrast_models(compared: Compared, runs: Mapping[str, Sequence[RunNumbers]], observed: Observed) -> Contrast:
    """Return the second group minus the first, on the splits and seeds with which no model of either collapsed.

    Args:
        compared: what is compared.
        runs: runs by the id of their row, of all rows of both groups.
        observed: the runs that these are among.
    """
    tried = set.intersection(*({run.cell for run in of_row} for of_row in runs.values()))
    by_row = {row: _values([run for run in of_row if run.trained], compared) for row, of_row in runs.items()}
    cells = _common(by_row)
    if compared.spread:
        seeds = Counter(split for split, _ in cells)
        cells = [cell for cell in cells if seeds[cell[0]] >= _LEAST_SEEDS]
    values, by_images = [], []
    for split in dict.fromkeys(split for split, _ in cells):
        of_split = [{row: of_row[cell] for row, of_row in by_row.items()} for cell in cells if cell[0] == split]
        numbers, images = _between(compared, of_split) if compared.spread else _of_means(compared, of_split)
        values.append(numbers)
        by_images.append(float(np.square(images).sum()) * len(images) / max(1, len(images) - 1))
    effect = stats.mean_over_runs(
        np.concatenate([np.zeros(0), *values]),
        [split for split, _ in cells],
        [seed for _, seed in cells],
        observed.held_ratio,
        float(np.mean(by_images)) if by_images else 0.0,
        observed.shared_test,
    )
    kept = len(cells) / len(tried) if tried else 0.0
    num_images = _num_images(runs) if compared.statistic in IMAGE_NUMBERS else 0
    return Contrast(effect, kept, len({seed for _, seed in tried}), _mean_of_all(compared, runs, cells), num_images)


def _values(runs: Sequence[RunNumbers], compared: Compared) -> dict[_Cell, ImageNumber]:
    """Return the numbers of runs of a model by split and seed."""
    found = {run.cell: _value(run, compared.statistic) for run in runs}
    return {cell: value for cell, value in found.items() if value is not None}


def _common(by_row: Mapping[str, Mapping[_Cell, ImageNumber]]) -> list[_Cell]:
    """Return the splits and seeds that all models have."""
    return sorted(set.intersection(*(set(by_cell) for by_cell in by_row.values())))


def _mean_of_all(compared: Compared, runs: Mapping[str, Sequence[RunNumbers]], kept: Sequence[_Cell]) -> float:
    """Return the mean with the runs that collapsed; nan where that is no other than that of those which were kept."""
    by_row = {row: _values(of_row, compared) for row, of_row in runs.items()}
    cells = _common(by_row)
    if compared.spread or len(cells) == len(kept):
        return math.nan
    numbers = [_of_means(compared, [{row: of_row[cell] for row, of_row in by_row.items()}])[0] for cell in cells]
    return float(np.mean(numbers))


def _of_means(compared: Compared, of_split: _Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the difference of both groups' means with each seed, and what each patient adds to it over the seeds."""
    signs = [(row, -compared.factor / len(compared.first)) for row in compared.first]
    signs += [(row, 1 / len(compared.second)) for row in compared.second]
    weights = np.array([sign for _, sign in signs])
    values = np.array([[by_row[row].value for row, _ in signs] for by_row in of_split])
    images = np.array([[by_row[row].images for row, _ in signs] for by_row in of_split])
    return values @ weights, weights @ images.mean(axis=0)


def _between(compared: Compared, of_split: _Cells) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same of the variances between the models of both groups, as pseudo-values with each seed."""
    groups = ((compared.second, 1.0), (compared.first, -compared.factor))
    numbers, images = np.zeros(len(of_split)), np.zeros(len(of_split[0][compared.second[0]].images))
    for rows, sign in groups:
        values = np.array([[by_row[row].value for by_row in of_split] for row in rows])
        added = np.array([np.mean([by_row[row].images for by_row in of_split], axis=0) for row in rows])
        numbers += sign * stats.between_by_seed(values, added)
        images += sign * stats.between_by_image(values, added)
    return numbers, images


def _value(run: RunNumbers, statistic: str) -> ImageNumber | None:
    """Return the number of a run; None where it has none."""
    if statistic not in IMAGE_NUMBERS:
        value = run.numbers.get(statistic)
        return None if value is None else ImageNumber(value, np.zeros(0))
    return None if run.decisions is None else IMAGE_NUMBERS[statistic](run.decisions)


def _num_images(runs: Mapping[str, Sequence[RunNumbers]]) -> int:
    sizes = [len(run.decisions.labels) for of_row in runs.values() for run in of_row if run.decisions]
    return round(np.mean(sizes)) if sizes else 0

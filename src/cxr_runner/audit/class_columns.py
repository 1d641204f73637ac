"""Columns of subgroups by class: what view, sex or machine tell of the class before a model sees a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.artifacts.levels import find_levels
from cxr_runner.base.markdown import printable
from cxr_runner.data.dataset import Dataset
from cxr_runner.stats.groups import compare_shares

# A column tells the class where its shares differ beyond chance, and by so much that a model may use it.
MOST_P = 0.001
LEAST_V = 0.1  # Cramér's
LEAST_DIFFERENCE = 0.1  # of the share of one value; of a rare class V is small however large that is
_PERMUTATIONS = 99_999  # so that p can be below 0.001 after the correction for so many levels as a column may have


@dataclass(frozen=True)
class LevelCounts:
    """One value of a column.

    Attributes:
        value: the value; ``other`` for those that few images have, ``not known`` for none.
        counts: number of images of each class, by split.
        images: number of images of each class in all splits.
        shares: share of the images of each class that have the value.
    """

    value: str
    counts: dict[str, dict[str, int]]
    images: dict[str, int]
    shares: dict[str, float]


@dataclass(frozen=True)
class ClassColumn:
    """One column of subgroups.

    Attributes:
        name: name of the column.
        levels: its values.
        num_pooled: number of different values that are counted as ``other``.
        unit: ``images`` or ``patients``: what is permuted for the p value.
        p: that the classes have the same shares of all values.
        cramers_v: Cramér's V of value and class, over images.
        telling: whether the column tells the class: p is below 0.001, and V at least 0.1 or a difference above 0.1.
    """

    name: str
    levels: tuple[LevelCounts, ...]
    num_pooled: int
    unit: str
    p: float
    cramers_v: float
    telling: bool

    @property
    def chance(self) -> str:
        """The p value as text."""
        return "p < 0.001" if self.p < MOST_P else f"p {self.p:.3f}"

    @property
    def most_different(self) -> LevelCounts:
        """The value whose share differs most between the classes."""
        return max(self.levels, key=_difference)


def count_columns(dataset: Dataset) -> tuple[ClassColumn, ...]:
    """Count the values of every column of subgroups by class and split."""
    return tuple(_count(dataset, str(name)) for name in dataset.subgroups.columns)


def _count(dataset: Dataset, name: str) -> ClassColumn:
    table = dataset.table
    found = find_levels(dataset.subgroups[name].tolist())
    counted = pd.DataFrame({"level": found.codes, "label": table["label"], "split": table["split"]})
    levels = [_level(counted, code, value, dataset.class_names) for code, value in enumerate(found.names)]
    known = bool((table["patient"] != "").any())
    p = _chance(found.codes, table["label"].to_numpy(np.int64), table["patient"].tolist())
    v = _cramers_v(pd.crosstab(counted["level"], counted["label"]).to_numpy(np.float64))
    telling = p < MOST_P and (v >= LEAST_V or max(map(_difference, levels)) > LEAST_DIFFERENCE)
    unit = "patients" if known else "images"
    return ClassColumn(printable(name), tuple(levels), found.num_pooled, unit, p, v, telling)


def _level(counted: pd.DataFrame, code: int, value: str, class_names: tuple[str, str]) -> LevelCounts:
    of_level = counted[counted["level"] == code]
    images = {name: int((of_level["label"] == label).sum()) for label, name in enumerate(class_names)}
    wholes = [int((counted["label"] == label).sum()) for label in (0, 1)]
    counts = {
        split: {
            name: int(((of_level["label"] == label) & (of_level["split"] == split)).sum())
            for label, name in enumerate(class_names)
        }
        for split in ("train", "val", "test")
    }
    shares = {name: images[name] / max(1, whole) for name, whole in zip(class_names, wholes, strict=True)}
    return LevelCounts(value, counts, images, shares)


def _difference(level: LevelCounts) -> float:
    negative, positive = level.shares.values()
    return abs(positive - negative)


def _chance(levels: NDArray[np.int64], labels: NDArray[np.int64], patients: Sequence[str]) -> float:
    """Return the p value that the classes have the same shares of all levels, by Bonferroni from one test for each.

    Classes are permuted among patients: ten images of one patient are not ten times the evidence.
    """
    # No name of a patient holds a null character: each image whose patient is not known is of one of its own.
    units = pd.factorize(np.array([patient or f"\0{row}" for row, patient in enumerate(patients)], object))[0]
    num_levels = int(levels.max()) + 1
    if num_levels == 1:
        return 1.0
    tested = range(num_levels if num_levels > 2 else 1)  # of two, what one is not the other is
    chances = [compare_shares((levels == code)[None], labels, units, _PERMUTATIONS) for code in tested]
    return min(1.0, len(tested) * min(chances))


def _cramers_v(counts: NDArray[np.float64]) -> float:
    """Return Cramér's V of a table of levels by classes; 0 for a single level.

    Source:
        Cramér, "Mathematical Methods of Statistics" (1946), section 21.9.
    """
    if min(counts.shape) < 2:
        return 0.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(np.sqrt((np.square(counts - expected) / expected).sum() / counts.sum() / (min(counts.shape) - 1)))

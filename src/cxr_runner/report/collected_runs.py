"""Runs as they were collected: one, those on the same images at one size, those that repeat a row of the study."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.data.sources import About

if TYPE_CHECKING:  # they are named here, and made elsewhere
    from cxr_runner.study import Row, Study


class Histories(NamedTuple):
    """The histories of runs that differ in their seed alone: of those that did not collapse, and of those that did."""

    trained: list[pd.DataFrame]
    collapsed: list[pd.DataFrame]


@dataclass(frozen=True)
class ImageLogits:
    """What a run answers to the images of val and test.

    Attributes:
        images: one row an image: ``split``, ``name``, ``label``, and ``patient`` where it was noted. Runs on the same
            images may share the table.
        logits: float [images].
        subgroups: names of those columns of ``images`` that hold subgroups, text, '' where it is not known.
    """

    images: pd.DataFrame
    logits: NDArray[np.float64]
    subgroups: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunSplit:
    """How the images of a run were divided into train, val and test.

    Attributes:
        seed: seed of the split.
        folds: number of folds; None for a split that is none of several.
        fold: which of them, from 0; None where there are none.
        fingerprint: fingerprint of the images, labels and splits, all training images among them.
    """

    seed: int
    folds: int | None
    fold: int | None
    fingerprint: str

    @property
    def order(self) -> tuple[int, int, str]:
        """What splits are sorted by."""
        return self.seed, -1 if self.fold is None else self.fold, self.fingerprint

    @property
    def words(self) -> str:
        """The split in words."""
        of_folds = "" if self.fold is None else f", fold {self.fold} of {self.folds}"
        return f"split seed {self.seed}{of_folds}"


@dataclass(frozen=True)
class CollectedRun:
    """One run.

    Attributes:
        directory: run directory.
        path: the same, relative to the folder that the report is of, as texts show it.
        name: name of the run, without its id.
        id: id of the run but for its seed.
        seed: seed of the run.
        split: how its images were divided.
        configuration: name of its configuration, which runs share that differ in seed and split alone.
        row: id of the study's row that it repeats; None where it is none of the study's.
        config: configuration, nested.
        metrics: content of ``metrics.json``.
        data: content of ``data.json``.
        started: when it began, UTC in ISO 8601; '' where that is not known.
        pictures: names of the pictures in its directory.
        has_checksums: whether its files were compared with checksums.
        history: one row an epoch; None where it cannot be drawn.
        history_problem: why it cannot, '' where it can.
        predictions: predictions where they were read with the run, as those of runs with checksums are.
    """

    directory: Path
    path: str
    name: str
    id: str
    seed: int
    split: RunSplit
    configuration: str
    row: str | None
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    started: str = ""
    pictures: tuple[str, ...] = ()
    has_checksums: bool = False
    history: pd.DataFrame | None = None
    history_problem: str = ""
    predictions: ImageLogits | None = None


@dataclass(frozen=True)
class SizedRuns:
    """The finished runs on the same images at one size, however these are split.

    Attributes:
        about: title, citation, licence.
        source: fingerprint of the images and labels before they were resized and split; of runs that do not know it,
            that of images, labels and splits.
        runs: runs in the order of their paths.
        table: one row a run, in the same order, as :func:`cxr_runner.load_runs` returns it.
        diverged: runs on the same images whose numbers left the range of floating point; they are in no table.
    """

    about: About
    source: str
    runs: tuple[CollectedRun, ...]
    table: pd.DataFrame
    diverged: tuple[CollectedRun, ...] = ()

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return int(self.table["image_size"].iloc[0])

    @cached_property
    def ordered(self) -> tuple[CollectedRun, ...]:
        """The runs by configuration, split and seed."""
        return tuple(sorted(self.runs, key=lambda run: (run.configuration, run.split.order, run.seed)))

    @cached_property
    def ordered_table(self) -> pd.DataFrame:
        """The table of runs in that order."""
        return self.table.set_index("path", drop=False).loc[[run.path for run in self.ordered]].reset_index(drop=True)

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of images, labels and splits: one a split, in order of these."""
        splits = sorted({run.split for run in self.runs}, key=lambda split: split.order)
        return tuple(dict.fromkeys(split.fingerprint for split in splits))


@dataclass(frozen=True)
class Repetition:
    """The runs that repeat a row of the study: one configuration at one image size, one run a seed and split.

    Attributes:
        row: row of the study.
        image_size: side of the images in pixels.
        runs: runs in the order of their paths.
        table: one row a run, in the same order, as :func:`cxr_runner.load_runs` returns it.
    """

    row: "Row"
    image_size: int
    runs: tuple[CollectedRun, ...]
    table: pd.DataFrame

    @property
    def num_collapsed(self) -> int:
        """How many runs give one and the same output for all images."""
        return int(self.table["collapsed"].sum())

    @property
    def not_collapsed(self) -> pd.DataFrame:
        """The rows of the table whose runs did not collapse."""
        return self.table[~self.table["collapsed"]]


def repetitions(sized: SizedRuns, study: "Study") -> Iterable[Repetition]:
    """Yield the repetitions at one size; where several configurations repeat a row, that with the most runs."""
    names = pd.Series([run.configuration for run in sized.runs])
    rows = sized.table["row"].reset_index(drop=True)
    for row in study.rows:
        counts = names[(rows == row.id).to_numpy(bool, na_value=False)].value_counts()
        if counts.empty:
            continue
        chosen = min(counts[counts == counts.max()].index)
        mask = (names == chosen).to_numpy()
        runs = tuple(run for run, taken in zip(sized.runs, mask, strict=True) if taken)
        yield Repetition(row, sized.image_size, runs, sized.table[mask].reset_index(drop=True))

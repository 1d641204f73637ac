"""What a report is made from: all that the files of the runs say, read once and never changed.

Nothing here reads a file. :mod:`cxr_runner.report.collect` makes these objects; comparing and rendering take them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.artifacts.samples import Sample
from cxr_runner.data.sources import About, data_heading
from cxr_runner.report.collected_runs import CollectedRun, Histories, Repetition, RunSplit, SizedRuns, repetitions

if TYPE_CHECKING:  # they are named here, and made elsewhere
    from cxr_runner.study import Study


@dataclass(frozen=True)
class SplitLogits:
    """What the runs of a configuration on one split answer.

    Attributes:
        split: the split.
        num_train: number of training images of the split: two splits have the fewer in common, the fewer these are.
        seeds: seeds of the runs.
        collapsed: bool [seeds], which of them collapsed.
        val_labels: int [images of val], 0 or 1.
        val: float [seeds, images of val].
        test_rows: int [images of test], rows of the images of :class:`Predictions`.
        test: float [seeds, images of test].
    """

    split: RunSplit
    num_train: int
    seeds: tuple[int, ...]
    collapsed: NDArray[np.bool_]
    val_labels: NDArray[np.int64]
    val: NDArray[np.float64]
    test_rows: NDArray[np.int64]
    test: NDArray[np.float64]

    @property
    def trained(self) -> "SplitLogits":
        """The runs that did not collapse; there may be none."""
        return self.chosen(~self.collapsed)

    def chosen(self, mask: NDArray[np.bool_]) -> "SplitLogits":
        """Return some of the runs, bool [seeds]."""
        seeds = tuple(seed for seed, taken in zip(self.seeds, mask, strict=True) if taken)
        return replace(self, seeds=seeds, collapsed=self.collapsed[mask], val=self.val[mask], test=self.test[mask])


@dataclass(frozen=True)
class Predictions:
    """The predictions on one data set.

    Attributes:
        names: name of every image that a run was tested on.
        labels: int [images], 0 or 1.
        patients: patient of every image; None where they are not known.
        configurations: logits by the name of a configuration, a split each, in order.
        problems: why the predictions of other runs are not among them, by the paths of these.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    patients: tuple[str, ...] | None
    configurations: Mapping[str, tuple[SplitLogits, ...]]
    problems: Mapping[str, str]


NO_PREDICTIONS = Predictions((), np.zeros(0, np.int64), None, {}, {})


class ImageThumbnail(NamedTuple):
    """A small picture of an image as models see it.

    Attributes:
        content: a JPEG file.
        side: side of the square that models see, in pixels.
        source_size: width and height of the image in its source, in pixels.
    """

    content: bytes
    side: int
    source_size: tuple[int, int]

    @property
    def words(self) -> str:
        """The size of what models see, and what was done to get it."""
        smaller, larger = sorted(self.source_size)
        if smaller == larger == self.side:
            return f"{self.side} px, as in its source"
        done = "enlarged" if self.side > larger else "reduced" if self.side < smaller else "stretched"
        return f"{self.side} px, {done} from {self.source_size[0]:,} × {self.source_size[1]:,}"


@dataclass(frozen=True)
class Withheld:
    """What a report leaves out on request.

    Attributes:
        names: names of images and of patients.
        images: the images themselves.
    """

    names: bool = False
    images: bool = False

    @property
    def words(self) -> str:
        """What is left out, in words; '' for nothing."""
        return "; ".join(["names of images and patients"] * self.names + ["images"] * self.images)


NOTHING_WITHHELD = Withheld()


@dataclass(frozen=True)
class DataSetRuns:
    """The runs on one data set, at one or several image sizes.

    Sizes stand beside each other and are never averaged together; different images never share a table or a figure.

    Attributes:
        study: study whose rows runs may repeat.
        sizes: runs of every image size, the largest first.
        samples: a few of the images; may be none.
        predictions: predictions of the runs.
        withheld: what was left out of all this on request.
        stated: when each claim of the study was first seen beside these runs, by its id; empty where nobody asks.
    """

    study: "Study"
    sizes: tuple[SizedRuns, ...]
    samples: tuple[Sample, ...] = ()
    predictions: Predictions = NO_PREDICTIONS
    withheld: Withheld = NOTHING_WITHHELD
    stated: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> About:
        """Title, citation, licence."""
        return self.sizes[0].about

    @property
    def heading(self) -> str:
        """The title, marked where the images are synthetic."""
        return data_heading(self.about)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The content of ``data.json`` of the first run, of those on all training images if there are any."""
        every = [run.data for run in self.sizes[0].runs]
        return next((data for data in every if "train_share" not in str(data.get("split"))), every[0])

    @property
    def data_config(self) -> dict[str, Any]:
        """The configuration of the images, that of the first run."""
        config: dict[str, Any] = self.sizes[0].runs[0].config["data"]
        return config

    @property
    def image_sizes(self) -> list[int]:
        """The sides of the images in pixels, the largest first."""
        return [sized.image_size for sized in self.sizes]

    @cached_property
    def runs(self) -> dict[str, CollectedRun]:
        """All finished runs by their paths."""
        return {run.path: run for sized in self.sizes for run in sized.runs}

    @cached_property
    def repetitions(self) -> dict[str, Repetition]:
        """The runs of every row of the study that was repeated, those on the largest images, by the row's id."""
        largest: dict[str, Repetition] = {}
        for sized in self.sizes:
            for repetition in repetitions(sized, self.study):
                largest.setdefault(repetition.row.id, repetition)
        return largest

    @cached_property
    def study_asked_for(self) -> bool:
        """Whether somebody has trained a row of the study as one, on its images or by its name, or has named it."""
        study = self.study
        if self.repetitions and (study.asked or self.data_config.get("name") == study.images):
            return True
        named = {row.id: row.run_name for row in study.rows}
        return any(run.row is not None and run.name == named[run.row] for run in self.runs.values())

    def histories(self, table: pd.DataFrame) -> Histories:
        """Return the histories of runs that are given as rows of the table of runs."""
        drawable = [path for path in table["path"] if self.runs[path].history is not None]
        known = table[table["path"].isin(drawable)]
        collapsed = known["collapsed"].to_numpy(bool)
        masks = (~collapsed, collapsed)
        return Histories(*([self._history(path) for path in known["path"][mask]] for mask in masks))

    def _history(self, path: str) -> pd.DataFrame:
        history = self.runs[path].history
        assert history is not None
        return history

    def table(self, runs: Iterable[CollectedRun]) -> pd.DataFrame:
        """Return the rows of the table of runs that belong to some of them."""
        whole = pd.concat([sized.table for sized in self.sizes])
        return whole[whole["path"].isin([run.path for run in runs])]

    def tables(self, row_ids: Iterable[str], collapsed: bool = True) -> dict[str, pd.DataFrame]:
        """Return the runs of the rows that have some, all of them or those that did not collapse."""
        repeated = [self.repetitions[row_id] for row_id in row_ids if row_id in self.repetitions]
        tables = {one.row.id: one.table if collapsed else one.not_collapsed for one in repeated}
        return {row_id: table for row_id, table in tables.items() if len(table)}

    def size_notes(self, row_ids: Iterable[str]) -> dict[str, str]:
        """Return what to write behind the names of rows that have runs: their image size, where it differs."""
        sizes = {row_id: self.repetitions[row_id].image_size for row_id in row_ids if row_id in self.repetitions}
        return {row_id: f", {size} px" if len(set(sizes.values())) > 1 else "" for row_id, size in sizes.items()}


@dataclass(frozen=True)
class Collected:
    """All that a report is made from.

    Attributes:
        study: study that the runs are compared with.
        data_sets: runs on each data set, in the order of their titles.
        left_out: one row for every run that is in no table: ``path``, ``state``, ``reason``.
        audits: contents of the audits below the same folder.
        evaluations: contents of the evaluations on foreign images below it.
        archived: whether the runs are those of an archive: nothing of them stays to be linked or added to.
        searches: contents of the searches below it.
    """

    study: "Study"
    data_sets: tuple[DataSetRuns, ...]
    left_out: pd.DataFrame
    audits: tuple[Mapping[str, Any], ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
    archived: bool = False
    searches: tuple[Mapping[str, Any], ...] = ()


def describe_images(data: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Describe images apart from their size.

    Args:
        data: content of a ``data.json``.
        config: configuration of the same data.
    """
    described = {key: data.get(key) for key in ("title", "citation", "counts", "num_images", "synthetic")}
    return json.dumps([described, {**config, "image_size": None}], sort_keys=True, default=str)

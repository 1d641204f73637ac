"""Cohorts: runs on the same images, at one or several sizes, and which of them repeat which row of the study.

Sizes stand beside each other and are never averaged together; different images never share a table or a picture.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.artifacts.rundir import Run
from cxr_runner.artifacts.samples import Sample, read_samples, samples_path
from cxr_runner.data.sources import About, data_heading
from cxr_runner.report.runs.commands import Way, commands_missing, commands_run, trained_ways
from cxr_runner.report.runs.configurations import label
from cxr_runner.report.runs.table import DataSet
from cxr_runner.study import Row, load_study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    pass


@dataclass(frozen=True)
class Repetition:
    """The runs that repeat a row of the study: one configuration at one image size, one run a seed.

    Attributes:
        row: of the study.
        image_size: side of the images in pixels.
        runs: in the order of their paths.
        table: one row a run, in the same order, as :func:`cxr_runner.load_runs` returns it.
    """

    row: Row
    image_size: int
    runs: tuple[Run, ...]
    table: pd.DataFrame

    @property
    def num_collapsed(self) -> int:
        """Return how many runs give one and the same output for all images."""
        return int(self.table["collapsed"].sum())

    @property
    def alive(self) -> pd.DataFrame:
        """The rows of the runs that have not collapsed."""
        return self.table[~self.table["collapsed"]]


@dataclass(frozen=True)
class Cohort:
    """Runs on the same images.

    Attributes:
        data_sets: one for every image size, the largest first.
    """

    data_sets: tuple[DataSet, ...]

    @property
    def about(self) -> About:
        """Title, citation, licence."""
        return self.data_sets[0].about

    @property
    def heading(self) -> str:
        """The title, marked where the images are synthetic."""
        return data_heading(self.about)

    @property
    def facts(self) -> dict[str, Any]:
        """The content of ``data.json`` of the first run."""
        return self.data_sets[0].runs[0].data

    @property
    def sizes(self) -> list[int]:
        """The image sizes, the largest first."""
        return [data_set.image_size for data_set in self.data_sets]

    @cached_property
    def repetitions(self) -> dict[str, Repetition]:
        """The runs of every row of the study that was repeated, those on the largest images, by the row's id."""
        found: dict[str, Repetition] = {}
        for data_set in self.data_sets:
            for repetition in _repetitions(data_set):
                found.setdefault(repetition.row.id, repetition)
        return found

    def samples(self) -> list[Sample]:
        """Read the samples that lie beside the runs, those of the largest images; none where there are none."""
        for data_set in self.data_sets:
            trees = dict.fromkeys(run.path.parents[2] for run in data_set.runs if len(run.path.parents) > 2)
            for tree in trees:
                if data_set.fingerprint.isalnum() and (found := read_samples(samples_path(tree, data_set.fingerprint))):
                    return found
        return []

    @cached_property
    def trained(self) -> dict[str, dict[Way, int]]:
        """How each row of the study was trained, as :func:`cxr_runner.report.runs.commands.trained_ways` finds it."""
        return trained_ways(self.data_sets)

    @property
    def commands(self) -> list[str]:
        """The commands that trained the rows of the study that have runs."""
        return commands_run(self.trained, self.data_sets[0].runs[0].config["data"])

    def command(self, row_ids: Iterable[str], seeds: int | None = None, overrides: Sequence[str] = ()) -> str:
        """Return what trains rows of the study on these images: a command a line, each for rows with the same settings.

        Args:
            row_ids: of the rows.
            seeds: how many; None takes those of the runs of their family.
            overrides: further ones.
        """
        config = self.data_sets[0].runs[0].config["data"] | {"image_size": self.sizes[0]}
        return "\n".join(commands_missing(self.trained, config, row_ids, seeds, overrides))


def form_cohorts(data_sets: Sequence[DataSet]) -> list[Cohort]:
    """Put data sets together that are the same images at different sizes, in the order of their titles."""
    groups: dict[str, list[DataSet]] = {}
    for data_set in data_sets:
        groups.setdefault(_images(data_set), []).append(data_set)
    cohorts = []
    for group in groups.values():
        ordered = sorted(group, key=lambda data_set: -data_set.image_size)
        if len({data_set.image_size for data_set in ordered}) == len(ordered):
            cohorts.append(Cohort(tuple(ordered)))
        else:  # equal settings, yet other images: they have changed in the meantime
            cohorts += [Cohort((data_set,)) for data_set in ordered]
    return cohorts


def same_images(cohort: Cohort, data: object, config: object) -> bool:
    """Say whether a description of images, and the configuration of the data, are those of a cohort at any size.

    Args:
        cohort: the runs.
        data: as ``data.json`` of a run has it.
        config: as ``config.yaml`` of a run has it under ``data``.
    """
    if not isinstance(data, dict) or not isinstance(config, dict):
        return False
    return _described(data, config) in map(_images, cohort.data_sets)


def _images(data_set: DataSet) -> str:
    """Describe the images of a data set apart from their size."""
    run = data_set.runs[0]
    return _described(run.data, run.config["data"])


def _described(data: dict[str, Any], config: dict[str, Any]) -> str:
    described = {key: data.get(key) for key in ("title", "citation", "counts", "num_images", "synthetic")}
    return json.dumps([described, config | {"image_size": None}], sort_keys=True, default=str)


def _repetitions(data_set: DataSet) -> Iterable[Repetition]:
    """Yield the repetitions on one data set; where several configurations repeat a row, that with the most seeds."""
    names = pd.Series([label(run) for run in data_set.runs])
    rows = data_set.table["row"].reset_index(drop=True)
    for row in load_study().rows:
        counts = names[(rows == row.id).to_numpy(bool, na_value=False)].value_counts()
        if counts.empty:
            continue
        chosen = min(counts[counts == counts.max()].index)
        mask = (names == chosen).to_numpy()
        runs = tuple(run for run, taken in zip(data_set.runs, mask, strict=True) if taken)
        yield Repetition(row, data_set.image_size, runs, data_set.table[mask].reset_index(drop=True))


def class_counts(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the images of each class in each split, from ``data.json``; nothing where it does not say so."""
    counts = facts.get("counts")
    if not isinstance(counts, dict):
        return {}
    found: dict[str, dict[str, int]] = {}
    for split, classes in counts.items():
        if not isinstance(classes, dict) or not classes:
            return {}
        if not all(isinstance(number, int) and 0 <= number < 10**9 for number in classes.values()):
            return {}
        found[str(split)] = {str(name): number for name, number in classes.items()}
    return found if len({tuple(classes) for classes in found.values()}) == 1 else {}


def timed_runs(cohort: Cohort, row_ids: Iterable[str]) -> dict[str, list[tuple[str, Run]]]:
    """Find runs of rows of the study that trained on pixels, at the size and device that most of the rows have some of.

    Returns:
        By the id of every row its runs with their paths; none where there are none.
    """
    wanted = dict.fromkeys(row_ids)
    ways: dict[tuple[int, str], dict[str, list[tuple[str, Run]]]] = {}
    for data_set in cohort.data_sets:
        for row_id, path, run in zip(data_set.table["row"], data_set.table["path"], data_set.runs, strict=True):
            if row_id in wanted and run.metrics["engine"] == "pixel":
                found = ways.setdefault((data_set.image_size, run.metrics["device"]), {one: [] for one in wanted})
                found[row_id].append((path, run))
    return max(ways.values(), key=lambda found: sum(map(bool, found.values())), default={one: [] for one in wanted})

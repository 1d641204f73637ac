"""What pictures and claims are drawn from: the runs of a cohort, their histories, a few of its images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import Run
from cxr_runner.artifacts.samples import Sample
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.report.runs.groups import Cohort

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
_HIGHEST = 1e100  # numbers beyond it cannot be drawn


class Seeds(NamedTuple):
    """The histories of runs that differ in their seed alone: of those that live, and of those that have collapsed."""

    alive: list[pd.DataFrame]
    collapsed: list[pd.DataFrame]


@dataclass(frozen=True)
class Material:
    """What there is of a cohort.

    Attributes:
        cohort: the runs.
        histories: by the path of a run, of those that have one.
        samples: a few images; may be none.
    """

    cohort: Cohort
    histories: Mapping[str, pd.DataFrame]
    samples: Sequence[Sample]

    def seeds(self, runs: pd.DataFrame) -> Seeds:
        """Return the histories of runs that are given as :func:`cxr_runner.load_runs` returns them."""
        known = runs[runs["path"].isin(list(self.histories))]
        dead = known["collapsed"].to_numpy(bool)
        return Seeds(*([self.histories[path] for path in known["path"][mask]] for mask in (~dead, dead)))

    def table(self, runs: Iterable[tuple[str, Run]]) -> pd.DataFrame:
        """Return runs that are given with their paths as :func:`cxr_runner.load_runs` returns them."""
        paths = [path for path, _ in runs]
        whole = pd.concat([data_set.table for data_set in self.cohort.data_sets])
        return whole[whole["path"].isin(paths)]

    def tables(self, row_ids: Iterable[str], alive: bool = False) -> dict[str, pd.DataFrame]:
        """Return the runs of the rows that have some, all of them or those that have not collapsed."""
        found = [self.cohort.repetitions[row_id] for row_id in row_ids if row_id in self.cohort.repetitions]
        tables = {one.row.id: one.alive if alive else one.table for one in found}
        return {row_id: table for row_id, table in tables.items() if len(table)}

    def sizes(self, row_ids: Iterable[str]) -> dict[str, str]:
        """Return what to write behind the names of rows that have runs: their image size, where it differs."""
        repetitions = self.cohort.repetitions
        found = {row_id: repetitions[row_id].image_size for row_id in row_ids if row_id in repetitions}
        return {row_id: f", {size} px" if len(set(found.values())) > 1 else "" for row_id, size in found.items()}


def read_histories(cohorts: Iterable[Cohort], reporter: Reporter) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Read the histories of all runs.

    Returns:
        By the path of a run its history; and by the path of every other run why its history cannot be drawn.
    """
    data_sets = [data_set for cohort in cohorts for data_set in cohort.data_sets]
    found: dict[str, pd.DataFrame] = {}
    problems = {}
    with reporter.steps("reading histories", sum(len(data_set.runs) for data_set in data_sets)) as advance:
        for data_set in data_sets:
            for run, path in zip(data_set.runs, data_set.table["path"], strict=True):
                try:
                    found[path] = read_history(run)
                except (OSError, ValueError) as error:
                    problems[path] = printable(f"history.csv: {getattr(error, 'strerror', None) or error}")
                advance()
    return found, problems


def read_history(run: Run) -> pd.DataFrame:
    """Read a history.

    Raises:
        OSError: there is none.
        ValueError: it is not one that can be drawn.
    """
    history = run.history()
    for column in COLUMNS:
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise ValueError(f"no column {column} of numbers")
    values = history[list(COLUMNS)].to_numpy(float)
    if (abs(values[np.isfinite(values)]) >= _HIGHEST).any():
        raise ValueError("numbers too large to draw")
    if history.empty or not history["epoch"].between(1, 1e6).all():
        raise ValueError("no epochs counted from 1")
    return history

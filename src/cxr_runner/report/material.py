"""What pictures and claims are drawn from: the runs of a cohort, their histories, a few of its images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from cxr_runner.artifacts import Run
from cxr_runner.report.cohorts import Cohort
from cxr_runner.samples import Sample


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

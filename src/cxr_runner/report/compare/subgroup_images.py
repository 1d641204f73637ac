"""The test images of the runs that kept columns of subgroups, with what the runs of each configuration say of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.artifacts.levels import Levels, find_levels
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import CollectedRun
from cxr_runner.report.compare.configurations import by_configuration


@dataclass(frozen=True)
class SubgroupImages:
    """The test images of a configuration by one column, with the logits of the runs that did not collapse.

    Attributes:
        configuration: name of the configuration.
        image_size: side of the images in pixels.
        column: name of the column.
        levels: level of every image.
        labels: int [images], 0 or 1.
        units: int [images], the patient, or a number of its own for an image whose patient is not known.
        patients: whether any patient is known.
        logits: float [runs, images].
        num_runs: number of all runs of the configuration.
        num_collapsed: how many of these collapsed.
    """

    configuration: str
    image_size: int
    column: str
    levels: Levels
    labels: NDArray[np.int64]
    units: NDArray[np.int64]
    patients: bool
    logits: NDArray[np.float64]
    num_runs: int
    num_collapsed: int

    def of(self, chosen: NDArray[np.bool_]) -> "SubgroupImages":
        """Return some of the images, bool [images]."""
        return replace(
            self,
            levels=replace(self.levels, codes=self.levels.codes[chosen]),
            labels=self.labels[chosen],
            units=self.units[chosen],
            logits=self.logits[:, chosen],
        )


def gather_subgroups(runs: DataSetRuns) -> Iterator[SubgroupImages]:
    """Yield the test images of every configuration by every column, where a run that did not collapse has it."""
    for sized in runs.sizes:
        for name, members in by_configuration(sized).items():
            columns = (column for run in members if run.predictions for column in run.predictions.subgroups)
            for column in dict.fromkeys(columns):
                yield from _gather(name, sized.image_size, column, members)


def _gather(name: str, image_size: int, column: str, runs: Sequence[CollectedRun]) -> Iterator[SubgroupImages]:
    tables = _member_tables(column, runs)
    if not tables:
        return
    # The images of a configuration are the same by its id, the columns need not be: what they say may be mended later.
    images = tables[-1].drop(columns="logit")
    same = [table for table in tables if table.drop(columns="logit").equals(images)]
    known = "patient" in images and bool((images["patient"] != "").any())
    yield SubgroupImages(
        configuration=name,
        image_size=image_size,
        column=column,
        levels=find_levels(images[column].tolist()),
        labels=images["label"].to_numpy(np.int64),
        units=_units(images["patient"] if known else [""] * len(images)),
        patients=known,
        logits=np.stack([table["logit"].to_numpy(np.float64) for table in same]),
        num_runs=len(runs),
        num_collapsed=sum(bool(run.metrics["collapsed"]) for run in runs),
    )


def _member_tables(column: str, runs: Sequence[CollectedRun]) -> list[pd.DataFrame]:
    """Return the test images of the runs that did not collapse, all tables of the same ones.

    The folds of a repeat are put together, for every seed with which none of them collapsed. Of several splits without
    folds, whose test images differ, only the first is taken.
    """
    members: dict[tuple[int, int], list[tuple[int, pd.DataFrame]]] = {}
    for run in runs:
        table = None if run.metrics["collapsed"] else _test_table(run, column)
        if table is not None:
            members.setdefault((run.split.seed, run.seed), []).append((run.split.fold or 0, table))
    folds = max((run.split.folds or 1 for run in runs), default=1)
    if folds == 1:
        first = min((seed for seed, _ in members), default=0)
        return [table for (split_seed, _), parts in members.items() if split_seed == first for _, table in parts]
    return [
        pd.concat([table for _, table in parts]).sort_values("name", ignore_index=True)
        for parts in members.values()
        if len(parts) == folds
    ]


def _test_table(run: CollectedRun, column: str) -> pd.DataFrame | None:
    """Return the test images of a run: name, patient, label, the column and the logit; None where they are no use."""
    predictions = run.predictions
    if predictions is None or column not in predictions.subgroups:
        return None
    kept = [name for name in ("split", "name", "patient", "label", column) if name in predictions.images]
    table = predictions.images[kept].assign(logit=predictions.logits)
    table = table[table["split"] == "test"].reset_index(drop=True)
    usable = set(table["label"]) == {0, 1} and bool(np.isfinite(table["logit"].to_numpy(np.float64)).all())
    return table if usable else None


def _units(patients: Iterable[str]) -> NDArray[np.int64]:
    """Return a number for every patient, and one of its own for every image whose patient is not known."""
    # No name of a patient holds a null character: CSV files with one are not read.
    named = [patient or f"\0{number}" for number, patient in enumerate(patients)]
    return np.asarray(pd.factorize(np.array(named, object))[0], np.int64)

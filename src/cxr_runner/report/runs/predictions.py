"""Predictions of the runs that repeat rows of the study, those of one cohort on one and the same images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.artifacts.rundir import Run
from cxr_runner.base.errors import UserError
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.data.splits import patient_keys
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.study import Row

_IMAGE = ["split", "name", "label"]


@dataclass(frozen=True)
class Logits:
    """What the living runs of a row of the study answer.

    Attributes:
        row: of the study.
        seeds: of the runs.
        val: float [seeds, images of val].
        test: float [seeds, images of test].
    """

    row: Row
    seeds: tuple[int, ...]
    val: NDArray[np.float64]
    test: NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """The predictions of a cohort.

    Attributes:
        val_labels: int [images of val], 0 or 1.
        test_labels: int [images of test].
        patients: of every test image; None where names do not tell.
        rows: by the id of a row its runs that have not collapsed.
        problems: by the path of a run why its predictions are not among them.
    """

    val_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    patients: tuple[str, ...] | None
    rows: Mapping[str, Logits]
    problems: Mapping[str, str]


def read_predictions(cohort: Cohort, reporter: Reporter) -> Predictions:
    """Read the predictions of all runs that repeat a row of the study and have not collapsed."""
    images: pd.DataFrame | None = None
    rows, problems = {}, {}
    with reporter.steps("reading predictions", sum(len(found.alive) for found in cohort.repetitions.values())) as step:
        for row_id, repetition in cohort.repetitions.items():
            logits = {}
            for run, path in _living(repetition.runs, repetition.table):
                try:
                    table = _read(run, images)
                    images = table[_IMAGE] if images is None else images
                    logits[run.seed] = table["logit"].to_numpy(np.float64)
                except (OSError, ValueError) as error:
                    problems[path] = printable(f"predictions.csv: {getattr(error, 'strerror', None) or error}")
                step()
            if logits and images is not None:
                of_val = (images["split"] == "val").to_numpy()
                stacked = np.stack(list(logits.values()))
                rows[row_id] = Logits(repetition.row, tuple(logits), stacked[:, of_val], stacked[:, ~of_val])
    if images is None:
        return Predictions(np.zeros(0, np.int64), np.zeros(0, np.int64), None, {}, problems)
    labels = {split: part["label"].to_numpy(np.int64) for split, part in images.groupby("split")}
    test_names = images["name"][images["split"] == "test"].tolist()
    patients = _patients(test_names, cohort.data_sets[0].runs[0].config["data"].get("patient_pattern"))
    return Predictions(labels["val"], labels["test"], patients, rows, problems)


def _living(runs: tuple[Run, ...], table: pd.DataFrame) -> Iterator[tuple[Run, str]]:
    for run, path, collapsed in zip(runs, table["path"], table["collapsed"], strict=True):
        if not collapsed:
            yield run, path


def _read(run: Run, images: pd.DataFrame | None) -> pd.DataFrame:
    """Read the predictions of a run.

    Raises:
        OSError: there are none.
        ValueError: they are not what is expected, or of other images than those before.
    """
    table = run.predictions()
    if not {*_IMAGE, "logit"} <= set(table) or not pd.api.types.is_numeric_dtype(table["logit"]):
        raise ValueError("no columns split, name, label and logit")
    if not all(isinstance(name, str) for name in table["name"]):
        raise ValueError("images without a name")
    if not np.isfinite(table["logit"].to_numpy(np.float64)).all():
        raise ValueError("logits that are no finite numbers")
    if images is not None:
        if not table[_IMAGE].equals(images):
            raise ValueError("of other images than the runs before")
        return table
    counts = table.groupby(["split", "label"]).size().to_dict()
    if counts.keys() != {(split, label) for split in ("val", "test") for label in (0, 1)} or min(counts.values()) < 2:
        raise ValueError("not two images of both classes in val and in test")
    return table


def _patients(names: list[str], pattern: Any) -> tuple[str, ...] | None:
    try:
        return tuple(patient_keys(names, pattern)) if isinstance(pattern, str) else None
    except UserError:
        return None

"""Reads the predictions of the runs that repeat rows of the study, those on one data set on one and the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.levels import subgroup_names
from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_CSV, regular
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.data.patients import find_patients
from cxr_runner.report.collected import NO_PREDICTIONS, DataSetRuns, Logits, Predictions
from cxr_runner.report.collected_runs import CollectedRun, Repetition

_IMAGE = ["split", "name", "label"]
_COLUMNS = (*_IMAGE, "patient", "logit", "probability")  # of every run; behind them stand those of subgroups


def add_predictions(runs: DataSetRuns, reporter: Reporter) -> DataSetRuns:
    """Return the same runs with the predictions of all that repeat a row of the study and did not collapse."""
    images: pd.DataFrame | None = None  # of the first run; those of all others must be the same
    rows, problems = {}, {}
    num_runs = sum(len(repetition.not_collapsed) for repetition in runs.repetitions.values())
    with reporter.steps("reading predictions", num_runs) as advance:
        for row_id, repetition in runs.repetitions.items():
            logits = {}
            for run in _not_collapsed(repetition):
                try:
                    table = _read(run, images)
                    images = table.drop(columns="logit") if images is None else images
                    logits[run.seed] = table["logit"].to_numpy(np.float64)
                except (OSError, ValueError) as error:
                    problem = f"predictions.csv: {getattr(error, 'strerror', None) or error}"
                    problems[run.path] = printable(problem)
                advance()
            if logits and images is not None:
                of_val = (images["split"] == "val").to_numpy()
                stacked = np.stack(list(logits.values()))
                rows[row_id] = Logits(repetition.row, tuple(logits), stacked[:, of_val], stacked[:, ~of_val])
    if images is None:
        return replace(runs, predictions=replace(NO_PREDICTIONS, problems=problems))
    labels = {split: entries["label"].to_numpy(np.int64) for split, entries in images.groupby("split")}
    patients = _patients(images[images["split"] == "test"], runs.data_config.get("patient_pattern"))
    return replace(runs, predictions=Predictions(labels["val"], labels["test"], patients, rows, problems))


def _not_collapsed(repetition: Repetition) -> list[CollectedRun]:
    collapsed = repetition.table["collapsed"]
    return [run for run, has_collapsed in zip(repetition.runs, collapsed, strict=True) if not has_collapsed]


def _read(run: CollectedRun, images: pd.DataFrame | None) -> pd.DataFrame:
    """Read the predictions of a run.

    Raises:
        OSError: there are none.
        ValueError: they are not what is expected, or of other images than those before.
    """
    if run.predictions is not None:  # read with the run, for its checksum
        table = run.predictions.images.assign(logit=run.predictions.logits)
    else:
        table = parse_predictions(regular(RunDir(run.directory).predictions, MOST_CSV))
    if not all(isinstance(name, str) for name in table["name"]):
        raise ValueError("images without a name")
    if not np.isfinite(table["logit"].to_numpy(np.float64)).all():
        raise ValueError("logits that are no finite numbers")
    if images is not None:
        if not table[_IMAGE].equals(images[_IMAGE]):
            raise ValueError("of other images than the runs before")
        return table
    counts = table.groupby(["split", "label"]).size().to_dict()
    if counts.keys() != {(split, label) for split in ("val", "test") for label in (0, 1)} or min(counts.values()) < 2:
        raise ValueError("not two images of both classes in val and in test")
    return table


def parse_predictions(source: Path | BytesIO, subgroups: Sequence[str] = ()) -> pd.DataFrame:
    """Parse predictions, one row an image; columns that nobody asks for are passed over.

    Args:
        source: the file, or its content.
        subgroups: further columns to read, as text, if they are there.

    Raises:
        OSError: there are none.
        ValueError: they lack a column.
    """
    wanted = {*_COLUMNS, *subgroups}
    # A name such as NA is a name, and an empty patient is none.
    table = pd.read_csv(
        source,
        dtype=dict.fromkeys(["patient", *subgroups], "str"),
        keep_default_na=False,
        na_values={"logit": ["", "nan", "NaN"]},
        usecols=lambda name: name in wanted,
    )
    if not {*_IMAGE, "logit"} <= set(table) or not pd.api.types.is_numeric_dtype(table["logit"]):
        raise ValueError("no columns split, name, label and logit")
    return table


def subgroups_asked_for(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of subgroups that a run was asked to keep, each once, by its configuration as read."""
    data = config.get("data")
    names = subgroup_names(data.get("subgroups")) if isinstance(data, Mapping) else ()
    return tuple(name for name in dict.fromkeys(names) if name not in _COLUMNS)


def _patients(images: pd.DataFrame, pattern: Any) -> tuple[str, ...] | None:
    """Return the patient of every image: as the run noted it, of an older run as its names tell; None if unknown."""
    if "patient" in images:
        return tuple(images["patient"]) if (images["patient"] != "").all() else None
    if not isinstance(pattern, str):
        return None
    try:
        patients = find_patients(images["name"].tolist(), [""] * len(images), pattern)
    except UserError:
        return None
    return None if patients.problem or patients.strangers else patients.keys

"""Reads the histories of runs, those that can be drawn."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import Run, RunDir
from cxr_runner.base.files import MOST_CSV, regular
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import CollectedRun, SizedRuns

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
_HIGHEST = 1e100  # numbers beyond it cannot be drawn


def add_histories(data_sets: Sequence[DataSetRuns], reporter: Reporter) -> list[DataSetRuns]:
    """Return the same runs with their histories, or why these cannot be drawn."""
    num_runs = sum(len(sized.runs) for runs in data_sets for sized in runs.sizes)
    with reporter.steps("reading histories", num_runs) as advance:

        def read(run: CollectedRun) -> CollectedRun:
            advance()
            return _with_history(run)

        def read_sized(sized: SizedRuns) -> SizedRuns:
            return replace(sized, runs=tuple(map(read, sized.runs)))

        return [replace(runs, sizes=tuple(map(read_sized, runs.sizes))) for runs in data_sets]


def _with_history(run: CollectedRun) -> CollectedRun:
    if run.history is not None or run.history_problem:  # read with the run, for its checksum
        return run
    try:
        return replace(run, history=parse_history(regular(RunDir(run.directory).history, MOST_CSV)))
    except (OSError, ValueError) as error:
        problem = f"history.csv: {getattr(error, 'strerror', None) or error}"
        return replace(run, history_problem=printable(problem))


def read_history(run: Run) -> pd.DataFrame | None:
    """Return the history of a run; None where it has none that can be drawn."""
    try:
        return parse_history(regular(RunDir(run.path).history, MOST_CSV))
    except (OSError, ValueError):
        return None


def parse_history(source: Path | BytesIO) -> pd.DataFrame:
    """Parse a history.

    Raises:
        OSError: there is none.
        ValueError: it is not one that can be drawn.
    """
    history = pd.read_csv(source)
    for column in COLUMNS:
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise ValueError(f"no column {column} of numbers")
    values = history[list(COLUMNS)].to_numpy(float)
    if (abs(values[np.isfinite(values)]) >= _HIGHEST).any():
        raise ValueError("numbers too large to draw")
    if history.empty or not history["epoch"].between(1, 1e6).all():
        raise ValueError("no epochs counted from 1")
    return history

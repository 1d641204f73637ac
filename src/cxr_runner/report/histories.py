"""Histories of runs, those that can be drawn."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cxr_runner.artifacts import Run
from cxr_runner.markdown import printable
from cxr_runner.progress import Reporter
from cxr_runner.report.cohorts import Cohort

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
_HIGHEST = 1e100  # numbers beyond it cannot be drawn


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

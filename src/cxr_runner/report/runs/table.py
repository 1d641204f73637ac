"""Finished runs as a table.

A run enters the table whole or not at all: one whose files lack a figure is left out, with the reason.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_runner.artifacts.rundir import Run, find_run_dirs, read_run
from cxr_runner.base.errors import UserError
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.data.sources import About
from cxr_runner.study import match_row


@dataclass(frozen=True)
class _Column:
    """One column of the table of runs: its name, and where its values are found.

    Attributes:
        name: of the column.
        place: the file, one of ``config``, ``metrics`` and ``data``.
        key: dotted, within the file.
        kind: the type that a value must have.
        required: whether a run without it is left out.
    """

    name: str
    place: str
    key: str
    kind: type
    required: bool = True


_RATES = ("accuracy", "accuracy_batch_mean", "precision", "recall", "f1", "auroc", "auprc", "brier", "ece")
_COUNTS = ("tp", "fp", "fn", "tn", "n")
_COLUMNS = (
    _Column("data", "data", "title", str),
    _Column("fingerprint", "data", "fingerprint", str),
    _Column("synthetic", "data", "synthetic", bool),
    _Column("image_size", "config", "data.image_size", int),
    _Column("model", "config", "model.name", str),
    _Column("layers", "config", "model.layers", int, required=False),
    _Column("hidden", "config", "model.hidden", int, required=False),
    _Column("kernel_size", "config", "model.kernel_size", int, required=False),
    _Column("optimizer", "config", "optimizer.name", str),
    _Column("lr", "config", "optimizer.lr", float),
    _Column("pos_weight", "metrics", "pos_weight", float, required=False),
    _Column("batch_size", "config", "batch_size", int),
    _Column("epochs", "config", "epochs", int),
    _Column("engine", "metrics", "engine", str),
    _Column("device", "metrics", "device", str),
    *(_Column(rate, "metrics", f"test.{rate}", float) for rate in _RATES),
    *(_Column(count, "metrics", f"test.{count}", int) for count in _COUNTS),
    *(_Column(f"val_{rate}", "metrics", f"val.{rate}", float) for rate in ("accuracy", "f1", "auroc")),
    _Column("collapsed", "metrics", "collapsed", bool),
    _Column("collapse_reason", "metrics", "collapse_reason", str, required=False),
    _Column("train_seconds", "metrics", "train_seconds", float),
)
_KINDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
_DTYPES = {int: "Int64", float: "float64", str: "str", bool: "bool"}
RUN_COLUMNS = ("row", "name", "id", "seed", *(column.name for column in _COLUMNS), "path")


@dataclass(frozen=True)
class DataSet:
    """The finished runs on one data set.

    Attributes:
        about: title, citation, licence.
        fingerprint: of the images, labels and splits.
        runs: in the order of their paths.
        table: one row a run with :data:`RUN_COLUMNS`, in the same order.
        diverged: runs on the same images whose numbers left the range of floating point; they are in no table.
    """

    about: About
    fingerprint: str
    runs: tuple[Run, ...]
    table: pd.DataFrame
    diverged: tuple[Run, ...] = ()

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return int(self.table["image_size"].iloc[0])


def load_runs(root: Path | str = "outputs") -> pd.DataFrame:
    """Read all finished runs below a folder.

    Args:
        root: an outputs tree, a part of one, or one run directory.

    Returns:
        One row a run with :data:`RUN_COLUMNS`: ``row`` is the study's number of the model (missing where the run is
        none of the study's), ``data`` and ``fingerprint`` name the images, metrics without a prefix are those of the
        test split, ``path`` is relative to ``root``. Runs on different images are not comparable: group by
        ``fingerprint``. Unfinished and damaged runs are left out; ``cxr-report`` lists them with the reason.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    data_sets, _ = read_runs(Path(root), Reporter())
    tables = [data_set.table for data_set in data_sets]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(RUN_COLUMNS))


def read_runs(root: Path, reporter: Reporter) -> tuple[list[DataSet], pd.DataFrame]:
    """Find, read and sort the runs below a folder.

    Args:
        root: an outputs tree, a part of one, or one run directory.
        reporter: shown the progress.

    Returns:
        As :func:`sort_runs`.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    if not root.is_dir():
        raise UserError.for_key("ROOT", root, "no such folder; give one that holds runs of cxr-run")
    resolved = root.resolve()
    paths = find_run_dirs(resolved)
    if not paths:
        raise UserError.for_key("ROOT", root, "holds no runs yet; cxr-run makes them, e.g. cxr-run model=linear")
    runs = []
    with reporter.steps("reading runs", len(paths)) as advance:
        for path in paths:
            runs.append(read_run(path))
            advance()
    return sort_runs(runs, resolved)


def sort_runs(runs: Iterable[Run], root: Path) -> tuple[list[DataSet], pd.DataFrame]:
    """Sort runs into those that count, by data set, and those left out.

    Args:
        runs: as found below ``root``.
        root: what the column ``path`` is relative to.

    Returns:
        The data sets, by title; and one row for every run left out: ``path``, ``state``, ``reason``.
    """
    counted: dict[tuple[Any, ...], tuple[Run, dict[str, Any]]] = {}
    left_out, diverged = [], []
    for run in runs:
        path = printable(run.path.relative_to(root).as_posix())
        row, problem = _read_row(run)
        identity = (row["fingerprint"], run.name, run.id, run.seed)
        if not problem and identity in counted:
            problem = f"the same configuration and seed as {counted[identity][1]['path']}, counted once"
        if run.diverged:
            diverged.append(run)
        if problem:
            left_out.append({"path": path, "state": printable(run.state), "reason": printable(problem)})
        else:
            counted[identity] = run, row | {"path": path}
    groups: dict[str, list[tuple[Run, dict[str, Any]]]] = {}
    for run, row in counted.values():
        groups.setdefault(row["fingerprint"], []).append((run, row))
    data_sets = sorted(
        (_data_set(group, diverged) for group in groups.values()),
        key=lambda data_set: (data_set.about.title, data_set.fingerprint),
    )
    return data_sets, pd.DataFrame(left_out, columns=["path", "state", "reason"])


def _read_row(run: Run) -> tuple[dict[str, Any], str]:
    """Return the row of a run, and why it cannot be counted, '' if it can."""
    row: dict[str, Any] = {"row": match_row(run.config), "seed": run.seed}
    row |= {"name": printable(run.name), "id": printable(run.id)}
    problem = run.problem
    if run.seed < 0 or not run.name:
        problem = problem or "the folder is not named NAME-ID/seed=NUMBER"
    if run.config.get("seed", run.seed) != run.seed:
        problem = problem or f"config.yaml says seed={printable(run.config['seed'])}: a copy under another name"
    for column in _COLUMNS:
        row[column.name] = _typed(_lookup(getattr(run, column.place), column.key), column.kind)
        if column.required and row[column.name] is None:
            file = "config.yaml" if column.place == "config" else f"{column.place}.json"
            problem = problem or f"{file}: {column.key} is missing or not {_KINDS[column.kind]}"
    return row, problem


def _lookup(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def _typed(value: Any, kind: type) -> Any:
    """Return a value as the kind asked for, or None."""
    if isinstance(value, bool) or kind is bool:
        return value if isinstance(value, bool) and kind is bool else None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    if kind is float and isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if kind is str and isinstance(value, str):
        return printable(value) or None
    return value if kind is int and isinstance(value, int) else None


def _data_set(counted: list[tuple[Run, dict[str, Any]]], diverged: Iterable[Run]) -> DataSet:
    runs, rows = zip(*counted, strict=True)
    dtypes = {column.name: _DTYPES[column.kind] for column in _COLUMNS}
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS)).astype(dtypes | {"row": "str"})
    first = runs[0].data
    about = About(
        title=rows[0]["data"],
        citation=printable(first.get("citation") or ""),
        licence=printable(first.get("licence") or ""),
        synthetic=bool(table["synthetic"].any()),
    )
    fingerprint = rows[0]["fingerprint"]
    same = tuple(run for run in diverged if run.data.get("fingerprint") == fingerprint)
    return DataSet(about, fingerprint, runs, table, same)

"""Tables of finished runs and of configurations.

A run enters the tables whole or not at all: one whose files lack a figure is left out, with the reason.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_runner.artifacts import Run
from cxr_runner.markdown import printable
from cxr_runner.sources import About


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
    _Column("train_seconds", "metrics", "train_seconds", float),
)
_KINDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
_DTYPES = {int: "Int64", float: "float64", str: "str", bool: "bool"}

AVERAGED = ("accuracy", "f1", "precision", "recall", "auroc")
RUN_COLUMNS = ("name", "id", "seed", *(column.name for column in _COLUMNS), "path")
SUMMARY_COLUMNS = (
    *("configuration", "differs_in", "data", "fingerprint", "num_seeds", "num_collapsed"),
    *(f"{metric}_{statistic}" for metric in AVERAGED for statistic in ("mean", "sd")),
    "train_seconds_mean",
)
_NOT_COMPARED = ("seed", "outputs", "name", "force", "progress", "device", "model.sgd_lr")


@dataclass(frozen=True)
class DataSet:
    """The finished runs on one data set.

    Attributes:
        about: title, citation, licence.
        fingerprint: of the images, labels and splits.
        runs: in the order of their paths.
        table: one row a run, in the same order.
    """

    about: About
    fingerprint: str
    runs: tuple[Run, ...]
    table: pd.DataFrame


def sort_runs(runs: Iterable[Run], root: Path) -> tuple[list[DataSet], pd.DataFrame]:
    """Sort runs into those that count, by data set, and those left out.

    Args:
        runs: as found below ``root``.
        root: what the column ``path`` is relative to.

    Returns:
        The data sets, by title; and one row for every run left out: ``path``, ``state``, ``reason``.
    """
    counted: dict[tuple[Any, ...], tuple[Run, dict[str, Any]]] = {}
    left_out = []
    for run in runs:
        path = printable(run.path.relative_to(root).as_posix())
        row, problem = _read_row(run)
        identity = (row["fingerprint"], run.name, run.id, run.seed)
        if not problem and identity in counted:
            problem = f"the same configuration and seed as {counted[identity][1]['path']}, counted once"
        if problem:
            left_out.append({"path": path, "state": printable(run.state), "reason": printable(problem)})
        else:
            counted[identity] = run, row | {"path": path}
    groups: dict[str, list[tuple[Run, dict[str, Any]]]] = {}
    for run, row in counted.values():
        groups.setdefault(row["fingerprint"], []).append((run, row))
    data_sets = sorted(
        map(_data_set, groups.values()), key=lambda data_set: (data_set.about.title, data_set.fingerprint)
    )
    return data_sets, pd.DataFrame(left_out, columns=["path", "state", "reason"])


def summarize(data_set: DataSet) -> pd.DataFrame:
    """Average the seeds of every configuration.

    Returns:
        One row a configuration with :data:`SUMMARY_COLUMNS`, the best mean test accuracy first. ``differs_in`` are
        the settings that tell it from the others; ``_mean`` and ``_sd`` are the mean and the sample standard
        deviation over the seeds, the latter missing for a single seed.
    """
    table = data_set.table.assign(configuration=[_label(run) for run in data_set.runs])
    columns: dict[str, Any] = {"num_seeds": ("seed", "size"), "num_collapsed": ("collapsed", "sum")}
    for metric in AVERAGED:
        columns |= {f"{metric}_mean": (metric, "mean"), f"{metric}_sd": (metric, "std")}
    columns["train_seconds_mean"] = ("train_seconds", "mean")
    summary: pd.DataFrame = table.groupby("configuration", as_index=False).agg(**columns)
    summary = summary.assign(
        differs_in=summary["configuration"].map(_differences(data_set.runs)),
        data=data_set.about.title,
        fingerprint=data_set.fingerprint,
    )
    summary = summary.sort_values(["accuracy_mean", "configuration"], ascending=[False, True], ignore_index=True)
    return summary[list(SUMMARY_COLUMNS)]


def by_configuration(data_set: DataSet) -> dict[str, list[tuple[str, Run]]]:
    """Return the runs of every configuration with their paths, under the name that :func:`summarize` gives it."""
    groups: dict[str, list[tuple[str, Run]]] = {}
    for run, path in zip(data_set.runs, data_set.table["path"], strict=True):
        groups.setdefault(_label(run), []).append((path, run))
    return groups


def _read_row(run: Run) -> tuple[dict[str, Any], str]:
    """Return the row of a run, and why it cannot be counted, '' if it can."""
    row: dict[str, Any] = {"name": printable(run.name), "id": printable(run.id), "seed": run.seed}
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


def _data_set(counted: list[tuple[Run, dict[str, Any]]]) -> DataSet:
    runs, rows = zip(*counted, strict=True)
    dtypes = {column.name: _DTYPES[column.kind] for column in _COLUMNS}
    table = pd.DataFrame(rows, columns=RUN_COLUMNS).astype(dtypes)
    first = runs[0].data
    about = About(
        title=rows[0]["data"],
        citation=printable(first.get("citation") or ""),
        licence=printable(first.get("licence") or ""),
        synthetic=bool(table["synthetic"].any()),
    )
    return DataSet(about, rows[0]["fingerprint"], runs, table)


def _label(run: Run) -> str:
    return printable(f"{run.name}-{run.id}")


def _differences(runs: Iterable[Run]) -> dict[str, str]:
    """Say for every configuration which settings tell it from the others, as one would write them for ``cxr-run``."""
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        device = str(run.metrics["device"]).split()[0].split(":")[0]
        settings.setdefault(
            _label(run), dict(_flatten(run.config)) | {"device": device, "engine": run.metrics["engine"]}
        )
    keys = sorted({key for configuration in settings.values() for key in configuration})
    differing = [key for key in keys if len({repr(configuration.get(key)) for configuration in settings.values()}) > 1]
    return {
        label: " ".join(_override(key, configuration[key]) for key in differing if key in configuration)
        for label, configuration in settings.items()
    }


def _override(key: str, value: Any) -> str:
    if value is None:
        return f"{key}=null"
    return printable(f"{key}={str(value).lower() if isinstance(value, bool) else value}")


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the settings that can tell runs on the same data apart: ``model.name`` as ``model``, the rest dotted."""
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        if dotted in _NOT_COMPARED or dotted == "data":
            continue
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{dotted}.")
        else:
            yield dotted.removesuffix(".name"), value

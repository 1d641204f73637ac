"""Configurations: the runs that differ in their seed alone, averaged, and what tells one from the others."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cxr_runner.artifacts.rundir import Run
from cxr_runner.base.markdown import printable
from cxr_runner.report.runs.table import DataSet

AVERAGED = ("accuracy", "accuracy_batch_mean", "f1", "precision", "recall", "auroc")
SUMMARY_COLUMNS = (
    *("row", "configuration", "differs_in", "data", "fingerprint", "image_size", "num_seeds", "num_collapsed"),
    *(f"{metric}_{statistic}" for metric in AVERAGED for statistic in ("mean", "sd")),
    "train_seconds_mean",
)
_NOT_COMPARED = ("seed", "outputs", "name", "force", "progress", "device", "model.sgd_lr")


def summarize(data_set: DataSet) -> pd.DataFrame:
    """Average the seeds of every configuration.

    Returns:
        One row a configuration with :data:`SUMMARY_COLUMNS`, the best mean test accuracy first. ``differs_in`` are
        the settings that tell it from the others; ``_mean`` and ``_sd`` are the mean and the sample standard
        deviation over the seeds, the latter missing for a single seed.
    """
    table = data_set.table.assign(configuration=[label(run) for run in data_set.runs])
    columns: dict[str, Any] = {"num_seeds": ("seed", "size"), "num_collapsed": ("collapsed", "sum")}
    for metric in AVERAGED:
        columns |= {f"{metric}_mean": (metric, "mean"), f"{metric}_sd": (metric, "std")}
    columns |= {"train_seconds_mean": ("train_seconds", "mean"), "row": ("row", "first")}
    summary: pd.DataFrame = table.groupby("configuration", as_index=False).agg(**columns)
    summary = summary.assign(
        differs_in=summary["configuration"].map(_differences(data_set.runs)),
        data=data_set.about.title,
        fingerprint=data_set.fingerprint,
        image_size=data_set.image_size,
    )
    summary = summary.sort_values(["accuracy_mean", "configuration"], ascending=[False, True], ignore_index=True)
    return summary[list(SUMMARY_COLUMNS)]


def by_configuration(data_set: DataSet) -> dict[str, list[tuple[str, Run]]]:
    """Return the runs of every configuration with their paths, under the name that :func:`summarize` gives it."""
    groups: dict[str, list[tuple[str, Run]]] = {}
    for run, path in zip(data_set.runs, data_set.table["path"], strict=True):
        groups.setdefault(label(run), []).append((path, run))
    return groups


def label(run: Run) -> str:
    """Return the name of a run's configuration."""
    return printable(f"{run.name}-{run.id}")


def _differences(runs: Iterable[Run]) -> dict[str, str]:
    """Say for every configuration which settings tell it from the others, as one would write them for ``cxr-run``."""
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        device = str(run.metrics["device"]).split()[0].split(":")[0]
        settings.setdefault(
            label(run), dict(_flatten(run.config)) | {"device": device, "engine": run.metrics["engine"]}
        )
    keys = sorted({key for configuration in settings.values() for key in configuration})
    differing = [key for key in keys if len({repr(configuration.get(key)) for configuration in settings.values()}) > 1]
    return {
        name: " ".join(override(key, configuration[key]) for key in differing if key in configuration)
        for name, configuration in settings.items()
    }


def override(key: str, value: Any) -> str:
    """Return a setting as one would write it for ``cxr-run``."""
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

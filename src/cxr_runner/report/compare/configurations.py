"""Configurations: the runs that differ in seed and split alone, averaged, and what tells one from the others."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from cxr_runner.artifacts.metrics import HEADLINE
from cxr_runner.config.identity import device_type_of
from cxr_runner.config.usual_settings import flatten_settings, override
from cxr_runner.report.collected_runs import CollectedRun, SizedRuns

SUMMARY_COLUMNS = (
    *("row", "configuration", "differs_in", "data", "fingerprint", "image_size"),
    *("num_runs", "num_splits", "num_seeds", "num_collapsed"),
    *(f"{metric.key}_{statistic}" for metric in HEADLINE for statistic in ("mean", "sd")),
    "train_seconds_mean",
)


def summarize(sized: SizedRuns) -> pd.DataFrame:
    """Average the runs of every configuration.

    Returns:
        One row a configuration with :data:`SUMMARY_COLUMNS`, the best mean test accuracy first. ``differs_in`` are
        the settings that tell it from the others; ``_mean`` and ``_sd`` are the mean and the sample standard
        deviation over the runs, the latter missing for a single one. ``fingerprint`` is '' where there are several
        splits.
    """
    table = sized.table.assign(configuration=[run.configuration for run in sized.runs])
    columns: dict[str, Any] = {"num_runs": ("seed", "size"), "num_splits": ("fingerprint", "nunique")}
    columns |= {"num_seeds": ("seed", "nunique"), "num_collapsed": ("collapsed", "sum")}
    columns |= {"fingerprint": ("fingerprint", "first")}
    for metric in HEADLINE:
        columns |= {f"{metric.key}_mean": (metric.key, "mean"), f"{metric.key}_sd": (metric.key, "std")}
    columns |= {"train_seconds_mean": ("train_seconds", "mean"), "row": ("row", "first")}
    summary: pd.DataFrame = table.groupby("configuration", as_index=False).agg(**columns)
    summary = summary.assign(
        differs_in=summary["configuration"].map(_differences(sized.runs)),
        data=sized.about.title,
        fingerprint=summary["fingerprint"].where(summary["num_splits"] == 1, ""),
        image_size=sized.image_size,
    )
    summary = summary.sort_values(["accuracy_mean", "configuration"], ascending=[False, True], ignore_index=True)
    return summary[list(SUMMARY_COLUMNS)]


def by_configuration(sized: SizedRuns) -> dict[str, list[CollectedRun]]:
    """Return the runs of every configuration, under the name that :func:`summarize` gives it."""
    groups: dict[str, list[CollectedRun]] = {}
    for run in sized.runs:
        groups.setdefault(run.configuration, []).append(run)
    return groups


def _differences(runs: Iterable[CollectedRun]) -> dict[str, str]:
    """Say for every configuration which settings tell it from the others, as one would write them for ``cxr-run``."""
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        device = device_type_of(run.metrics)
        settings.setdefault(
            run.configuration, dict(flatten_settings(run.config)) | {"device": device, "engine": run.metrics["engine"]}
        )
    keys = sorted({key for configuration in settings.values() for key in configuration})
    differing = [key for key in keys if len({repr(configuration.get(key)) for configuration in settings.values()}) > 1]
    return {
        name: " ".join(override(key, configuration[key]) for key in differing if key in configuration)
        for name, configuration in settings.items()
    }

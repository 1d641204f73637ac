"""Figs. 20 and 23 of the study made anew: what our runs give beside what was published."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.report.runs.groups import Repetition
from cxr_runner.stats import images_worth, prediction_interval, t_interval, wilson
from cxr_runner.study import Row, load_study

METRICS = {  # column of the table of runs: words for people, field of the published metrics
    "accuracy_batch_mean": ("accuracy, mean over batches", "accuracy"),
    "accuracy": ("accuracy, all images alike", None),
    "precision": ("precision", "precision"),
    "recall": ("recall", "recall"),
    "f1": ("F1", "f1"),
    "auroc": ("AUROC", None),
}


def comparison_table(repetitions: Mapping[str, Repetition], figure: int) -> pd.DataFrame:
    """Hold the runs of a cohort against the published test metrics.

    Args:
        repetitions: of the rows of the study, by their ids; rows without runs keep their published values.
        figure: 20 or 23, where the metrics were published.

    Returns:
        One row a model and metric, in the order of the figure: ``row``, ``model``, ``image_size``, ``metric``,
        ``published`` (missing for what the study does not give), ``mean``, ``sd`` (over the seeds that live), ``low``
        and ``high`` (the 95 % Student t interval of the mean, missing for a single seed), ``next_low`` and
        ``next_high`` (where one more seed would lie, 95 %: what a single published run is held against), ``lowest``
        and ``highest`` seed, ``difference`` (mean minus published), ``inside`` (the published value, which is rounded,
        lies where one more seed would), ``wilson_low`` and ``wilson_high`` (what so few test images leave open of an
        accuracy as high as the mean, of either kind, 95 %), ``num_seeds``, ``num_collapsed``, and ``all_mean`` and
        ``all_sd``, over collapsed seeds too.
    """
    study = load_study()
    ids = next(entry.rows for entry in study.figures if entry.number == figure)
    rows = [study.row(row_id) for row_id in ids]
    entries = [_entry(row, repetitions.get(row.id), metric) for row in rows for metric in METRICS]
    return pd.DataFrame(entries).astype({"image_size": "Int64", "inside": "boolean"})


def published_digits(metric: str) -> int:
    """Return how many decimals of a metric, as a fraction, the study prints."""
    return 3 if METRICS[metric][1] == "accuracy" else 2


def _entry(row: Row, repetition: Repetition | None, metric: str) -> dict[str, Any]:
    published, half_unit = _published(row, metric)
    entry: dict[str, Any] = {"row": row.id, "model": row.title, "image_size": None, "metric": metric}
    entry |= {"published": published, "num_seeds": 0, "num_collapsed": 0, "inside": None}
    keys = (
        "mean",
        "sd",
        "low",
        "high",
        "next_low",
        "next_high",
        "lowest",
        "highest",
        "difference",
        "wilson_low",
        "wilson_high",
    )
    entry |= dict.fromkeys((*keys, "all_mean", "all_sd"), float("nan"))
    if repetition is None:
        return entry
    table, values = repetition.table, repetition.alive[metric].to_numpy(np.float64)
    entry |= {"image_size": repetition.image_size, "num_seeds": len(table), "num_collapsed": repetition.num_collapsed}
    entry |= {"all_mean": table[metric].mean(), "all_sd": table[metric].std()}
    mean, low, high = t_interval(values)
    if not len(values):
        return entry
    entry |= {"mean": mean, "low": low, "high": high, "lowest": values.min(), "highest": values.max()}
    if len(values) > 1:
        entry["sd"] = values.std(ddof=1)
        _, *ends = prediction_interval(values)
        entry["next_low"], entry["next_high"] = ends
        if not np.isnan(published):
            entry["inside"] = bool(ends[0] - half_unit <= published <= ends[1] + half_unit)
    entry["difference"] = mean - published
    if metric in ("accuracy", "accuracy_batch_mean"):
        num_images = float(table["n"].iloc[0])
        worth = num_images if metric == "accuracy" else images_worth(int(num_images), row.batch_size)
        _, entry["wilson_low"], entry["wilson_high"] = wilson(min(1.0, max(0.0, mean)) * worth, worth)
    return entry


def _published(row: Row, metric: str) -> tuple[float, float]:
    """Return a published value as a fraction, and half a unit of its last decimal; nan where there is none."""
    _, field = METRICS[metric]
    if field is None or row.published is None:
        return float("nan"), 0.0
    value = float(getattr(row.published, field))
    return value / 100 if field == "accuracy" else value, 0.5 * 10 ** -published_digits(metric)

"""Figs. 20 and 23 of the study made anew: what our runs give beside what was published."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.report.cohorts import Repetition
from cxr_runner.study import Row, load_study

METRICS = {  # column of the table of runs: words for people, field of the published metrics
    "accuracy_batch_mean": ("accuracy, mean over batches", "accuracy"),
    "accuracy": ("accuracy, all images alike", None),
    "precision": ("precision", "precision"),
    "recall": ("recall", "recall"),
    "f1": ("F1", "f1"),
    "auroc": ("AUROC", None),
}
CONFIDENCE = 0.95


def comparison_table(repetitions: Mapping[str, Repetition], figure: int) -> pd.DataFrame:
    """Hold the runs of a cohort against the published test metrics.

    Args:
        repetitions: of the rows of the study, by their ids; rows without runs keep their published values.
        figure: 20 or 23, where the metrics were published.

    Returns:
        One row a model and metric, in the order of the figure: ``row``, ``model``, ``image_size``, ``metric``,
        ``published`` (missing for what the study does not give), ``mean``, ``sd`` (over the seeds), ``low`` and
        ``high`` (the 95 % Student t interval of the mean, missing for a single seed), ``lowest`` and ``highest`` seed,
        ``difference`` (mean minus published), ``inside`` (the published value, which is rounded, lies in the
        interval), ``wilson_low`` and ``wilson_high`` (what so few test images leave open of one accuracy, 95 %),
        ``num_seeds``, ``num_collapsed``.
    """
    study = load_study()
    ids = next(entry.rows for entry in study.figures if entry.number == figure)
    rows = [study.row(row_id) for row_id in ids]
    entries = [_entry(row, repetitions.get(row.id), metric) for row in rows for metric in METRICS]
    return pd.DataFrame(entries).astype({"image_size": "Int64", "inside": "boolean"})


def t_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % Student t interval of a mean.

    Args:
        values: float [seeds], one a seed.

    Returns:
        Both ends, nan for fewer than two values. It holds what seeds change, not how few the test images are.
    """
    from scipy.stats import t  # here, because scipy takes a second to import

    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _entry(row: Row, repetition: Repetition | None, metric: str) -> dict[str, Any]:
    published, half_unit = _published(row, metric)
    entry: dict[str, Any] = {"row": row.id, "model": row.title, "image_size": None, "metric": metric}
    entry |= {"published": published, "num_seeds": 0, "num_collapsed": 0, "inside": None}
    keys = ("mean", "sd", "low", "high", "lowest", "highest", "difference", "wilson_low", "wilson_high")
    entry |= dict.fromkeys(keys, float("nan"))
    if repetition is None:
        return entry
    values = repetition.table[metric].to_numpy(np.float64)
    low, high = t_interval(values)
    entry |= {"image_size": repetition.image_size, "num_seeds": len(values), "num_collapsed": repetition.num_collapsed}
    entry |= {"mean": values.mean(), "low": low, "high": high, "lowest": values.min(), "highest": values.max()}
    if len(values) > 1:
        entry["sd"] = values.std(ddof=1)
        if not np.isnan(published):
            entry["inside"] = bool(low - half_unit <= published <= high + half_unit)
    entry["difference"] = values.mean() - published
    if metric == "accuracy":
        entry |= _test_interval(repetition.table)
    return entry


def _published(row: Row, metric: str) -> tuple[float, float]:
    """Return a published value as a fraction, and half a unit of its last decimal; nan where there is none."""
    _, field = METRICS[metric]
    if field is None or row.published is None:
        return float("nan"), 0.0
    value = float(getattr(row.published, field))
    return (value / 100, 0.0005) if field == "accuracy" else (value, 0.005)


def _test_interval(table: pd.DataFrame) -> dict[str, float]:
    from scipy.stats import binomtest

    num_images = int(table["n"].iloc[0])
    if num_images < 1:
        return {}
    correct = min(num_images, max(0, round(table["accuracy"].mean() * num_images)))
    interval = binomtest(correct, num_images).proportion_ci(CONFIDENCE, method="wilson")
    return {"wilson_low": float(interval.low), "wilson_high": float(interval.high)}

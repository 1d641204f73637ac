"""Runs beside what was published: the study's tables of test metrics made anew."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.report.collected_runs import Repetition
from cxr_runner.stats import effective_images, prediction_interval, t_interval, wilson
from cxr_runner.study import ComparedMetric, Row, Study, StudyFigure

_ACCURACIES = ("accuracy", "accuracy_batch_mean")  # shares of images, so that Wilson's interval is one of theirs
_NUMBERS: tuple[str, ...] = ("mean", "sd", "low", "high", "next_low", "next_high", "lowest", "highest", "difference")
_NUMBERS += ("wilson_low", "wilson_high", "all_mean", "all_sd")


def compare_with_published(repetitions: Mapping[str, Repetition], figure: StudyFigure, study: Study) -> pd.DataFrame:
    """Compare the runs on a data set with the published test metrics.

    Args:
        repetitions: repetitions of the rows of the study, by their ids; rows without runs keep their published values.
        figure: one of those that hold published test metrics.
        study: study that both are of.

    Returns:
        One row a model and metric, in the order of the figure: ``row``, ``model``, ``image_size``, ``metric``,
        ``published`` (missing for what the study does not give), ``mean``, ``sd`` (over seeds that did not collapse),
        ``low`` and ``high`` (the 95 % Student t interval of the mean, missing for a single seed), ``next_low`` and
        ``next_high`` (where one more seed would lie, 95 %: what a single published run is compared with), ``lowest``
        and ``highest`` seed, ``difference`` (mean minus published), ``inside`` (the published value, which is rounded,
        lies where one more seed would), ``wilson_low`` and ``wilson_high`` (how uncertain so few test images make
        an accuracy as high as the mean, of either kind, 95 %), ``num_seeds``, ``num_collapsed``, and ``all_mean`` and
        ``all_sd``, over collapsed seeds too.
    """
    rows = [study.row(row_id) for row_id in figure.rows]
    entries = [_entry(row, repetitions.get(row.id), metric) for row in rows for metric in study.metrics]
    return pd.DataFrame(entries).astype({"image_size": "Int64", "inside": "boolean"})


def _entry(row: Row, repetition: Repetition | None, metric: ComparedMetric) -> dict[str, Any]:
    published = metric.published_of(row)
    entry: dict[str, Any] = {"row": row.id, "model": row.title, "image_size": None, "metric": metric.key}
    entry |= {"published": published, "num_seeds": 0, "num_collapsed": 0, "inside": None}
    entry |= dict.fromkeys(_NUMBERS, float("nan"))
    if repetition is None:
        return entry
    table, values = repetition.table, repetition.not_collapsed[metric.key].dropna().to_numpy(np.float64)
    entry |= {"image_size": repetition.image_size, "num_seeds": len(table), "num_collapsed": repetition.num_collapsed}
    entry |= {"all_mean": table[metric.key].mean(), "all_sd": table[metric.key].std()}
    mean, low, high = t_interval(values)
    if not len(values):
        return entry
    entry |= {"mean": mean, "low": low, "high": high, "lowest": values.min(), "highest": values.max()}
    if len(values) > 1:
        entry["sd"] = values.std(ddof=1)
        _, *ends = prediction_interval(values)
        entry["next_low"], entry["next_high"] = ends
        if not np.isnan(published):
            half_unit = 0.5 * 10**-metric.digits  # of the last decimal that is printed
            entry["inside"] = bool(ends[0] - half_unit <= published <= ends[1] + half_unit)
    entry["difference"] = mean - published
    if metric.key in _ACCURACIES:
        num_images = float(table["n"].iloc[0])
        worth = num_images if metric.key == "accuracy" else effective_images(int(num_images), row.batch_size)
        _, entry["wilson_low"], entry["wilson_high"] = wilson(min(1.0, max(0.0, mean)) * worth, worth)
    return entry

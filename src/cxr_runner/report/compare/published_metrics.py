"""Runs beside what was published: the study's tables of test metrics made anew."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected_runs import Repetition
from cxr_runner.report.compare.split_shares import split_shares
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
        ``published`` (missing for what the study does not give), ``mean``, ``sd`` (over runs that did not collapse),
        ``low`` and ``high`` (the 95 % interval of the mean over seeds and, where there are several, splits; missing for
        a single seed), ``next_low`` and ``next_high`` (where one more run would lie, 95 %, of another seed, on as many
        other test images as the study's and, where there are several splits, of another split: what a single published
        run is compared with), ``lowest`` and ``highest`` run, ``difference`` (mean minus published), ``inside`` (the
        published value, which is rounded, lies where one more run would), ``wilson_low`` and ``wilson_high`` (how
        uncertain so few test images make an accuracy as high as the mean, of either kind, 95 %), ``num_seeds``,
        ``num_collapsed``, and ``all_mean`` and ``all_sd``, over collapsed runs too.
    """
    rows = [study.row(row_id) for row_id in figure.rows]
    entries = [_entry(row, repetitions.get(row.id), metric, study) for row in rows for metric in study.metrics]
    return pd.DataFrame(entries).astype({"image_size": "Int64", "inside": "boolean"})


def _entry(row: Row, repetition: Repetition | None, metric: ComparedMetric, study: Study) -> dict[str, Any]:
    published = metric.published_of(row)
    entry: dict[str, Any] = {"row": row.id, "model": row.title, "image_size": None, "metric": metric.key}
    entry |= {"published": published, "num_seeds": 0, "num_collapsed": 0, "inside": None}
    entry |= dict.fromkeys(_NUMBERS, float("nan"))
    if repetition is None:
        return entry
    table, known = repetition.table, repetition.not_collapsed.dropna(subset=[metric.key])
    entry |= {"image_size": repetition.image_size, "num_seeds": len(table), "num_collapsed": repetition.num_collapsed}
    entry |= {"all_mean": table[metric.key].mean(), "all_sd": table[metric.key].std()}
    if known.empty:
        return entry
    values, mean = known[metric.key], _estimate(known, metric.key, repetition)
    entry |= {"mean": mean.mean, "low": mean.low, "high": mean.high, "difference": mean.mean - published}
    entry |= {"lowest": values.min(), "highest": values.max(), "sd": values.std()}
    if metric.published:
        ours, theirs = _by_images(known, row, metric.key, study)
        _, *ends = stats.predict_run(_estimate(known, metric.key, repetition, ours), theirs)
        entry["next_low"], entry["next_high"] = ends
        if not np.isnan([published, *ends]).any():
            half_unit = 0.5 * 10**-metric.digits  # of the last decimal that is printed
            entry["inside"] = bool(ends[0] - half_unit <= published <= ends[1] + half_unit)
    if metric.key in _ACCURACIES:
        worth = _effective(int(table["n"].iloc[0]), row, metric.key)
        _, entry["wilson_low"], entry["wilson_high"] = stats.wilson(min(1.0, max(0.0, mean.mean)) * worth, worth)
    return entry


def _estimate(known: pd.DataFrame, key: str, repetition: Repetition, by_images: float = 0.0) -> stats.Estimate:
    """Return the mean over runs, rows of the table of a repetition."""
    splits = pd.factorize(known["fingerprint"])[0]
    shares = split_shares([run for run in repetition.runs if run.path in set(known["path"])])
    return stats.mean_over_runs(
        known[key].to_numpy(np.float64), splits, known["seed"].to_numpy(), shares[0], by_images, shares[1]
    )


def _by_images(known: pd.DataFrame, row: Row, key: str, study: Study) -> tuple[float, float]:
    """Return the variance that the choice of test images gives a run: of ours, and of as many as the study's."""
    counts = {cell: float(known[cell].mean()) for cell in ("tp", "fp", "fn", "tn")}
    number = round(sum(counts.values()))
    variance = stats.image_variance("accuracy" if key in _ACCURACIES else key, counts)
    alike = variance * number  # of one image
    return alike / _effective(number, row, key), alike / _effective(study.splits["test"], row, key)


def _effective(num_images: int, row: Row, key: str) -> float:
    """Return the effective number of images of a metric: fewer where accuracies of batches are averaged."""
    return stats.effective_images(num_images, row.batch_size) if key == "accuracy_batch_mean" else num_images

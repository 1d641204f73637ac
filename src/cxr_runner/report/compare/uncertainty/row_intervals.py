"""How uncertain the metrics of rows are, over seeds, test images and both, and rows compared by pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected_runs import Repetition
from cxr_runner.report.compare.uncertainty.resampling import ResampledMetric, Resampling

INTERVAL_METRICS: tuple[ResampledMetric, ...] = ("accuracy", "f1", "auroc")
PAIR_TESTS = ("accuracy", "mcnemar", "auroc")


def interval_table(
    resampling: Resampling, repetitions: Mapping[str, Repetition], row_ids: Sequence[str]
) -> pd.DataFrame:
    """Return how uncertain accuracy, F1 and AUROC of rows are.

    ``seeds_low`` and ``seeds_high`` are the Student t interval of the mean over the runs that did not collapse;
    ``images_low`` and ``images_high`` what the choice of test images adds to one run, that with the median accuracy:
    Wilson's interval of the accuracy, a bootstrap over patients of the others; ``both_low`` and ``both_high`` the mean
    over seeds, with the variances of both added up.
    """
    return pd.DataFrame(
        [_interval(resampling, repetitions[row_id], metric) for metric in INTERVAL_METRICS for row_id in row_ids]
    )


def pair_table(resampling: Resampling, row_ids: Sequence[str]) -> pd.DataFrame | None:
    """Compare rows by pairs, on the same test images; None where there are not two."""
    pairs = list(combinations([row_id for row_id in row_ids if row_id in resampling.predictions.rows], 2))
    if not pairs:
        return None
    data = pd.DataFrame([_pair(resampling, *pair) for pair in pairs])
    for test in PAIR_TESTS:
        data[f"{test}_holm"] = stats.holm(data[f"{test}_p"])
    return data


def _interval(resampling: Resampling, repetition: Repetition, metric: ResampledMetric) -> dict[str, Any]:
    row, resampled = repetition.row, resampling.metric(repetition.row.id, metric)
    median = resampling.median_run(row.id)
    num_images = len(resampling.predictions.test_labels)
    _, seeds_low, seeds_high = stats.t_interval(resampled.values)
    images = stats.percentile_interval(resampled.values[median], resampled.replicates[median])
    if metric == "accuracy":
        images = stats.wilson(round(resampled.values[median] * num_images), num_images)
    both = stats.mean_over_seeds(resampled.values, resampled.replicates)
    return {
        "row": row.id,
        "model": row.title,
        "metric": metric,
        "num_runs": len(repetition.runs),
        "num_collapsed": repetition.num_collapsed,
        "num_alive": len(resampled.values),
        "mean": resampled.mean,
        "sd": resampled.values.std(ddof=1) if len(resampled.values) > 1 else np.nan,
        "all_mean": repetition.table[metric].mean(),
        "seeds_low": seeds_low,
        "seeds_high": seeds_high,
        "median_run": resampled.values[median],
        "images_low": images.low,
        "images_high": images.high,
        "both_low": both.low,
        "both_high": both.high,
    }


def _pair(resampling: Resampling, first: str, second: str) -> dict[str, Any]:
    rows, labels = resampling.predictions.rows, resampling.predictions.test_labels
    accuracy = resampling.metric(first, "accuracy").minus(resampling.metric(second, "accuracy"))
    medians = {row_id: resampling.median_run(row_id) for row_id in (first, second)}
    run, other_run = (rows[row_id].test[index] for row_id, index in medians.items())
    mcnemar = stats.mcnemar_exact((run > 0) == (labels == 1), (other_run > 0) == (labels == 1))
    delong = stats.delong(run, other_run, labels)
    return {
        "first": first,
        "second": second,
        "accuracy_difference": accuracy.estimate,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "accuracy_p": accuracy.p,
        "first_seed": rows[first].seeds[medians[first]],
        "second_seed": rows[second].seeds[medians[second]],
        "only_first": mcnemar.only_first,
        "only_second": mcnemar.only_second,
        "mcnemar_p": mcnemar.p,
        "auroc_difference": delong.difference,
        "auroc_low": delong.low,
        "auroc_high": delong.high,
        "auroc_p": delong.p,
    }

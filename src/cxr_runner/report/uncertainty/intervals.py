"""How sure the figures of a cohort are: intervals over seeds, images and patients, and pairs of models compared."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.base.numbers import between, mean_sd, number, plural, signed
from cxr_runner.base.tables import Table
from cxr_runner.report.runs.groups import Repetition
from cxr_runner.report.uncertainty.resampling import LEVEL, ONE_SEED, Metric, Resampling
from cxr_runner.study import FAMILIES, Row, load_study

_METRICS: dict[Metric, str] = {"accuracy": "accuracy", "f1": "F1", "auroc": "AUROC"}
_PARTS = ("difference", "low", "high")


def interval_table(resampling: Resampling, repetitions: Mapping[str, Repetition]) -> Table:
    """Return how sure accuracy, F1 and AUROC of the rows with published test metrics are.

    The column ``seeds`` holds the Student t interval of the mean over the living runs; ``images`` what the test images
    leave open of one run, that with the median accuracy: Wilson's interval of the accuracy, a bootstrap over patients
    of the others; ``both`` the mean over seeds, with the variances of both added up.
    """
    ids = [row.id for row in load_study().published_rows() if row.id in resampling.predictions.rows]
    entries = [_interval(resampling, repetitions[row_id], metric) for metric in _METRICS for row_id in ids]
    data = pd.DataFrame(entries)
    shown = pd.DataFrame(
        {
            "model": [f"{entry['row']}: {_name(load_study().row(entry['row']))}" for entry in entries],
            "metric": [_METRICS[entry["metric"]] for entry in entries],
            "alive": [f"{entry['num_alive']} of {entry['num_runs']}" for entry in entries],
            "mean, alive": [mean_sd(entry["mean"], entry["sd"]) for entry in entries],
            "mean, all": [number(entry["all_mean"]) for entry in entries],
            "seeds": [between(entry["seeds_low"], entry["seeds_high"]) for entry in entries],
            "test images": [between(entry["images_low"], entry["images_high"]) for entry in entries],
            "both": [between(entry["both_low"], entry["both_high"]) for entry in entries],
        }
    )
    unit = resampling.unit
    caption = (
        "95 % intervals by what was left to chance: the seeds (mean over the runs that live, Student t), the test "
        f"images (one run, the median one: Wilson, or bootstrap over {unit}), and both at once (the mean; the "
        f"variances over seeds and {unit} add up, Student t; none from a single seed). Collapsed runs count in the "
        "mean of all alone. Intervals are shown cut off at 0 and 1."
    )
    return Table("certainty", caption, data, shown, ("model", "metric"), "Seeds and test images")


def pair_table(resampling: Resampling, figure: int) -> Table | None:
    """Compare the rows of Fig. 20 or 23 by pairs, on the same test images; None where there are not two."""
    study = load_study()
    ids = next(entry.rows for entry in study.figures if entry.number == figure)
    pairs = list(combinations([row_id for row_id in ids if row_id in resampling.predictions.rows], 2))
    if not pairs:
        return None
    data = pd.DataFrame([_pair(resampling, *pair) for pair in pairs])
    for test in ("accuracy", "mcnemar", "auroc"):
        data[f"{test}_holm"] = stats.holm(data[f"{test}_p"])
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "models": [f"{entry['first']} − {entry['second']}" for entry in entries],
            "what they are": [_against(study.row(first), study.row(second)) for first, second in pairs],
            "accuracy": [signed(*(entry[f"accuracy_{part}"] for part in _PARTS)) for entry in entries],
            "p": [_p(entry["accuracy_holm"]) for entry in entries],
            "only one right": [f"{entry['only_first']} : {entry['only_second']}" for entry in entries],
            "p, McNemar": [_p(entry["mcnemar_holm"]) for entry in entries],
            "AUROC": [signed(*(entry[f"auroc_{part}"] for part in _PARTS)) for entry in entries],
            "p, DeLong": [_p(entry["auroc_holm"]) for entry in entries],
        }
    )
    caption = (
        "First minus second, 95 %: accuracy as the mean over the seeds with which both live, where the variances over "
        f"seeds and {resampling.unit} add up (Student t; nothing from a single seed); McNemar (images that only the "
        "first : only the second decides correctly) and DeLong compare the median runs alone. All "
        f"p values are Holm's for {len(pairs)} comparisons: the two differ where it is below {LEVEL}."
    )
    return Table(f"pairs{figure}", caption, data, shown, ("models", "what they are"), f"Fig. {figure} by pairs")


def pair_sentence(table: Table, figure: int) -> str:
    """Say which models of a figure can be told apart."""
    data = table.data
    names = {
        test: [f"{row.first} and {row.second}" for row in data[data[f"{test}_holm"] < LEVEL].itertuples()]
        for test in ("accuracy", "mcnemar", "auroc")
    }
    found, num_tested = names["accuracy"], int(data["accuracy_p"].notna().sum())
    named = f" ({'; '.join(found[:5])}{f'; {len(found) - 5} more' * (len(found) > 5)})" if found else ""
    which = " whose models both live with several of the same seeds" * (num_tested < len(data))
    counted = f"{len(found)} of the {plural(num_tested, 'pair')}{which}{named}" if num_tested else ONE_SEED
    return (
        f"Pairs of models of Fig. {figure} that differ in accuracy beyond what other seeds and other test images would "
        f"change: {counted}. Of the median runs McNemar's test tells {len(names['mcnemar'])} of {len(data)} pairs "
        f"apart and DeLong's, of AUROC, {len(names['auroc'])} (p below {LEVEL} after Holm's correction)."
    )


def _interval(resampling: Resampling, repetition: Repetition, metric: Metric) -> dict[str, Any]:
    row, found = repetition.row, resampling.figure(repetition.row.id, metric)
    median = resampling.median_run(row.id)
    num_images = len(resampling.predictions.test_labels)
    _, seeds_low, seeds_high = stats.t_interval(found.values)
    images = stats.percentile_interval(found.values[median], found.replicates[median])
    if metric == "accuracy":
        images = stats.wilson(round(found.values[median] * num_images), num_images)
    both = stats.mean_over_seeds(found.values, found.replicates)
    return {
        "row": row.id,
        "model": row.title,
        "metric": metric,
        "num_runs": len(repetition.runs),
        "num_collapsed": repetition.num_collapsed,
        "num_alive": len(found.values),
        "mean": found.mean,
        "sd": found.values.std(ddof=1) if len(found.values) > 1 else np.nan,
        "all_mean": repetition.table[metric].mean(),
        "seeds_low": seeds_low,
        "seeds_high": seeds_high,
        "median_run": found.values[median],
        "images_low": images.low,
        "images_high": images.high,
        "both_low": both.low,
        "both_high": both.high,
    }


def _pair(resampling: Resampling, first: str, second: str) -> dict[str, Any]:
    rows, labels = resampling.predictions.rows, resampling.predictions.test_labels
    accuracy = resampling.figure(first, "accuracy").minus(resampling.figure(second, "accuracy"))
    medians = {row_id: resampling.median_run(row_id) for row_id in (first, second)}
    run, other_run = (rows[row_id].test[place] for row_id, place in medians.items())
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


def _against(first: Row, second: Row) -> str:
    return f"{_name(first)} against {_name(second)}"


def _name(row: Row) -> str:
    return FAMILIES[row.family] + ", weighted" * row.weighted


def _p(value: float) -> str:
    """Return a p value as text, '' where there is none."""
    return "< 0.001" if value < 0.001 else number(value)

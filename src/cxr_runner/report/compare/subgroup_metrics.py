"""Test metrics by subgroup, each with an interval and its difference to the rest, and tests whether they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.subgroup_images import SubgroupImages, gather_subgroups

METRICS_BY_GROUP = ("accuracy", "sensitivity", "specificity", "auroc")
# Not the accuracy: it differs wherever the share of positives does, though the model is equally good at both classes.
TESTED = ("sensitivity", "specificity", "auroc")
LEAST = 10  # patients of each class (images where patients are not known) of a group that is tested or has an AUROC
REPLICATES = 1000  # of the test images, for AUROC: the variance over them is all that is needed of several runs
_NONE = stats.Interval(np.nan, np.nan, np.nan)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SubgroupMetrics:
    """Test metrics by subgroup of the configurations on a data set.

    Attributes:
        metrics: one row for every level of every column of every configuration: ``configuration``, ``image_size``,
            ``column``, ``value``, ``named`` (not for what is pooled or not known), ``tested``, ``num_runs``,
            ``num_collapsed``, ``num_used``, ``num_images``, ``num_positive``, ``num_patients``, and for every metric
            its mean over the runs used, ``_low``, ``_high``, ``_difference`` to all other images and the ends of that.
        tests: one row for every metric tested of every column of every configuration: ``configuration``,
            ``image_size``, ``column``, ``metric``, ``values`` (compared), ``num_used``, ``p``, ``holm``, the p value
            after Holm's correction for all of them.
        unit: ``images`` or ``patients``: what is taken as independent.
        num_pooled: how many different values are pooled, by column, at most.
    """

    metrics: pd.DataFrame
    tests: pd.DataFrame
    unit: str
    num_pooled: dict[str, int]


def compare_subgroups(runs: DataSetRuns) -> SubgroupMetrics | None:
    """Compare subgroups of the test images, for every configuration; None where no run kept a column."""
    gathered = list(gather_subgroups(runs))
    if not gathered:
        return None
    resample = cache(_resample)
    metrics = [row for images in gathered for row in _levels(images, resample(images.units.tobytes()))]
    tests = pd.DataFrame([row for images in gathered for row in _tests(images)])
    tests["holm"] = stats.holm(tests["p"])
    pooled: dict[str, int] = {}
    for images in gathered:
        pooled[images.column] = max(images.levels.num_pooled, pooled.get(images.column, 0))
    unit = "patients" if any(images.patients for images in gathered) else "images"
    return SubgroupMetrics(pd.DataFrame(metrics), tests, unit, pooled)


def _resample(units: bytes) -> NDArray[np.float64]:
    """Draw test images, float [images, replicates]; the same ones for all configurations and columns."""
    codes = np.frombuffer(units, np.int64)
    return stats.resample(len(codes), codes.tolist(), REPLICATES)


def _levels(images: SubgroupImages, weights: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    tested = _tested(images)
    for code, value in enumerate(images.levels.names):
        inside = images.levels.codes == code
        row: dict[str, Any] = {
            "configuration": images.configuration,
            "image_size": images.image_size,
            "column": images.column,
            "value": value,
            "named": code < images.levels.num_named,
            "tested": code in tested,
            "num_runs": images.num_runs,
            "num_collapsed": images.num_collapsed,
            "num_used": len(images.logits),
            "num_images": int(inside.sum()),
            "num_positive": int(images.labels[inside].sum()),
            "num_patients": len(np.unique(images.units[inside])) if images.patients else None,
        }
        group, rest = (_measure(images.of(mask), weights[mask]) for mask in (inside, ~inside))
        for metric in METRICS_BY_GROUP:
            difference = stats.independent_difference(group[metric], rest[metric])
            row |= _columns(metric, group[metric]) | _columns(f"{metric}_difference", difference)
        yield row


def _columns(name: str, interval: stats.Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _measure(images: SubgroupImages, weights: NDArray[np.float64]) -> dict[str, stats.Interval]:
    """Return the metrics of some images, means over the runs, with their intervals; nan for what there is not."""
    correct = (images.logits > 0) == (images.labels == 1)
    classes = {"accuracy": np.ones_like(images.labels, bool)}
    classes |= {"sensitivity": images.labels == 1, "specificity": images.labels == 0}
    measured = {
        metric: stats.share_interval(correct[:, among], images.units[among]) if among.any() else _NONE
        for metric, among in classes.items()
    }
    return measured | {"auroc": _auroc(images, weights) if _enough(images) else _NONE}


def _auroc(images: SubgroupImages, weights: NDArray[np.float64]) -> stats.Interval:
    values = np.array([stats.auroc(run, images.labels) for run in images.logits])
    replicates = np.stack([stats.auroc(run, images.labels, weights) for run in images.logits])
    if np.nanstd(replicates) < 1e-12:  # without an error: no resampling of these images shows how uncertain that is
        return stats.Interval(float(values.mean()), np.nan, np.nan)
    if len(values) == 1:
        return stats.percentile_interval(float(values[0]), replicates[0])
    return stats.Interval(*stats.mean_over_seeds(values, replicates)[:3])


def _enough(images: SubgroupImages) -> bool:
    return all(len(np.unique(images.units[images.labels == label])) >= LEAST for label in (0, 1))


def _tested(images: SubgroupImages) -> list[int]:
    """Return the levels that are compared: values with enough patients of each class."""
    return [code for code in range(images.levels.num_named) if _enough(images.of(images.levels.codes == code))]


def _tests(images: SubgroupImages) -> Iterator[dict[str, Any]]:
    codes = _tested(images)
    compared = images.of(np.isin(images.levels.codes, codes))
    for metric in TESTED:
        yield {
            "configuration": images.configuration,
            "image_size": images.image_size,
            "column": images.column,
            "metric": metric,
            "values": ", ".join(images.levels.names[code] for code in codes),
            "num_used": len(images.logits),
            "p": _test(compared, metric, codes) if len(codes) > 1 else np.nan,
        }


def _test(images: SubgroupImages, metric: str, codes: list[int]) -> float:
    if metric == "auroc":
        groups = [images.of(images.levels.codes == code) for code in codes]
        return stats.compare_aurocs([stats.ScoredGroup(one.logits, one.labels, one.units) for one in groups])
    among = images.labels == (metric == "sensitivity")
    correct = (images.logits > 0) == (images.labels == 1)
    return stats.compare_shares(correct[:, among], images.levels.codes[among], images.units[among])

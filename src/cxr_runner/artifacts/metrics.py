"""The one list of metrics: what ``metrics.json`` holds of each split, and how people are told of it.

A new metric is one entry here and one formula in :mod:`cxr_runner.training.metrics`; every table follows.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric of a split.

    Attributes:
        key: in ``metrics.json`` and in tables of numbers.
        words: for people, in tables and figures.
        better: which way is better.
        decimals: that are shown.
        required: whether a run without it is left out of reports; False for what older runs lack.
        headline: whether it is among the few that stand in summaries.
    """

    key: str
    words: str
    better: Literal["higher", "lower"] = "higher"
    decimals: int = 3
    required: bool = True
    headline: bool = False


METRICS = (
    Metric("accuracy", "accuracy", headline=True),
    Metric("accuracy_batch_mean", "batch mean", headline=True),
    Metric("precision", "precision", headline=True),
    Metric("recall", "recall", headline=True),
    Metric("specificity", "specificity"),
    Metric("f1", "F1", headline=True),
    Metric("auroc", "AUROC", headline=True),
    Metric("auprc", "AUPRC"),
    Metric("brier", "Brier", better="lower"),
    Metric("ece", "ECE", better="lower"),
)
COUNTS = ("tp", "fp", "fn", "tn", "n")  # the confusion matrix, and the images
HEADLINE = tuple(metric for metric in METRICS if metric.headline)


def metric(key: str) -> Metric:
    """Return a metric by its key; KeyError where there is none."""
    return {one.key: one for one in METRICS}[key]

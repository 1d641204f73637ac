"""The one list of metrics: what ``metrics.json`` holds of each split, and how people are told of it.

A new metric is one entry here and one formula in :mod:`cxr_runner.training.formulas`. It is then in ``metrics.json``,
in ``runs.csv`` and, with a ``headline``, in the tables of configurations and of ``cxr-run``. Tables that answer one
question, such as calibration, name the metrics that they need.
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
        required: whether a run without it is of no use to a report and left out; what older runs lack is an empty cell.
        headline: position among the few that stand in summaries, from 1; 0 for the others.
    """

    key: str
    words: str
    better: Literal["higher", "lower"] = "higher"
    decimals: int = 3
    required: bool = False
    headline: int = 0


METRICS = (
    Metric("accuracy", "accuracy", required=True, headline=1),
    Metric("accuracy_batch_mean", "batch mean", headline=2),
    Metric("precision", "precision", headline=4),
    Metric("recall", "recall", headline=5),
    Metric("specificity", "specificity"),
    Metric("f1", "F1", headline=3),
    Metric("auroc", "AUROC", headline=6),
    Metric("auprc", "AUPRC"),
    Metric("brier", "Brier", better="lower"),
    Metric("ece", "ECE", better="lower"),
)
COUNTS = ("tp", "fp", "fn", "tn", "n")  # the confusion matrix, and the images
HEADLINE = tuple(sorted((metric for metric in METRICS if metric.headline), key=lambda metric: metric.headline))


def metric(key: str) -> Metric:
    """Return a metric by its key; KeyError where there is none."""
    return {one.key: one for one in METRICS}[key]

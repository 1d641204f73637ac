"""What thresholds that are chosen on the validation split give on the test split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected import Predictions
from cxr_runner.report.collected_runs import CollectedRun

THRESHOLD_RULES: tuple[stats.ThresholdRule, ...] = ("zero", "youden", "sensitivity")


def threshold_table(predictions: Predictions, runs: Mapping[str, CollectedRun]) -> pd.DataFrame:
    """Return sensitivity and specificity at thresholds chosen by each run on its own validation split.

    Args:
        predictions: logits of the configurations.
        runs: one run of every configuration, by the configuration's name.

    Returns:
        One row a configuration and rule, over the runs that did not collapse: ``configuration``, ``rule``,
        ``num_runs``, and mean and ``_sd`` of ``threshold``, ``sensitivity`` and ``specificity``.
    """
    rows = (_row(predictions, name, rule) for name in runs for rule in THRESHOLD_RULES)
    return pd.DataFrame([row for row in rows if row])


def _row(predictions: Predictions, name: str, rule: stats.ThresholdRule) -> dict[str, Any]:
    points = []
    for one in (split.trained for split in predictions.configurations[name]):
        if one.seeds:
            threshold = stats.choose_threshold(rule, one.val, one.val_labels)
            points.append(stats.operating_point(threshold, one.test, predictions.labels[one.test_rows]))
    if not points:
        return {}
    row: dict[str, Any] = {"configuration": name, "rule": rule}
    for figure in ("threshold", "sensitivity", "specificity"):
        values = np.concatenate([getattr(point, figure) for point in points])
        row |= {"num_runs": len(values), figure: float(values.mean())}
        row[f"{figure}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return row

"""What the logits of configurations are worth: ranking, calibration, sensitivity at a fixed specificity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import Predictions, SplitLogits
from cxr_runner.report.collected_runs import CollectedRun
from cxr_runner.report.compare.uncertainty.weight_shift import undone

SPECIFICITIES = (0.90, 0.95)
Logits = NDArray[np.float64]


def quality_table(predictions: Predictions, runs: Mapping[str, CollectedRun]) -> pd.DataFrame:
    """Return ranking, calibration and sensitivity at fixed specificity, means over the runs that did not collapse.

    Args:
        predictions: logits of the configurations.
        runs: one run of every configuration, by the configuration's name.
    """
    trained = {name: _not_collapsed(predictions.configurations[name]) for name in runs}
    return pd.DataFrame(
        [_quality(predictions, name, trained[name], run) for name, run in runs.items() if trained[name]]
    )


def reliabilities(
    predictions: Predictions, runs: Mapping[str, CollectedRun]
) -> dict[str, dict[str, stats.Reliability]]:
    """Return, by configuration, the reliability of the runs that did not collapse, pooled.

    Below ``as trained``; where a class weight can be undone, below ``undone`` without its shift.
    """
    by_name: dict[str, dict[str, stats.Reliability]] = {}
    for name, run in runs.items():
        splits = _not_collapsed(predictions.configurations[name])
        labels = [np.broadcast_to(predictions.labels[one.test_rows], one.test.shape) for one in splits]
        ways = {"as trained": [one.test for one in splits], "undone": undone(splits, run)}
        by_name[name] = {
            way: stats.reliability(_probabilities(_flat(logits)), _flat(labels))
            for way, logits in ways.items()
            if logits
        }
    return {name: ways for name, ways in by_name.items() if ways}


def _not_collapsed(splits: Sequence[SplitLogits]) -> list[SplitLogits]:
    return [one for one in (split.trained for split in splits) if one.seeds]


def _flat(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([one.ravel() for one in arrays])


def _probabilities(logits: Logits) -> Logits:
    from scipy.special import expit  # here, because scipy takes a second to import

    return np.asarray(expit(logits))


def _quality(predictions: Predictions, name: str, splits: Sequence[SplitLogits], run: CollectedRun) -> dict[str, Any]:
    labels = [predictions.labels[one.test_rows] for one in splits]
    pairs = [(logits, truth) for one, truth in zip(splits, labels, strict=True) for logits in one.test]
    entry: dict[str, Any] = {"configuration": name, "num_runs": len(pairs)}
    entry["auroc"] = float(np.mean([stats.auroc(*pair) for pair in pairs]))
    entry["auprc"] = float(np.mean([stats.auprc(*pair) for pair in pairs]))
    entry |= _calibration([one.test for one in splits], labels, "")
    entry |= _calibration(undone(splits, run), labels, "_undone")
    for target in SPECIFICITIES:
        points = [
            stats.sensitivity_at_specificity((one.val, one.val_labels), (one.test, truth), target)
            for one, truth in zip(splits, labels, strict=True)
        ]
        at = f"at_{target * 100:.0f}"
        sensitivities = _flat([point.sensitivity for point in points])
        entry[f"sensitivity_{at}"] = sensitivities.mean()
        entry[f"sensitivity_{at}_sd"] = sensitivities.std(ddof=1) if len(sensitivities) > 1 else np.nan
        entry[f"specificity_{at}"] = _flat([point.specificity for point in points]).mean()
    return entry


def _calibration(logits: Sequence[Logits] | None, labels: Sequence[NDArray[np.int64]], suffix: str) -> dict[str, float]:
    if logits is None:
        return {f"brier{suffix}": np.nan, f"ece{suffix}": np.nan}
    pairs = [(_probabilities(run), truth) for one, truth in zip(logits, labels, strict=True) for run in one]
    brier = np.mean([float(stats.brier(*pair)) for pair in pairs])
    return {
        f"brier{suffix}": float(brier),
        f"ece{suffix}": float(np.mean([stats.reliability(*pair).ece for pair in pairs])),
    }

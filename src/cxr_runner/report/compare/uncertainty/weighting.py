"""What the class weight does beyond moving the threshold, and what the probabilities of the models are worth."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import Logits, Predictions
from cxr_runner.report.compare.uncertainty.resampling import ResampledMetric, Resampling
from cxr_runner.study import Row, Study

SPECIFICITIES = (0.90, 0.95)


class _Rule(NamedTuple):
    """What the unweighted and the weighted runs call positive by a rule, bool [seeds, images of test]."""

    name: str
    unweighted: NDArray[np.bool_]
    weighted: NDArray[np.bool_]


def weight_pairs(study: Study) -> list[tuple[Row, Row]]:
    """Return the rows of the study that differ in the class weight alone, the unweighted first."""
    return [
        (row, other)
        for row in study.rows
        for other in study.rows
        if other.weighted and other.settings() | {"loss.pos_weight": None} == row.settings()
    ]


def weight_table(resampling: Resampling, study: Study) -> pd.DataFrame | None:
    """Compare unweighted and weighted rows at three thresholds; None where there is no pair of them.

    The rules: ``zero``, both at the threshold 0; ``matched``, each run at the threshold that gives it the same
    specificity on the validation split, the higher of the two that both have there at 0, since behind a last ReLU a
    threshold can be raised and not lowered; ``undone``, both at 0 after ln(weight) is taken from the weighted logits,
    which is not possible behind a last ReLU.
    """
    entries = [
        _compare(resampling, unweighted, weighted, rule)
        for unweighted, weighted in weight_pairs(study)
        if {unweighted.id, weighted.id} <= set(resampling.predictions.rows)
        for rule in _rules(resampling.predictions, unweighted, weighted)
    ]
    if not entries:
        return None
    data = pd.DataFrame(entries)
    data["accuracy_holm"] = data.groupby("rule")["accuracy_p"].transform(stats.holm)
    return data


def quality_table(predictions: Predictions) -> pd.DataFrame:
    """Return ranking, calibration and sensitivity at fixed specificity of all rows, means over their runs."""
    return pd.DataFrame([_quality(predictions, logits) for logits in predictions.rows.values()])


def reliabilities(predictions: Predictions, row_ids: Sequence[str]) -> dict[str, stats.Reliability]:
    """Return, by the id of a row, the reliability of its runs pooled; with ``, undone`` without its weight's shift."""
    labels, by_name = predictions.test_labels, {}
    for row_id in row_ids:
        logits = predictions.rows[row_id]
        by_name[row_id] = stats.reliability(probabilities(logits.test), labels)
        if (shifted := undone(logits)) is not None:
            by_name[f"{row_id}, undone"] = stats.reliability(probabilities(shifted), labels)
    return by_name


def undone(logits: Logits) -> NDArray[np.float64] | None:
    """Return the test logits of weighted runs without the shift of their weight; None where there is none to undo."""
    if logits.row.pos_weight is None or logits.row.family == "linear_relu":
        return None
    return stats.undo_weight_shift(logits.test, logits.row.pos_weight)


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sigmoid of logits."""
    from scipy.special import expit  # here, because scipy takes a second to import

    return np.asarray(expit(logits))


def _rules(predictions: Predictions, unweighted: Row, weighted: Row) -> Iterator[_Rule]:
    one, other = predictions.rows[unweighted.id], predictions.rows[weighted.id]
    yield _Rule("zero", one.test > 0, other.test > 0)
    labels = predictions.val_labels
    target = max(float(stats.specificity(logits.val > 0, labels).mean()) for logits in (one, other))
    cuts = [stats.match_threshold(logits.val, labels, target)[:, None] for logits in (one, other)]
    yield _Rule("matched", one.test > cuts[0], other.test > cuts[1])
    shifted = undone(other)
    if shifted is not None:
        yield _Rule("undone", one.test > 0, shifted > 0)


def _compare(resampling: Resampling, unweighted: Row, weighted: Row, rule: _Rule) -> dict[str, Any]:
    labels = resampling.predictions.test_labels
    entry: dict[str, Any] = {"unweighted": unweighted.id, "weighted": weighted.id, "rule": rule.name}
    sides = {"unweighted": (unweighted, rule.unweighted), "weighted": (weighted, rule.weighted)}
    for side, (_, positive) in sides.items():
        entry[f"{side}_sensitivity"] = float(stats.sensitivity(positive, labels).mean())
        entry[f"{side}_specificity"] = float(stats.specificity(positive, labels).mean())
    metrics: tuple[ResampledMetric, ...] = ("accuracy", "f1")
    for metric in metrics:
        before, after = (resampling.decided(row.id, metric, positive) for row, positive in sides.values())
        difference = after.minus(before)
        entry |= {f"unweighted_{metric}": before.mean, f"weighted_{metric}": after.mean}
        entry |= {f"{metric}_difference": difference.estimate, f"{metric}_p": difference.p}
        entry |= {f"{metric}_low": difference.low, f"{metric}_high": difference.high}
    return entry


def _quality(predictions: Predictions, logits: Logits) -> dict[str, Any]:
    labels = predictions.test_labels
    entry: dict[str, Any] = {"row": logits.row.id, "model": logits.row.title, "num_alive": len(logits.seeds)}
    entry["auroc"] = float(np.mean([stats.auroc(answers, labels) for answers in logits.test]))
    entry["auprc"] = float(np.mean([stats.auprc(answers, labels) for answers in logits.test]))
    entry |= _calibration(logits.test, labels, "")
    entry |= _calibration(undone(logits), labels, "_undone")
    for target in SPECIFICITIES:
        point = stats.sensitivity_at_specificity((logits.val, predictions.val_labels), (logits.test, labels), target)
        name = f"at_{target * 100:.0f}"
        entry[f"sensitivity_{name}"] = point.sensitivity.mean()
        entry[f"sensitivity_{name}_sd"] = point.sensitivity.std(ddof=1) if len(logits.seeds) > 1 else np.nan
        entry[f"specificity_{name}"] = point.specificity.mean()
    return entry


def _calibration(logits: NDArray[np.float64] | None, labels: NDArray[np.int64], suffix: str) -> dict[str, float]:
    if logits is None:
        return {f"brier{suffix}": np.nan, f"ece{suffix}": np.nan}
    answers = probabilities(logits)
    errors = [stats.reliability(run, labels).ece for run in answers]
    return {f"brier{suffix}": float(stats.brier(answers, labels).mean()), f"ece{suffix}": float(np.mean(errors))}

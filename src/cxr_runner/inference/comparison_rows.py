"""Inside against outside: every metric of a model on its own test images and on foreign ones, and the difference."""

from typing import Any

import numpy as np

from cxr_runner import stats
from cxr_runner.artifacts.operating_file import ModelPoint
from cxr_runner.inference.scored_images import ScoredImages
from cxr_runner.inference.side_metrics import AT_THRESHOLDS, Measured, Side

CHANCE = 0.5  # the AUROC of a model that tells nothing


def choose_points(point: ModelPoint, val: ScoredImages) -> dict[str, float]:
    """Return the thresholds that decisions are looked at with: the model's, that of the training, one chosen on val.

    Args:
        point: threshold and calibration of the model.
        val: the images of val, which nothing was trained on.

    Returns:
        Thresholds of the logit by the name of their rule.
    """
    points = {"0.5 as trained": 0.0}
    if point.rule != "0.5" or point.calibration != "none":
        points = {f"{point.rule} as calibrated": point.threshold, **points}
    if point.rule != "youden":
        points["youden on val"] = float(stats.choose_threshold("youden", val.logits, val.labels))
    return points


def compare_sides(inside: Side, outside: Side, points: dict[str, float]) -> list[dict[str, Any]]:
    """Compare all metrics.

    Args:
        inside: the model on its own test images.
        outside: the model on foreign ones.
        points: thresholds of the logit by the name of their rule.

    Returns:
        A row for each metric, and for each threshold where it matters: ``metric``, ``rule`` ('' for none),
        ``inside``, ``outside`` and ``difference``, an estimate with both ends of its interval each, and ``p`` that the
        AUROCs are the same, None for other metrics.
    """
    both = [side.whatever_the_threshold() for side in (inside, outside)]
    rows = [_row(name, "", both[0][name], both[1][name]) for name in both[0]]
    tested = stats.independent_delong(outside.auroc, inside.auroc)
    rows[0] |= {"p": tested.p, "delong": [tested.difference, tested.low, tested.high]}
    for rule, threshold in points.items():
        decided = [side.at(threshold) for side in (inside, outside)]
        rows += [_row(name, rule, decided[0][name], decided[1][name]) for name in AT_THRESHOLDS]
    return rows


def _row(name: str, rule: str, inside: Measured, outside: Measured) -> dict[str, Any]:
    sides = {"inside": inside.interval, "outside": outside.interval, "difference": outside.minus(inside)}
    return {"metric": name, "rule": rule, **{side: list(interval) for side, interval in sides.items()}, "p": None}


def say_verdict(rows: list[dict[str, Any]], class_names: tuple[str, str]) -> list[str]:
    """Say in words what the comparison comes to: of the order of the images, and of the decisions.

    Args:
        rows: as :func:`compare_sides` returns them.
        class_names: names of the negative and the positive class.
    """
    return [_say_order(rows[0], class_names[1]), *_say_decisions(rows)]


def _say_order(area: dict[str, Any], positive: str) -> str:
    estimate, low, high = area["outside"]
    difference, least, most = area["difference"]
    shown = f"AUROC {estimate:.3f} (95 % interval {low:.3f} to {high:.3f})"
    if high < CHANCE:
        lower = f"of two images, one of {positive} and one not, the one of {positive} more often has the lower score"
        return f"Outside, the model is worse than chance: {shown}; {lower}."
    if not low > CHANCE:  # nan too
        return f"Outside, the model cannot be told from chance: {shown}."
    if most < 0:
        less = f"less by {-difference:.3f} ({-most:.3f} to {-least:.3f})"
        return f"Outside, the model is worse than inside: {shown}, {less}."
    told = "cannot be told from that inside" if least <= 0 else "is higher than that inside"
    return f"Outside, the AUROC {told}: {shown}."


def _say_decisions(rows: list[dict[str, Any]]) -> list[str]:
    """Name what falls at the model's threshold, which comes first: a threshold may fail where the order holds."""
    rule = next(row["rule"] for row in rows if row["rule"])
    fallen = [
        f"the {row['metric']} is {row['outside'][0]:.3f} (inside {row['inside'][0]:.3f})"
        for row in rows
        if row["rule"] == rule and row["metric"] in ("sensitivity", "specificity") and row["difference"][2] < 0
    ]
    return [f"At the threshold {rule}, {' and '.join(fallen)}."] if fallen else []


def curves_of(inside: Side, outside: Side) -> dict[str, Any]:
    """Return ROC, calibration and decision curves of both sides, ready for JSON."""
    return {name: _curves(side) for name, side in (("inside", inside), ("outside", outside))}


def _curves(side: Side) -> dict[str, Any]:
    labels = side.images.labels
    roc = stats.roc_points(side.images.logits, labels)
    bins = stats.reliability(side.probabilities, labels)
    decision = stats.decision_curve(side.probabilities, labels)
    arrays = {
        "roc": {"false_positive_rate": roc.grid, "sensitivity": roc.mean},
        "calibration": {"images": bins.counts, "predicted": bins.predicted, "observed": bins.observed},
        "decision": {"threshold": decision.threshold, "model": decision.model, "act_on_all": decision.act_on_all},
    }
    return {name: {key: _plain(values) for key, values in one.items()} for name, one in arrays.items()}


def _plain(values: Any) -> list[float | None]:
    """Return numbers as JSON has them."""
    return [float(value) if np.isfinite(value) else None for value in values]

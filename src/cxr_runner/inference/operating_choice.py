"""Threshold and calibration of a model, chosen on the images of val, which nothing was trained on."""

import re
from typing import Any

import numpy as np
from scipy.special import expit

from cxr_runner import stats
from cxr_runner.artifacts.operating_file import DEFAULT_POINT, ModelPoint
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import plural
from cxr_runner.inference.model_parts import ModelParts
from cxr_runner.inference.scored_images import ScoredImages

_AIMED = re.compile(r"(?P<what>sensitivity|specificity)_(?P<least>0?\.\d+|1|1\.0+)")
VALID_RULES = "0.5, youden, sensitivity_0.95 and specificity_0.9, with any share above 0 and up to 1"
CALIBRATIONS: tuple[stats.CalibrationRule, ...] = ("none", "temperature", "sigmoid")


def choose_point(parts: ModelParts, rule: str, calibration: stats.CalibrationRule) -> ModelPoint:
    """Choose threshold and calibration on val; each run has its own, and what several have in common is averaged.

    - ``0.5``: a probability of 0.5, calibrated where that is asked for.
    - ``youden``: where sensitivity + specificity - 1 is highest.
    - ``sensitivity_0.95``, ``specificity_0.9``: the threshold that gives at least so much of one, and most of the
      other.

    Args:
        parts: the model.
        rule: rule of the threshold.
        calibration: what probabilities are fitted by.

    Raises:
        UserError: there is no such rule, or the model tells nothing about val.
    """
    val = parts.held_out("val")
    slope, intercept = stats.fit_calibration(calibration, val.logits, val.labels)
    if slope <= 1e-6:
        area = float(stats.auroc(val.logits, val.labels))
        valid = f"the model tells nothing about val that could be calibrated, its AUROC there is {area:.3f}"
        raise UserError.for_key("--calibration", calibration, valid)
    threshold = 0.0 - intercept / slope if rule == "0.5" else _threshold(rule, val)
    many = ", each with the mean logit of the runs that have it in val" if len(parts.members) > 1 else ""
    chosen = rule != DEFAULT_POINT.rule or calibration != DEFAULT_POINT.calibration
    fitted_on = f"{plural(len(val), 'image')} of val{many}" if chosen else ""
    return ModelPoint(rule, calibration, threshold, slope, intercept, fitted_on)


def _threshold(rule: str, val: ScoredImages) -> float:
    if rule == "youden":
        return float(stats.choose_threshold("youden", val.logits, val.labels))
    aimed = _AIMED.fullmatch(rule)
    if aimed is None or float(aimed["least"]) == 0:
        raise UserError.for_key("--threshold", rule, f"valid are {VALID_RULES}")
    least = float(aimed["least"])
    if aimed["what"] == "sensitivity":
        return float(stats.choose_threshold("sensitivity", val.logits, val.labels, least))
    return float(stats.match_threshold(val.logits, val.labels, least))


def compare_points(parts: ModelParts, point: ModelPoint) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what a point gives beside the one of the training, 0.5 without calibration.

    Args:
        parts: the model.
        point: threshold and calibration.

    Returns:
        By split, val and test, and by ``as_trained`` and ``chosen``: ``accuracy``, ``sensitivity``, ``specificity``,
        ``f1``, ``ece`` and ``brier``.
    """
    points = {"as_trained": DEFAULT_POINT, "chosen": point}
    splits = {split: parts.held_out(split) for split in ("val", "test")}
    return {split: {name: _figures(images, one) for name, one in points.items()} for split, images in splits.items()}


def _figures(images: ScoredImages, point: ModelPoint) -> dict[str, float]:
    at = stats.operating_point(np.array(point.threshold), images.logits, images.labels)
    probabilities = expit(point.slope * images.logits + point.intercept)
    return {
        "accuracy": float(at.accuracy),
        "sensitivity": float(at.sensitivity),
        "specificity": float(at.specificity),
        "f1": float(at.f1),
        "ece": stats.reliability(probabilities, images.labels).ece,
        "brier": float(stats.brier(probabilities, images.labels)),
    }

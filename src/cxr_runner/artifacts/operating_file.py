"""The threshold and the calibration that belong to a model: ``operating_point.json``, and where it lies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json, write_checked_json
from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError

OPERATING_FORMAT = 1  # raised when operating_point.json changes for its readers


@dataclass(frozen=True)
class ModelPoint:
    """How logits become probabilities and decisions: an image is positive above the threshold.

    Attributes:
        rule: how the threshold was chosen, e.g. ``youden``; ``0.5`` where nobody chose one.
        calibration: how probabilities were fitted: ``none``, ``temperature`` or ``sigmoid``.
        threshold: of the logit as the network gives it.
        slope: probability = sigmoid(slope * logit + intercept).
        intercept: likewise.
        fitted_on: what threshold and calibration were fitted on, in words; '' where nothing was.
    """

    rule: str = "0.5"
    calibration: str = "none"
    threshold: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0
    fitted_on: str = ""

    @property
    def probability(self) -> float:
        """The probability at the threshold."""
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, self.slope * self.threshold + self.intercept))))


DEFAULT_POINT = ModelPoint()


def model_folder(members: Sequence[Path]) -> Path:
    """Return the folder for what is made of a model: of one run its directory, of several one beside their first.

    Args:
        members: run directories; in any order they are the same model.
    """
    ordered = sorted(members)
    if len(ordered) == 1:
        return ordered[0]
    keys = sorted(f"{path.parent.name}/{path.name}" for path in ordered)
    return ordered[0].parent.parent / f"ensemble-{digest(repr(keys), 10)}"


def point_path(folder: Path) -> Path:
    """Return the path of the file in the folder of a model."""
    return folder / "operating_point.json"


def write_point(folder: Path, point: ModelPoint, weights: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Write the file.

    Args:
        folder: folder of the model, which exists.
        point: threshold and calibration.
        weights: checksum of the weights of every run of the model: what was fitted is of no other ones.
        facts: what else there is to say, ready for JSON.
    """
    content = {"format": OPERATING_FORMAT, **vars(point), "probability": point.probability, "weights": dict(weights)}
    write_checked_json(point_path(folder), {**content, **facts})


def read_point(folder: Path, weights: Mapping[str, str]) -> ModelPoint:
    """Read the file; without one, an image is positive above a probability of 0.5.

    Args:
        folder: folder of the model.
        weights: as they are now.

    Raises:
        UserError: it is damaged, was changed, is of another version, or of a run that was trained anew since.
    """
    path = point_path(folder)
    if not path.exists():
        return DEFAULT_POINT
    content, intact = read_checked_json(path)
    problem = "has changed since it was written" if not intact else ""
    if not problem and content.get("format") != OPERATING_FORMAT:
        problem = "is of another version"
    if not problem and content.get("weights") != dict(weights):
        problem = "is of other weights, the run was trained anew"
    if problem:
        raise UserError.for_key("run", path, f"{problem}: remove it, or have cxr-model calibrate write it anew")
    return ModelPoint(**{name: content[name] for name in vars(DEFAULT_POINT)})

"""What claims look at: from each run a few numbers, by the definitions of a study."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.study import Study


@dataclass(frozen=True)
class Decisions:
    """What a model says of the test images, which are the same for all models on one split and in the same order.

    Attributes:
        logits: float [images], its outputs.
        labels: bool [images], those that are positive.
        groups: int [images], the same number for the images of one patient.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.bool_]
    groups: NDArray[np.int64]

    @property
    def called(self) -> NDArray[np.bool_]:
        """Bool [images], those that it calls positive."""
        return self.logits > 0


@dataclass(frozen=True)
class RunNumbers:
    """The numbers of one run that claims look at.

    Attributes:
        seed: seed of the run.
        trained: whether it ended with finite losses and did not collapse.
        numbers: numbers by the id of a definition; what cannot be computed is missing.
        decisions: decisions on the test images; None where they are not known.
        split: number of the split.
    """

    seed: int
    trained: bool
    numbers: Mapping[str, float]
    decisions: Decisions | None = None
    split: int = 0

    @property
    def cell(self) -> tuple[int, int]:
        """The split and the seed, by which runs of several models belong together."""
        return self.split, self.seed


def curve_numbers(history: pd.DataFrame, trained: bool, constant_loss: float, study: "Study") -> dict[str, float]:
    """Compute all that is computed from a history.

    Args:
        history: one row an epoch: ``train_loss``, ``train_accuracy``, ``val_loss``, ``val_accuracy``.
        trained: whether the run ended with finite losses and did not collapse.
        constant_loss: loss of the best constant output on the training images, see :func:`best_constant_loss`.
        study: study with the definitions.

    Returns:
        By the id of a definition that the study has; yes is 1 and no is 0. What so short a history does not tell is
        missing.
    """
    parameters = {name: definition.parameters for name, definition in study.definitions.items()}
    numbers = {name: number(history, parameters[name]) for name, number in _OF_CURVES.items() if name in parameters}
    if "converged" in parameters and not math.isnan(constant_loss):
        reached = _end(history["train_loss"], parameters["converged"]["last"])
        numbers["converged"] = float(trained and reached <= parameters["converged"]["below"] * constant_loss)
    if "overfits" in parameters:
        numbers["overfits"] = _overfits(history, parameters["overfits"], numbers["swing_loss"])
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def best_constant_loss(num_positive: int, num_negative: int, pos_weight: float | None) -> float:
    """Return the mean weighted cross entropy of the best model that gives all images the same logit.

    Args:
        num_positive: training images of the positive class.
        num_negative: training images of the other class.
        pos_weight: weight of the positive class in the loss, None without.
    """
    positive, negative = num_positive * (pos_weight or 1.0), float(num_negative)
    share = positive / (positive + negative)
    entropy = -sum(p * math.log(p) for p in (share, 1 - share) if p > 0)
    return (positive + negative) / (num_positive + num_negative) * entropy


def _end(curve: pd.Series, last: float) -> float:
    """Return the mean over the last share of the epochs."""
    return float(curve.tail(max(1, round(last * len(curve)))).mean())


def _swing(curve: pd.Series, start: float) -> float:
    """Return how far, on average, an epoch lies from the middle between its neighbours; nan for too few epochs."""
    values = curve.to_numpy(float)[max(0, math.floor(start * len(curve)) - 1) :]
    if len(values) < 3:
        return math.nan
    return float(np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2).mean())


def _overfits(history: pd.DataFrame, parameters: Mapping[str, float], swing: float) -> float:
    """Say whether training goes on falling while validation rises by more than its swing; nan for too few epochs."""
    if len(history) < 5:
        return math.nan
    train, val = (
        [fifth.mean() for fifth in np.array_split(history[f"{split}_loss"].to_numpy(float), 5)]
        for split in ("train", "val")
    )
    rise = parameters["swings"] * swing
    return float(train[-1] <= (1 - parameters["falls"]) * train[-2] and val[-1] > min(val[:-1]) + rise)


_OF_CURVES: Mapping[str, Callable[[pd.DataFrame, Mapping[str, float]], float]] = {
    "slowness": lambda history, _: float(history["train_loss"].mean()),
    "train_level": lambda history, parameters: _end(history["train_accuracy"], parameters["last"]),
    "val_level": lambda history, parameters: _end(history["val_accuracy"], parameters["last"]),
    "swing_accuracy": lambda history, parameters: _swing(history["val_accuracy"], parameters["from"]),
    "swing_loss": lambda history, parameters: _swing(history["val_loss"], parameters["from"]),
}

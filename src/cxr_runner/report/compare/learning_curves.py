"""Learning curves: configurations that differ in nothing but the share of the training images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cxr_runner import stats
from cxr_runner.config.identity import device_type_of
from cxr_runner.config.usual_settings import flatten_settings
from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty.resampling import Resampling

_SHARE = "data.train_share"


@dataclass(frozen=True)
class LearningPoint:
    """One share of a learning curve.

    Attributes:
        name: name of the configuration.
        share: share of the training images.
        num_train: number of training images, the mean over the splits.
        mean: mean of the metric on the test split.
        estimate: the same with its interval; None where no predictions are of use.
        gain: what the step from the next smaller share has brought, on the splits and seeds that both have; None for
            the smallest, and where they have none in common.
    """

    name: str
    share: float
    num_train: float
    mean: float
    estimate: stats.Estimate | None
    gain: stats.Estimate | None = None


@dataclass(frozen=True)
class LearningCurve:
    """One configuration, trained on several shares of the training images.

    Attributes:
        label: what it is called, by its largest share.
        points: the shares, the smallest first.
        adjusted: p value of the last step's gain, after Holm's correction for all curves; nan where it has none.
    """

    label: str
    points: tuple[LearningPoint, ...]
    adjusted: float = math.nan

    @property
    def last_gain(self) -> stats.Estimate | None:
        """What the last step has brought."""
        return self.points[-1].gain


def learning_curves(standings: Sequence[Standing], resampling: Resampling, metric: str) -> tuple[LearningCurve, ...]:
    """Put the configurations that differ in the share of the training images alone together; none of a single share.

    Args:
        standings: configurations at one size, in the order in which they are shown.
        resampling: their metrics.
        metric: the metric that they are compared by first.
    """
    groups: dict[str, list[Standing]] = {}
    for one in standings:
        groups.setdefault(_but_for_share(one), []).append(one)
    curves = []
    for group in groups.values():
        ordered = sorted(group, key=_share)
        if len({_share(one) for one in group}) == len(group) > 1:
            points = [
                _point(one, smaller, resampling, metric)
                for smaller, one in zip([None, *ordered[:-1]], ordered, strict=True)
            ]
            curves.append(LearningCurve(ordered[-1].short, tuple(points)))
    tested = [curve for curve in curves if curve.last_gain and not math.isnan(curve.last_gain.p)]
    corrected = stats.holm([curve.last_gain.p for curve in tested if curve.last_gain])
    p_values = {curve.label: float(p) for curve, p in zip(tested, corrected, strict=True)}
    return tuple(replace(curve, adjusted=p_values.get(curve.label, math.nan)) for curve in curves)


def _point(one: Standing, smaller: Standing | None, resampling: Resampling, metric: str) -> LearningPoint:
    gain = None
    if smaller is not None and one.estimates and smaller.estimates:
        gain = resampling.differences(one.name, smaller.name).get(metric)
    counts = [sum(class_counts(run.data).get("train", {}).values()) for run in one.runs]
    return LearningPoint(
        one.name, _share(one), float(np.mean(counts)), one.mean(metric), one.estimates.get(metric), gain
    )


def _share(one: Standing) -> float:
    return float(dict(flatten_settings(one.runs[0].config)).get(_SHARE, 1.0))


def _but_for_share(one: Standing) -> str:
    """Return all that tells a configuration from others, but for the share."""
    run = one.runs[0]
    settings = {key: value for key, value in flatten_settings(run.config) if not key.startswith("data.")}
    place = [run.metrics["engine"], device_type_of(run.metrics)]
    return repr([run.name, sorted(settings.items()), *_protocol(run.data), *place])


def _protocol(data: Mapping[str, Any]) -> list[Any]:
    """Return how the images of a run were split, whatever its configuration left open."""
    split = data.get("split")
    return (
        [split.get(key) for key in ("strategy", "folds", "val_share", "given_test")] if isinstance(split, dict) else []
    )

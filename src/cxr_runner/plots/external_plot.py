"""A model inside and outside of its hospital: ROC curves, calibration, and what acting on it is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxr_runner.plots.style import write_title

_LOOKS = {"inside": ("#0072B2", "dashed"), "outside": ("#D55E00", "solid")}
_LARGEST_DOT = 90.0  # points squared, of a bin that holds half of all images or more
_DEEPEST = -0.1  # net benefit: acting on all images falls without end


@style.context("default")
def plot_external(curves: Mapping[str, Any], title: str) -> Figure:
    """Draw three panels.

    Args:
        curves: ``curves`` of an ``evaluation.json``.
        title: any text.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    write_title(figure, title, 110)
    roc, calibration, decision = figure.subplots(1, 3)
    for axes in (roc, calibration):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    for side, (color, dashes) in _LOOKS.items():
        one = curves[side]
        x, y = _numbers(one["roc"]["false_positive_rate"]), _numbers(one["roc"]["sensitivity"])
        roc.plot(x, y, color=color, linestyle=dashes, linewidth=1.6, label=side)
        _draw_calibration(calibration, one["calibration"], color, dashes)
    _draw_decision(decision, curves["outside"]["decision"])
    roc.set(xlabel="false positive rate", ylabel="sensitivity", title="ROC")
    calibration.set(xlabel="predicted probability", ylabel="share that is positive", title="calibration")
    decision.set(xlabel="probability above which one acts", ylabel="net benefit", title="decision curve, outside")
    for axes in (roc, calibration, decision):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    roc.legend(fontsize=9, frameon=False, loc="lower right")
    decision.legend(fontsize=9, frameon=False, loc="upper right")
    return figure


def _draw_calibration(axes: Axes, bins: Mapping[str, Sequence[float | None]], color: str, dashes: str) -> None:
    counts, predicted, observed = (_numbers(bins[key]) for key in ("images", "predicted", "observed"))
    filled = counts > 0
    axes.plot(predicted[filled], observed[filled], color=color, linestyle=dashes, linewidth=1.4)
    sizes = 4 + _LARGEST_DOT * np.minimum(1, 2 * counts[filled] / counts.sum())
    axes.scatter(predicted[filled], observed[filled], sizes, color=color, alpha=0.6, linewidth=0)


def _draw_decision(axes: Axes, curve: Mapping[str, Sequence[float | None]]) -> None:
    threshold, model, act_on_all = (_numbers(curve[key]) for key in ("threshold", "model", "act_on_all"))
    axes.plot(threshold, act_on_all, color="#666666", linestyle="dotted", linewidth=1.4, label="act on all")
    axes.plot(threshold, np.zeros_like(threshold), color="#999999", linewidth=0.8, label="act on none")
    axes.plot(threshold, model, color=_LOOKS["outside"][0], linewidth=1.6, label="act on the model")
    axes.set(xlim=(0, 1), ylim=(_DEEPEST, max(0.1, 1.1 * float(max(model.max(), act_on_all.max())))))


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)

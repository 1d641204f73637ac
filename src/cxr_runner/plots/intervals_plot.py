"""Configurations beside each other: a metric with its interval, the runs behind it, and the difference to one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.style import COLUMN_WIDTH, write_title

_LINE = 0.34  # inches a line
_WIDEST = 44  # characters of a label
_BLUE, _GREY, _ORANGE = "#0072B2", "#777777", "#D55E00"


@dataclass(frozen=True)
class DrawnStanding:
    """One line of the plot.

    Attributes:
        label: any text.
        mean: of the metric.
        low: lower end of its interval; nan where there is none.
        high: upper end.
        points: value of every split, or of every seed where there is one split.
        difference: mean, lower and upper end of the difference to the reference; nan where there is none.
        is_reference: whether it is the reference.
    """

    label: str
    mean: float
    low: float
    high: float
    points: Sequence[float]
    difference: tuple[float, float, float]
    is_reference: bool


@style.context("default")
def plot_standings(
    standings: Sequence[DrawnStanding],
    metric: str,
    baselines: Mapping[str, float],
    title: str,
    *,
    column: bool = False,
) -> Figure:
    """Draw a metric of configurations on the left and, where there are several, the differences on the right.

    Args:
        standings: configurations, the first at the top.
        metric: the metric in words.
        baselines: value of the metric of trivial baselines, by their names.
        title: any text.
        column: draw it as wide as a column of a paper, the metric alone and without a title.
    """
    if column:
        return _plot_column(standings, metric, baselines)
    several = any(not math.isnan(one.difference[0]) for one in standings)
    figure = Figure(figsize=(9, 1.5 + _LINE * len(standings)), layout="constrained")
    write_title(figure, title)
    panels = figure.subplots(1, 1 + several, squeeze=False, width_ratios=[3, 2][: 1 + several])[0]
    _draw_means(panels[0], standings, baselines)
    panels[0].set_xlabel(f"{metric}, 95 % interval")
    if several:
        _draw_differences(panels[1], standings)
        panels[1].set_xlabel("difference to the reference")
    for axes in panels:
        _finish_lines(axes, len(standings))
    return figure


def _plot_column(standings: Sequence[DrawnStanding], metric: str, baselines: Mapping[str, float]) -> Figure:
    with rc_context({"font.size": 8}):
        figure = Figure(figsize=(COLUMN_WIDTH, 0.7 + 0.2 * len(standings)), layout="constrained")
        axes = figure.subplots()
        _draw_means(axes, standings, baselines)
        axes.set_xlabel(f"{metric}, 95 % interval")
        _finish_lines(axes, len(standings))
        return figure


def _finish_lines(axes: Axes, number: int) -> None:
    axes.set_ylim(number - 0.4, -0.6)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)


def _draw_means(axes: Axes, standings: Sequence[DrawnStanding], baselines: Mapping[str, float]) -> None:
    for line, one in enumerate(standings):
        color = _ORANGE if one.is_reference else _BLUE
        if not math.isnan(one.low):
            axes.plot([max(0.0, one.low), min(1.0, one.high)], [line, line], color=color, linewidth=2)
        above = [line - 0.18] * len(one.points)
        axes.plot(one.points, above, "o", color=_GREY, markersize=3.5, alpha=0.5, markeredgewidth=0)
        axes.plot(one.mean, line, "D" if one.is_reference else "o", color=color, markersize=6)
    for value in baselines.values():
        axes.axvline(value, color=_GREY, linestyle=(0, (3, 2)), linewidth=0.9, zorder=0)
    if baselines:
        name, value = max(baselines.items(), key=lambda item: item[1])
        said = name if len(baselines) == 1 else f"best trivial baseline: {name}"
        axes.annotate(
            _shorten(said), (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
            ha="center", fontsize=8, color="#555555", parse_math=False, annotation_clip=False,
        )  # fmt: skip
    labels = [_shorten(one.label) for one in standings]
    axes.set_yticks(range(len(standings)), labels, parse_math=False)


def _draw_differences(axes: Axes, standings: Sequence[DrawnStanding]) -> None:
    axes.axvline(0, color=_ORANGE, linewidth=1.2)
    for line, one in enumerate(standings):
        mean, low, high = one.difference
        if one.is_reference:
            axes.plot(0, line, "D", color=_ORANGE, markersize=6)
            axes.annotate("reference", (0, line), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
        elif not math.isnan(mean):
            if not math.isnan(low):
                axes.plot([low, high], [line, line], color=_BLUE, linewidth=2)
            axes.plot(mean, line, "o", color=_BLUE, markersize=6)
    axes.set_yticks([])


def _shorten(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"

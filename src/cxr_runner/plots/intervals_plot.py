"""Configurations beside each other: a metric with its interval, the runs behind it, and the difference to one."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.style import COLUMN_WIDTH, write_title

_LINE = 0.34  # inches a line
_WIDEST = 40  # characters of a line of a label
_LEAST_MARGIN = 0.01  # of an axis, at either end
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
        collapsed: whether runs of it collapsed; the scale is that of the others.
    """

    label: str
    mean: float
    low: float
    high: float
    points: Sequence[float]
    difference: tuple[float, float, float]
    is_reference: bool
    collapsed: bool = False


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
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines[["left", "right", "top"]].set_visible(False)


def _draw_means(axes: Axes, standings: Sequence[DrawnStanding], baselines: Mapping[str, float]) -> None:
    spans = {line: (one.mean, one.low, one.high, *one.points) for line, one in enumerate(standings)}
    clean = [spans.pop(line) for line, one in enumerate(standings) if not one.collapsed]
    least, most = _set_scale(axes, clean, [*spans.values(), (max(baselines.values(), default=math.nan),)], 1.0)
    for line, one in enumerate(standings):
        color = _ORANGE if one.is_reference else _BLUE
        if _is_beyond(axes, line, one.mean, least, most):
            continue
        _draw_interval(axes, line, (one.low, one.high), color)
        above = [line - 0.18] * len(one.points)
        axes.plot(one.points, above, "o", color=_GREY, markersize=3.5, alpha=0.5, markeredgewidth=0)
        axes.plot(one.mean, line, "D" if one.is_reference else "o", color=color, markersize=6)
    for value in baselines.values():
        axes.axvline(value, color=_GREY, linestyle=(0, (3, 2)), linewidth=0.9, zorder=0)
    if baselines:
        _name_baseline(axes, baselines)
    axes.set_yticks(range(len(standings)), [_shorten(one.label) for one in standings], parse_math=False)


def _name_baseline(axes: Axes, baselines: Mapping[str, float]) -> None:
    """Name the best trivial baseline above its line, or at the end of the axis that it lies beyond."""
    name, value = max(baselines.items(), key=lambda item: item[1])
    said, place = name if len(baselines) == 1 else f"best trivial baseline: {name}", "center"
    least, most = axes.get_xlim()
    if value < least:
        said, place = f"◂ {said} {value:.3f}", "left"
    elif value > most:
        said, place = f"{said} {value:.3f} ▸", "right"
    axes.annotate(
        _shorten(said, 1), (min(max(value, least), most), 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
        textcoords="offset points", ha=place, fontsize=8, color="#555555", parse_math=False, annotation_clip=False,
    )  # fmt: skip


def _draw_differences(axes: Axes, standings: Sequence[DrawnStanding]) -> None:
    others = [one for one in standings if not one.is_reference]
    clean, lost = ([one.difference for one in others if one.collapsed == which] for which in (False, True))
    least, most = _set_scale(axes, [(0.0, *difference) for difference in clean], [(0.0,), *lost])
    axes.axvline(0, color=_ORANGE, linewidth=1.2)
    for line, one in enumerate(standings):
        mean, low, high = one.difference
        if one.is_reference:
            axes.plot(0, line, "D", color=_ORANGE, markersize=6)
            axes.annotate("reference", (0, line), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
        elif not math.isnan(mean) and not _is_beyond(axes, line, mean, least, most, "+.3f"):
            _draw_interval(axes, line, (low, high), _BLUE)
            axes.plot(mean, line, "o", color=_BLUE, markersize=6)
    axes.set_yticks([])


def _draw_interval(axes: Axes, line: int, ends: tuple[float, float], color: str) -> None:
    """Draw an interval, with an arrow where it goes on beyond the axis; nothing where there is none."""
    if math.isnan(ends[0]):
        return
    axes.plot(ends, [line, line], color=color, linewidth=2)
    least, most = axes.get_xlim()
    for edge, marker, beyond in ((least, "<", ends[0] < least), (most, ">", ends[1] > most)):
        if beyond:
            axes.plot(edge, line, marker, color=color, markersize=6, clip_on=False)


def _set_scale(
    axes: Axes, spans: Sequence[Sequence[float]], also: Sequence[Sequence[float]], top: float = math.inf
) -> tuple[float, float]:
    """Have the axis show values, and others where that leaves these half of it; return its ends, below a top.

    What has collapsed would leave no room for the rest; where there is no rest, it is all there is to show.
    """
    values = [value for span in spans or also for value in span if not math.isnan(value)]
    least, most = min(values, default=0.0), max(values, default=1.0)
    width = most - least
    values += [value for span in also for value in span if least - width / 2 <= value <= most + width / 2]
    least, most = min(values, default=0.0), max(values, default=1.0)
    margin = max(0.05 * (most - least), _LEAST_MARGIN)
    ends = least - margin, min(most + margin, top + margin / 5)
    axes.set_xlim(*ends)
    return ends


def _is_beyond(axes: Axes, line: int, mean: float, least: float, most: float, form: str = ".3f") -> bool:
    """Say at the end of the axis where a mean lies that is beyond it; return whether it is."""
    if least <= mean <= most:
        return False
    said = f"{mean:{form}}".replace("-", "−") + ", with collapsed runs"
    side, sign, text = (0, "left", f"◂ {said}") if mean < least else (1, "right", f"{said} ▸")
    axes.annotate(
        text, (side, line),
        xycoords=("axes fraction", "data"), ha=sign, va="center", fontsize=8, color="#555555",
    )  # fmt: skip
    return True


def _shorten(text: str, most: int = 2) -> str:
    """Break a label into lines, and cut off what is still too long."""
    return textwrap.fill(text, _WIDEST, max_lines=most, placeholder=" …")

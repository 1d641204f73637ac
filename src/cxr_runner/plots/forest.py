"""Forest plots: a metric of every subgroup with its interval, below the name of its configuration."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.style import write_title

_LINE = 0.27  # inches a line
_WIDEST = 70  # characters of a configuration's name
_COLORS = {True: "#0072B2", False: "#777777"}  # by whether the group is a value, not what is pooled or not known


@style.context("default")
def plot_forest(groups: pd.DataFrame, title: str) -> Figure:
    """Draw the AUROC of subgroups.

    Args:
        groups: one row a subgroup, as :func:`cxr_runner.report.compare.subgroup_metrics.compare_subgroups` measures
            it: ``configuration``, ``value``, ``named``, ``num_images``, ``num_positive``, ``auroc``, ``auroc_low``,
            ``auroc_high``; those of a configuration beside each other.
        title: any text.
    """
    configurations = groups.groupby("configuration", sort=False)
    num_lines = len(groups) + len(configurations)
    figure = Figure(figsize=(8, 1.5 + _LINE * num_lines), layout="constrained")
    write_title(figure, title, 74)
    axes = figure.subplots()
    line, ticks = 0, []
    for name, entries in configurations:
        _write_name(axes, line, str(name))
        for entry in entries.to_dict("records"):
            line += 1
            _draw_group(axes, line, entry)
            images = f"{entry['num_positive']:,} + {entry['num_images'] - entry['num_positive']:,}"
            ticks.append((line, f"{entry['value']}   {images}"))
        line += 1
    lines, labels = zip(*ticks, strict=True)
    axes.set_yticks(lines, labels, parse_math=False)
    axes.set(ylim=(num_lines - 0.3, -0.7))
    axes.set_xlabel("AUROC, 95 % interval   (beside a group: positive + negative images)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlim(right=min(1.0, axes.get_xlim()[1]) + 0.005)
    return figure


def _write_name(axes: Axes, line: int, name: str) -> None:
    shown = name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1]}…"
    axes.annotate(
        shown, (0, line), xycoords=("axes fraction", "data"), va="center", fontsize=9, weight="bold", parse_math=False
    )


def _draw_group(axes: Axes, line: int, entry: Mapping[Any, Any]) -> None:
    value, low, high = (float(entry[f"auroc{end}"]) for end in ("", "_low", "_high"))
    color = _COLORS[bool(entry["named"])]
    if math.isnan(low):
        axes.plot(value, line, "o", color=color, markersize=6, fillstyle="none")
        return
    axes.plot([max(0.0, low), min(1.0, high)], [line, line], color=color, linewidth=1.6)
    axes.plot(value, line, "o", color=color, markersize=6)

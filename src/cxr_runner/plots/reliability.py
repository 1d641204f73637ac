"""Reliability diagrams: a panel for each configuration."""

from collections.abc import Mapping

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.style import wrap_title, write_title
from cxr_runner.stats import Reliability

_LOOKS = (("#0072B2", "solid"), ("#D55E00", "dotted"))
_LARGEST_DOT = 90.0  # points squared, of a bin that holds half of all images or more
_COLUMNS = 4
_WIDEST = 34  # characters of a line of a panel's title


@style.context("default")
def plot_reliability(configurations: Mapping[str, Mapping[str, Reliability]], title: str) -> Figure:
    """Draw predicted probability against observed share.

    Args:
        configurations: by the label of a configuration, its reliability as trained and, second, otherwise.
        title: any text.
    """
    columns = min(_COLUMNS, len(configurations))
    lines = -(-len(configurations) // columns)
    figure = Figure(figsize=(2.7 * max(columns, 2), 0.8 + 2.7 * lines), layout="constrained")
    write_title(figure, title, 36 * max(columns, 2) - 10)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(configurations) :]:
        axes.set_axis_off()
    for axes, (label, ways) in zip(panels.flat, configurations.items(), strict=False):
        _draw_panel(axes, ways)
        first, *others = ways.items()
        errors = "; ".join([f"{first[1].ece:.3f}", *(f"{name} {one.ece:.3f}" for name, one in others)])
        axes.set_title(f"{wrap_title(label, _WIDEST)}\npooled ECE {errors}", fontsize=9, parse_math=False)
    handles, names = max((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda pair: len(pair[1]))
    if len(names) > 1:
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    for axes in panels[:, 0]:
        axes.set_ylabel("share that is positive")
    for axes in panels[-1]:
        axes.set_xlabel("predicted probability")
    return figure


def _draw_panel(axes: Axes, ways: Mapping[str, Reliability]) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for (color, dashes), (name, one) in zip(_LOOKS, ways.items(), strict=False):
        filled = one.counts > 0
        predicted, observed = one.predicted[filled], one.observed[filled]
        shares = one.counts[filled] / one.counts.sum()
        axes.plot(predicted, observed, color=color, linestyle=dashes, linewidth=1.4, label=name)
        sizes = 4 + _LARGEST_DOT * np.minimum(1, 2 * shares)
        axes.scatter(predicted, observed, sizes, color=color, alpha=0.6, linewidth=0)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

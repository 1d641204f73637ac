"""Learning curves: a metric against the number of training images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from cxr_runner.plots.curves import COLORS, DASHES, MAX_GROUPS
from cxr_runner.plots.style import COLUMN_WIDTH, wrap_title, write_title

_OFFSET = 0.012  # of neighbouring curves at the same number of images, of a factor: intervals must not hide another


@dataclass(frozen=True)
class DrawnCurve:
    """One configuration.

    Attributes:
        label: any text.
        images: numbers of training images, ascending.
        means: a mean for each.
        lows: lower ends of the intervals; nan for none.
        highs: upper ends.
    """

    label: str
    images: Sequence[float]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


@style.context("default")
def plot_learning_curves(curves: Sequence[DrawnCurve], quantity: str, title: str, *, column: bool = False) -> Figure:
    """Draw learning curves with their intervals, the number of images on a logarithmic axis.

    Beyond :data:`~cxr_runner.plots.curves.MAX_GROUPS` curves colours would repeat: the first ones are drawn.

    Args:
        curves: at least one.
        quantity: what is measured.
        title: any text; a column has none.
        column: whether it is as wide as a column of a paper.
    """
    drawn, width = list(curves[:MAX_GROUPS]), COLUMN_WIDTH if column else 7.5
    figure = Figure(figsize=(width, 0.55 * width + 0.9 + 0.2 * len(drawn)), layout="constrained")
    axes, small = figure.subplots(), 7 if column else 9
    if not column:
        write_title(figure, title, 74)
    for number, curve in enumerate(drawn):
        images = np.array(curve.images) * (1 + _OFFSET * (number - (len(drawn) - 1) / 2))
        color, dashes = COLORS[number % len(COLORS)], DASHES[number // len(COLORS)]
        axes.plot(images, curve.means, "o", color=color, linestyle=dashes, markersize=4, label=curve.label)
        axes.vlines(images, curve.lows, curve.highs, color=color, linewidth=1.2)
    ticks = _ticks(sorted({round(images) for curve in drawn for images in curve.images}))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticklabels([f"{tick:,}" for tick in ticks])
    axes.tick_params(labelsize=small)
    axes.set_xlabel("training images", fontsize=small + 1)
    axes.set_ylabel(f"{quantity}, test", fontsize=small + 1)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(loc="outside lower center", ncols=1, fontsize=small, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
        text.set_text(wrap_title(text.get_text(), 40 if column else 90))
    return figure


def _ticks(numbers: Sequence[int]) -> list[int]:
    """Return some of the numbers, far enough apart to be read."""
    kept = [numbers[-1]]
    for number in reversed(numbers):
        if kept[-1] / number > 1.25:
            kept.append(number)
    return kept[::-1]

"""ROC and precision-recall curves of configurations: mean and range over their runs."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.curves import COLORS, DASHES
from cxr_runner.plots.style import COLUMN_WIDTH, wrap_title, write_title
from cxr_runner.stats import CurveBand

_ROOM = 3.5  # times as far as the corner from where sensitivity and specificity are alike, a curve is nearly flat


@style.context("default")
def plot_operating_curves(
    configurations: Mapping[str, tuple[CurveBand, CurveBand]], title: str, *, column: bool = False
) -> Figure:
    """Draw both curves beside each other.

    Args:
        configurations: ROC and precision-recall curve by the label of a configuration.
        title: any text.
        column: draw the ROC curve alone, as wide as a column of a paper and without a title.
    """
    if column:
        return _plot_column(configurations)
    columns = 2 if max(map(len, configurations), default=0) > 26 else 3
    lines = -(-len(configurations) // columns)
    figure = Figure(figsize=(9, 4.9 + 0.2 * lines), layout="constrained")
    write_title(figure, title)
    left, right = figure.subplots(1, 2)
    for axes, number in ((left, 0), (right, 1)):
        _draw_bands(axes, {label: bands[number] for label, bands in configurations.items()})
    left.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    left.set(xlabel="false positive rate", ylabel="sensitivity")
    right.set(xlabel="recall", ylabel="precision")
    rocs, precisions = zip(*configurations.values(), strict=True)
    _finish_square(left, corner(rocs), "left")
    _finish_square(right, corner(precisions, falling=True), "right")
    handles, labels = left.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _plot_column(configurations: Mapping[str, tuple[CurveBand, CurveBand]]) -> Figure:
    with rc_context({"font.size": 8}):
        figure = Figure(figsize=(COLUMN_WIDTH, COLUMN_WIDTH), layout="constrained")
        axes = figure.subplots()
        _draw_bands(axes, {label: roc for label, (roc, _) in configurations.items()})
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.6)
        axes.set(xlabel="false positive rate", ylabel="sensitivity")
        _finish_square(axes, corner([roc for roc, _ in configurations.values()]), "left")
        for text in axes.legend(fontsize=7, frameon=False, loc="lower right").get_texts():
            text.set_parse_math(False)
        return figure


def _draw_bands(axes: Axes, bands: Mapping[str, CurveBand]) -> None:
    for number, (label, band) in enumerate(bands.items()):
        color, dashes = COLORS[number % len(COLORS)], DASHES[number // len(COLORS) % len(DASHES)]
        axes.fill_between(band.grid, band.low, band.high, color=color, alpha=0.13, linewidth=0)
        axes.plot(band.grid, band.mean, color=color, linestyle=dashes, linewidth=1.5, label=wrap_title(label, 40))


def corner(bands: Iterable[CurveBand], *, falling: bool = False) -> float:
    """Return the side of the corner of the square that shows how curves differ; 1 where it takes the whole square.

    Args:
        bands: curves that rise from the left, at least one.
        falling: whether they fall to the right instead, as precision does.
    """
    ends = [float(np.min(np.maximum(1 - one.grid if falling else one.grid, 1 - one.mean))) for one in bands]
    side = _ROOM * max(ends)
    return next((size for size in (0.1, 0.2, 0.3, 0.4) if side <= size), 1.0)


def _finish_square(axes: Axes, side: float, corner_of: Literal["left", "right"]) -> None:
    """Set the limits to the upper corner on one side; what lies in it is named where it is not the whole square."""
    edge = 0.02 * side
    limits = (-edge, side + edge) if corner_of == "left" else (1 - side - edge, 1 + edge)
    axes.set(xlim=limits, ylim=(1 - side - edge, 1 + edge), aspect="equal")
    if side < 1:
        axes.set_title(f"the upper {corner_of} corner", fontsize=9, color="#555555")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

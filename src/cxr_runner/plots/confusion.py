"""The confusion matrix of a run, and those of several configurations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.figure import Figure

from cxr_runner.plots.style import wrap_title, write_title


@style.context("default")
def plot_confusion(
    metrics: Mapping[str, Any],
    class_names: tuple[str, str],
    title: str,
    published: Mapping[str, int] | None = None,
) -> Figure:
    """Draw the confusion matrix of one split, one row for each true class, with counts and shares of the row.

    Args:
        metrics: metrics with the counts ``tp``, ``fp``, ``fn``, ``tn``.
        class_names: names of the negative and the positive class.
        title: any text.
        published: counts that are to stand below ours, by the same names.
    """
    names = (("tn", "fp"), ("fn", "tp"))
    counts = np.array([[metrics[name] for name in line] for line in names])
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    figure = Figure(figsize=(5.2, 4.9), layout="constrained")
    write_title(figure, title, width=48)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        percent = f"{shares[row, column]:.1%}" if totals[row, 0] else "no image"
        color = _ink(shares[row, column])
        axes.text(column, row - 0.06, f"{count:,}", ha="center", va="center", fontsize=20, color=color)
        below = f"{percent}\npublished {published[names[row][column]]:,}" if published else percent
        axes.text(column, row + 0.11, below, ha="center", va="top", fontsize=11, color=color, linespacing=1.5)
    ticks = [wrap_title(name, 16) for name in class_names]
    axes.set_xticks([0, 1], ticks, parse_math=False)
    axes.set_yticks([0, 1], ticks, parse_math=False, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


@style.context("default")
def plot_confusions(
    configurations: Mapping[str, Mapping[str, float]], class_names: tuple[str, str], title: str
) -> Figure:
    """Draw the confusion matrices of several configurations beside each other, as shares of the true class.

    Args:
        configurations: by the label of a configuration, the mean counts ``tp``, ``fp``, ``fn``, ``tn`` of its runs.
        class_names: names of the negative and the positive class.
        title: any text.
    """
    columns = min(4, len(configurations))
    lines = -(-len(configurations) // columns)
    figure = Figure(figsize=(2.5 * max(columns, 2), 0.8 + 2.5 * lines), layout="constrained")
    write_title(figure, title, width=30 * max(columns, 2))
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(configurations) :]:
        axes.set_axis_off()
    for axes, (label, counts) in zip(panels.flat, configurations.items(), strict=False):
        matrix = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-9)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            axes.text(column, row, f"{share:.1%}", ha="center", va="center", fontsize=11, color=_ink(share))
        axes.set_title(wrap_title(label, 30), fontsize=9, parse_math=False)
        ticks = [wrap_title(name, 14) for name in class_names]
        axes.set_xticks([0, 1], ticks, parse_math=False, fontsize=8)
        axes.set_yticks([0, 1], ticks, parse_math=False, fontsize=8, rotation=90, va="center")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.supxlabel("predicted", fontsize=10)
    figure.supylabel("true", fontsize=10)
    return figure


def _ink(share: float) -> str:
    """Return a colour that can be read on that of a share."""
    red, green, blue, _ = colormaps["Blues"](share)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.4 else "black"

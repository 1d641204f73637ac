"""Pictures of one run and of several, as matplotlib figures that belong to nobody but their caller.

Texts are shown as they are, never read as mathtext, and the user's matplotlib style has no say: a picture depends
on its numbers alone.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from cxr_runner.plots.style import wrap_title, write_title

# Okabe and Ito's colours, safe for the colour-blind, without their yellow, which vanishes on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("solid", (0, (4, 1.5)))
_MARKERS = ("o", "D")
MAX_GROUPS = len(COLORS) * len(DASHES)
_DOTS_UP_TO = 15  # epochs; a history of one epoch is a dot or nothing
_LOG_FROM = 100.0  # ratio of the largest to the smallest loss from which only a logarithmic axis shows both


@style.context("default")
def plot_curves(history: pd.DataFrame, title: str) -> Figure:
    """Draw loss and accuracy of one run over its epochs.

    Args:
        history: one row an epoch: ``epoch``, ``train_loss``, ``train_accuracy``, ``val_loss``, ``val_accuracy``.
        title: any text.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    write_title(figure, title)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, color, dashes in zip(("train", "val"), COLORS, DASHES, strict=False):
            column = _finite(history[f"{split}_{quantity}"])
            marker = "o" if len(history) <= _DOTS_UP_TO else ""
            axes.plot(history["epoch"], column, color=color, linestyle=dashes, marker=marker, markersize=4, label=split)
        _finish([axes], quantity, history["epoch"].max())
        axes.set_ylabel(quantity)
        axes.set_xlabel("penalty of the path, from large to small" if "l2" in history else "epoch")
        axes.legend()
    return figure


@style.context("default")
def plot_comparison(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    title: str,
    looks: Mapping[str, tuple[int, bool]] | None = None,
    collapsed: Mapping[str, Sequence[pd.DataFrame]] | None = None,
) -> Figure:
    """Draw the curves of several configurations: the mean over the seeds that did not collapse, and their range.

    Collapsed runs are dotted lines beside it: a mean over both would lie where no run does. Seeds that stopped
    early count in the epochs that they reached. Beyond :data:`MAX_GROUPS` configurations colours would repeat: the
    first ones are drawn, and the title says so.

    Args:
        histories: histories of the seeds that did not collapse, as :func:`plot_curves` takes them, by configuration.
        title: any text.
        looks: number of the colour, and whether the line is dashed, by configuration; without it each has another look.
        collapsed: histories of the seeds that collapsed, of the same configurations.
    """
    collapsed = collapsed or {}
    drawn = dict(list(histories.items())[:MAX_GROUPS])
    if len(drawn) < len(histories):
        title += f" (the first {len(drawn)} of {len(histories)} configurations)"
    looks = looks or {name: (number % len(COLORS), number >= len(COLORS)) for number, name in enumerate(drawn)}
    labels = [
        wrap_title(_with_seeds(name, len(seeds), len(collapsed.get(name, ()))), 56) for name, seeds in drawn.items()
    ]
    columns = 1 if max(map(len, labels)) > 40 else 2 if max(map(len, labels)) > 26 else 3
    num_lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure = Figure(figsize=(9, 6.4 + 0.2 * num_lines), layout="constrained")
    write_title(figure, title)
    last_epoch = max(
        history["epoch"].max() for group in (drawn, collapsed) for seeds in group.values() for history in seeds
    )
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    for row, quantity in zip(grid, ("loss", "accuracy"), strict=True):
        for axes, split in zip(row, ("train", "val"), strict=True):
            for label, (name, seeds) in zip(labels, drawn.items(), strict=True):
                column, color, second = f"{split}_{quantity}", COLORS[looks[name][0]], looks[name][1]
                _draw_collapsed(axes, collapsed.get(name, ()), column, color)
                _draw_group(axes, seeds, column, color, second, label)
            axes.set_title(f"{quantity}, {split}", fontsize=11)
        _finish(row, quantity, last_epoch)
    for axes in grid[1]:
        axes.set_xlabel("epoch")
    handles, _ = grid[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
    legend.set_title(_key(drawn.values(), any(collapsed.values())), FontProperties(size=9))
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _key(groups: Iterable[Sequence[pd.DataFrame]], collapsed: bool) -> str:
    """Say what bands and dotted lines are, where there are any."""
    several = any(len(seeds) > 1 for seeds in groups)
    words = [f"line: mean over runs{' that did not collapse' * collapsed}; band: their range"] if several else []
    return "; ".join([*words, *["dotted: a collapsed run"] * collapsed])


def _draw_collapsed(axes: Axes, histories: Sequence[pd.DataFrame], column: str, color: str) -> None:
    for history in histories:
        (line,) = axes.plot(history["epoch"], _finite(history[column]), color=color, linestyle="dotted")
        line.set(linewidth=0.9, alpha=0.7, marker="." if len(history) == 1 else "")


def _draw_group(axes: Axes, seeds: Sequence[pd.DataFrame], column: str, color: str, second: bool, label: str) -> None:
    dashes = DASHES[second]
    if not seeds:
        axes.plot([], [], color=color, linestyle="dotted", linewidth=0.9, label=label)  # for the legend
        return
    epochs = pd.concat(seeds).assign(value=lambda table: _finite(table[column])).groupby("epoch")["value"]
    mean, low, high = epochs.mean(), epochs.min(), epochs.max()
    marker = _MARKERS[second] if len(mean) <= _DOTS_UP_TO else ""
    axes.plot(mean.index, mean, color=color, linestyle=dashes, marker=marker, markersize=4, label=label)
    if len(seeds) == 1:
        return
    if len(mean) == 1:  # a band would have no width
        axes.errorbar(mean.index, mean, yerr=[mean - low, high - mean], fmt="none", ecolor=color, capsize=3)
    else:
        axes.fill_between(mean.index, low, high, color=color, alpha=0.15, linewidth=0)


def _finish(row: Iterable[Axes], quantity: str, last_epoch: int) -> None:
    """Give axes that share their y axis a grid, whole epochs and, where the loss needs it, a logarithmic scale."""
    row, margin = list(row), max(0.3, 0.03 * last_epoch)
    for axes in row:
        axes.set_xlim(1 - margin, last_epoch + margin)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    low = min(axes.dataLim.ymin for axes in row)
    high = max(axes.dataLim.ymax for axes in row)
    if quantity == "loss" and 0 < low < high / _LOG_FROM:
        row[0].set_yscale("log")


def _finite(column: pd.Series) -> pd.Series:
    return column.where(np.isfinite(column))


def _with_seeds(name: str, num_trained: int, num_collapsed: int) -> str:
    total = num_trained + num_collapsed
    runs = f"{num_collapsed} of {total} runs collapsed" if num_collapsed else f"{total} run{'s' * (total > 1)}"
    return f"{name} ({runs})"

"""Figures of an audit: the baselines as bars, the sizes of the images as dots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.audit.shortcuts import Baseline

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_DOTS = 2000  # of each class in the figure of sizes
_COLORS = ("#0072B2", "#D55E00")  # Okabe and Ito's, safe for the colour-blind


def plot_baselines(baselines: Sequence[Baseline]) -> "Figure":
    """Draw accuracies with Wilson intervals as bars, and accuracies on further splits as marks."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context("default"):
        figure = Figure(figsize=(8, 0.8 + 0.5 * len(baselines)), layout="constrained")
        axes = figure.subplots()
        for position, baseline in enumerate(reversed(baselines)):
            _plot_baseline(axes, position, baseline)
        axes.set_yticks(range(len(baselines)), [baseline.words for baseline in reversed(baselines)], parse_math=False)
        axes.set_xlim(0.5 * min(baseline.score.accuracy for baseline in baselines), 1)
        axes.set_xlabel("test accuracy (the axis does not begin at 0)")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


def _plot_baseline(axes: "Axes", position: int, baseline: Baseline) -> None:
    """Draw one bar at a position of the y axis."""
    score = baseline.score
    bars = axes.barh(position, score.accuracy, 0.6, color="#56B4E9")
    axes.bar_label(bars, [f"{score.accuracy:.1%}"], label_type="center", fontsize=9)
    low, high = score.accuracy_ends or (score.accuracy, score.accuracy)
    axes.plot([low, high], [position, position], color="black", linewidth=1.5)
    for pairs, marker, label in ((baseline.random, "o", "random"), (baseline.patient, "D", "by patient")):
        if pairs:
            dots = [accuracy for accuracy, _ in pairs]
            legend = f"further splits, {label}" if position == 0 else None
            axes.plot(dots, [position] * len(dots), marker, color="#444444", markersize=4, label=legend)


def plot_sizes(table: pd.DataFrame, class_names: Sequence[str]) -> "Figure":
    """Draw width against height, one dot an image, at most 2,000 of each class.

    Args:
        table: images, with columns ``label``, ``width`` and ``height``.
        class_names: names of labels 0 and 1.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context("default"):
        figure = Figure(figsize=(6.5, 4.2), layout="constrained")
        axes = figure.subplots()
        for label, (name, color) in enumerate(zip(class_names, _COLORS, strict=True)):
            in_class = table[table["label"] == label]
            drawn = in_class.sample(min(len(in_class), _MOST_DOTS), random_state=0)
            axes.plot(drawn["width"], drawn["height"], ".", color=color, alpha=0.4, label=name)
        axes.set_xlabel("width in pixels")
        axes.set_ylabel("height in pixels")
        axes.spines[["top", "right"]].set_visible(False)
        for text in axes.legend(frameon=False).get_texts():
            text.set_parse_math(False)
    return figure

"""Figures of a study's kinds beyond curves: classes, samples, bars, durations, and runs beside published values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cxr_runner.artifacts.samples import Sample
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_duration
from cxr_runner.plots.style import write_title
from cxr_runner.study.published import ComparedMetric, Study
from cxr_runner.study.study_rows import FAMILIES, Row

# Okabe and Ito's colours, safe for the colour-blind; the family also stands in every label.
_COLORS = {"linear": "#0072B2", "linear_relu": "#D55E00", "cnn": "#009E73"}
_OTHER = "#CC79A7"  # any other model
_GREY = "#666666"


def family_color(family: str) -> str:
    """Return the colour of a model in figures of rows."""
    return _COLORS.get(family, _OTHER)


@style.context("default")
def plot_balance(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw how many images of each class a data set has.

    Args:
        counts: number of images of every class by its name, for ``train``, ``val`` and ``test``.
    """
    classes = list(next(iter(counts.values())))
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    for offset, name, color in zip((-0.2, 0.2), classes, ("#56B4E9", "#D55E00"), strict=False):
        numbers = [split[name] for split in counts.values()]
        bars = axes.bar(np.arange(len(counts)) + offset, numbers, 0.38, color=color, label=printable(name))
        totals = [max(1, sum(split.values())) for split in counts.values()]
        texts = [f"{number:,}\n{number / total:.1%}" for number, total in zip(numbers, totals, strict=True)]
        axes.bar_label(bars, texts, fontsize=9, padding=2)
    axes.set_xticks(range(len(counts)), list(counts))
    axes.set_ylabel("images")
    axes.margins(y=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    _plain(axes.legend(frameon=False).get_texts())
    return figure


@style.context("default")
def plot_samples(samples: Sequence[Sample], prepared: bool) -> Figure:
    """Draw images as their source gave them, or as models see them.

    Args:
        samples: at least one.
        prepared: after preparation, grey and square, instead of before.
    """
    columns = min(2, len(samples))
    lines = -(-len(samples) // columns)
    figure = Figure(figsize=(2.8 * columns, 3.1 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(samples) :]:
        axes.set_axis_off()
    for axes, sample in zip(grid, samples, strict=False):
        axes.imshow(sample.after if prepared else sample.before, cmap="gray", vmin=0, vmax=255)
        width, height = (sample.stored_side,) * 2 if prepared else sample.source_size
        name = printable(sample.name).rsplit("/", 1)[-1]
        text = f"{printable(sample.label)}\n{name[:30]}\n{width} x {height} pixels"
        axes.set_title(text, fontsize=9, parse_math=False)
        axes.set_axis_off()
    return figure


@style.context("default")
def plot_bars(
    rows: Sequence[Row],
    metrics: Sequence[ComparedMetric],
    tables: Mapping[str, pd.DataFrame],
    title: str,
    sizes: Mapping[str, str],
) -> Figure:
    """Draw two metrics of models beside the published ones.

    Args:
        rows: rows of the study, in the order of the bars.
        metrics: metrics, one a panel.
        tables: runs by the id of their row, as :func:`cxr_runner.load_runs` returns them; rows without runs show
            their published value alone.
        title: any text.
        sizes: what to write behind the id of a row with runs, for images of several sizes.
    """
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    write_title(figure, title)
    for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
        low = 1.0
        for position, row in enumerate(rows):
            values = tables[row.id][metric.key].dropna().to_numpy(float) if row.id in tables else np.zeros(0)
            if len(values):
                color = family_color(row.family)
                hatch = "///" if row.weighted else ""
                axes.bar(position, values.mean(), 0.7, color=color, alpha=0.75, hatch=hatch, edgecolor="white")
                axes.plot([position] * len(values), values, ".", color="black", markersize=4)
                low = min(low, values.min())
            value = metric.published_of(row)
            if not np.isnan(value):
                axes.plot(position, value, "x", color="black", markersize=8, markeredgewidth=1.8)
                low = min(low, value)
        for position, row in enumerate(rows):
            if row.id not in tables:
                axes.annotate("no runs", (position, 0.03), xycoords=("data", "axes fraction"), rotation=90, ha="center")
        axes.set_xticks(range(len(rows)), [row.id + sizes.get(row.id, "").replace(", ", "\n") for row in rows])
        axes.set_ylim(max(0.0, low - 0.05), 1.0)
        axes.set_xlabel("model")
        axes.set_title(metric.label, fontsize=11)
        _tidy(axes)
    handles: list[Artist] = [
        Patch(color=family_color(family), label=FAMILIES.get(family, family))
        for family in dict.fromkeys(row.family for row in rows)
    ]
    handles += [Patch(facecolor="#aaaaaa", hatch="///", edgecolor="white", label="with class weight")]
    handles += [Line2D([], [], color="black", marker=".", linestyle="none", label="one seed")]
    handles += [Line2D([], [], color="black", marker="x", linestyle="none", label="published")]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    return figure


@style.context("default")
def plot_durations(
    rows: Sequence[Row], tables: Mapping[str, pd.DataFrame], title: str, sizes: Mapping[str, str]
) -> Figure:
    """Draw the training time of models.

    Args:
        rows: rows of the study, in the order of the bars.
        tables: runs by the id of their row, as :func:`cxr_runner.load_runs` returns them.
        title: any text.
        sizes: what to write behind the id of a row with runs, for images of several sizes.
    """
    drawn = [row for row in rows if row.id in tables]
    figure = Figure(figsize=(7, 1.4 + 0.55 * len(drawn)), layout="constrained")
    write_title(figure, title, width=68)
    axes = figure.subplots()
    for position, row in enumerate(drawn):
        seconds = tables[row.id]["train_seconds"]
        bars = axes.barh(position, seconds.mean(), 0.6, color=family_color(row.family))
        axes.bar_label(bars, [format_duration(seconds.mean())], padding=4, fontsize=9)
    engines = {row.id: "/".join(sorted(set(tables[row.id]["engine"]))) for row in drawn}
    labels = [f"{row.id}: {FAMILIES.get(row.family, row.family)}{sizes[row.id]}, {engines[row.id]}" for row in drawn]
    axes.set_yticks(range(len(drawn)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds of training, mean over seeds")
    _tidy(axes, "x")
    return figure


@style.context("default")
def plot_published(
    comparisons: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
    study: Study,
    title: str,
    sizes: Mapping[str, str],
) -> Figure:
    """Draw the accuracies of our runs beside the published ones, all in one picture.

    Args:
        comparisons: tables as :func:`cxr_runner.comparison_table` returns them, by the titles of their panels.
        tables: runs that did not collapse by the id of their row, as :func:`cxr_runner.load_runs` returns them.
        study: study that the rows are of.
        title: any text.
        sizes: what to write behind the id of a row with runs, for images of several sizes.
    """
    key = study.accuracy.key
    figure = Figure(figsize=(5.6, 1.6 + 2.9 * len(comparisons)), layout="constrained")
    write_title(figure, title, width=52)
    panels = figure.subplots(len(comparisons), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (words, table) in zip(panels, comparisons.items(), strict=True):
        wanted = table[table["metric"] == key].to_dict("records")
        for position, entry in enumerate(wanted):
            values = tables[entry["row"]][key].dropna().tolist() if entry["row"] in tables else []
            color = family_color(study.row(entry["row"]).family)
            _draw_published(axes, position, entry | {"values": values}, color)
        names = [f"{entry['row']}  {entry['model'].split(',')[0]}{_weight(entry['model'])}" for entry in wanted]
        labels = [name + sizes.get(entry["row"], "") for name, entry in zip(names, wanted, strict=True)]
        axes.set_yticks(range(len(wanted)), labels)
        axes.set_ylim(len(wanted) - 0.5, -0.5)
        axes.set_title(words, fontsize=11)
        _tidy(axes, "x")
    low, high = panels[-1].get_xlim()
    panels[-1].set_xlim(max(low, -0.02), min(high, 1.02))  # of two seeds an interval may go far beyond
    panels[-1].set_xlabel("test accuracy, mean over batches")
    handles = [
        Line2D([], [], color="black", marker="x", linestyle="none", markersize=8, label="published, one run"),
        Line2D(
            [],
            [],
            color=_GREY,
            marker="|",
            linewidth=2.5,
            label="ours, not collapsed: mean, 95 % t interval over seeds",
        ),
        Line2D([], [], color=_GREY, marker=".", linestyle="none", alpha=0.6, label="one seed"),
        Line2D(
            [], [], color=_GREY, linewidth=7, alpha=0.2, label="how uncertain so few test images are (Wilson, 95 %)"
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=1, fontsize=9, frameon=False)
    return figure


def _draw_published(axes: Axes, position: int, entry: Mapping[Any, Any], color: str) -> None:
    axes.plot(entry["published"], position, "x", color="black", markersize=8, markeredgewidth=1.8, zorder=4)
    if not entry["values"]:
        axes.annotate(
            _without_values(entry),
            (entry["published"], position),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
        )
        return
    ends = [entry["wilson_low"], entry["wilson_high"]]
    axes.plot(ends, [position, position], color=color, linewidth=7, alpha=0.2, solid_capstyle="butt")
    axes.plot(entry["values"], [position] * len(entry["values"]), ".", color=color, markersize=5, alpha=0.6)
    axes.plot(entry["mean"], position, "|", color=color, markersize=14, markeredgewidth=2.5)
    if len(entry["values"]) > 1:
        axes.plot([entry["low"], entry["high"]], [position, position], color=color, linewidth=2.5)


def _without_values(entry: Mapping[Any, Any]) -> str:
    if not entry["num_seeds"]:
        return "no runs"
    return "all collapsed" if entry["num_collapsed"] == entry["num_seeds"] else "not known"


def _weight(model: str) -> str:
    return ", weighted" if "weighted" in model else ""


def _tidy(axes: Axes, grid: str = "y") -> None:
    axes.grid(axis="x" if grid == "x" else "y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(texts: Sequence[Any]) -> None:
    for text in texts:
        text.set_parse_math(False)

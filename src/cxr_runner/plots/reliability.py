"""Reliability diagrams of the tested models."""

from collections.abc import Mapping

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.plots.style import write_title
from cxr_runner.stats import Reliability
from cxr_runner.study import FAMILIES, Row, Study

_LOOKS = {"no weight": ("#0072B2", "solid"), "weighted": ("#D55E00", "solid"), "undone": ("#D55E00", "dotted")}
_LARGEST_DOT = 90.0  # points squared, of a bin that holds half of all images or more


@style.context("default")
def plot_reliability(by_name: Mapping[str, Reliability], study: Study, title: str) -> Figure:
    """Draw predicted probability against observed share, a panel for each family and batch size.

    Args:
        by_name: reliability by the id of its row; with ``, undone`` that without the shift of its weight.
        study: study that the rows are of.
        title: any text.
    """
    rows = [row for row in study.published_rows() if row.id in by_name]
    sizes = list(dict.fromkeys(row.batch_size for row in rows))
    families = [family for family in FAMILIES if any(row.family == family for row in rows)]
    figure = Figure(figsize=(10.8, 0.7 + 3.1 * len(sizes)), layout="constrained")
    write_title(figure, title)
    panels = figure.subplots(len(sizes), len(families), sharex=True, sharey=True, squeeze=False)
    for line, size in zip(panels, sizes, strict=True):
        for axes, family in zip(line, families, strict=True):
            drawn = [row for row in rows if (row.batch_size, row.family) == (size, family)]
            _draw_panel(axes, drawn, by_name)
            axes.set_title(f"{FAMILIES[family]}, batches of {size}", fontsize=11)
        line[0].set_ylabel("share that is positive")
    for axes in panels[-1]:
        axes.set_xlabel("predicted probability")
    return figure


def _draw_panel(axes: Axes, rows: list[Row], by_name: Mapping[str, Reliability]) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for row in rows:
        for suffix in ("", ", undone"):
            one = by_name.get(row.id + suffix)
            if one is not None:
                look = "undone" if suffix else "weighted" if row.weighted else "no weight"
                _draw(axes, one, look, f"{row.id}: {look}")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if rows:
        axes.legend(fontsize=8, frameon=False)
    else:
        axes.annotate("no runs", (0.5, 0.5), ha="center", color="#666666")


def _draw(axes: Axes, one: Reliability, look: str, label: str) -> None:
    color, dashes = _LOOKS[look]
    filled = one.counts > 0
    predicted, observed = one.predicted[filled], one.observed[filled]
    shares = one.counts[filled] / one.counts.sum()
    axes.plot(predicted, observed, color=color, linestyle=dashes, linewidth=1.4, label=label)
    axes.scatter(predicted, observed, 4 + _LARGEST_DOT * np.minimum(1, 2 * shares), color=color, alpha=0.6, linewidth=0)

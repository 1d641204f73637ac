"""The configurations of a comparison as pictures."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_number
from cxr_runner.report.class_counts import class_names
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.trivial_baselines import Baselines
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_MOST_DRAWN = 32  # configurations in one plot
_MOST_PANELS = 12


def comparison_pictures(compared: Comparison, runs: DataSetRuns) -> list[Picture]:
    """Return the pictures of a comparison but for the first.

    Args:
        compared: the configurations.
        runs: all runs on the data set.
    """
    pictures = [_confusions(compared, runs)]
    if compared.curves:
        pictures.insert(0, _operating_curves(compared, runs.heading))
    return [*pictures, _reliability(compared, runs.heading)] if compared.reliability else pictures


def _operating_curves(compared: Comparison, heading: str) -> Picture:
    drawn = dict(list(compared.curves.items())[:_MOST_PANELS])
    labels = compared.labels

    def draw(column: bool = False) -> "Figure":
        from cxr_runner.plots.operating import plot_operating_curves

        return plot_operating_curves(
            {labels[name]: (*curves,) for name, curves in drawn.items()}, heading, column=column
        )

    alt = "Mean sensitivity at a false positive rate of 0.1: " + "; ".join(
        f"{labels[name]}: {format_number(float(np.interp(0.1, one.roc.grid, one.roc.mean)))}"
        for name, one in drawn.items()
    )
    whole = " Folds are put together, each image by the model that has not seen it." * compared.several_splits
    text = (
        "ROC and precision-recall curves on the test split: mean and range of the runs that did not collapse; where "
        f"all are near a corner, that corner.{whole}"
    )
    notes = _first_ones(len(drawn), len(compared.curves))
    title = "ROC and precision-recall curves"
    return Picture("roc", title, text, alt, notes, draw=draw, draw_column=partial(draw, column=True))


def forest_picture(compared: Comparison, heading: str, baselines: Baselines) -> Picture:
    """Show the metric that configurations are compared by, with intervals, and the differences to the reference."""
    words = metric(compared.metric).words
    standings = compared.standings[:_MOST_DRAWN]
    more = len(compared.standings) - len(standings)
    points = "the mean of a split" if compared.several_splits else "one seed"

    def draw(column: bool = False) -> "Figure":
        from cxr_runner.plots.intervals_plot import DrawnStanding, plot_standings

        lines = []
        for one in standings:
            estimate, difference = one.estimates.get(compared.metric), one.differences.get(compared.metric)
            ends = (estimate.low, estimate.high) if estimate else (math.nan, math.nan)
            gap = (difference.mean, difference.low, difference.high) if difference else (math.nan,) * 3
            mean = one.mean(compared.metric)
            which = one is compared.reference, one.num_collapsed > 0
            lines.append(DrawnStanding(one.label, mean, *ends, _points(one, compared.metric), gap, *which))
        trivial = {
            name: values[compared.metric] for name, values in baselines.scores.items() if compared.metric in values
        }
        return plot_standings(lines, words, trivial, heading, column=column)

    alt = "; ".join(f"{one.label}: {format_number(one.mean(compared.metric))}" for one in standings)
    text = f"Mean {words} on the test split with its 95 % interval; each dot is {points}."
    if 0 < sum(one.num_collapsed > 0 for one in standings) < len(standings):
        text += " The scale is that of configurations without collapsed runs; arrows point beyond it."
    if more > 0:
        text += f" The first {_MOST_DRAWN} of {len(compared.standings)} configurations; the table has all."
    return Picture("forest", "Configurations", text, alt, draw=draw, draw_column=partial(draw, column=True))


def _points(one: Standing, key: str) -> Sequence[float]:
    if one.num_splits == 1:
        values: list[float] = one.table[key].tolist()
        return values
    return [float(np.mean(values)) for _, values in one.table.groupby("fingerprint")[key]]


def _reliability(compared: Comparison, heading: str) -> Picture:
    """Show predicted probabilities against what happened."""
    labels = compared.labels
    drawn = dict(list(compared.reliability.items())[:_MOST_PANELS])

    def draw() -> "Figure":
        from cxr_runner.plots.reliability import plot_reliability

        return plot_reliability({labels[name]: ways for name, ways in drawn.items()}, heading)

    alt = "Expected calibration error of the runs that did not collapse, pooled: " + "; ".join(
        f"{labels[name]}: {one.ece:.3f}" for name, ways in drawn.items() for one in list(ways.values())[:1]
    )
    text = (
        "Predicted probability against the share of images that are positive, runs that did not collapse pooled; the "
        "larger a dot, the more images. Pooled ECE is that of all of them together; the mean of the single runs, in "
        "the table, is never smaller. Below the diagonal a model promises too much. Undone: after ln(weight) is "
        "taken from the logits. A model that ends in a ReLU never goes below 0.5."
    )
    notes = _first_ones(len(drawn), len(compared.reliability))
    return Picture("reliability", "Are the probabilities true?", text, alt, notes, draw=draw)


def _confusions(compared: Comparison, runs: DataSetRuns) -> Picture:
    drawn = compared.standings[:_MOST_PANELS]
    whole = {one.name: one.num_collapsed == len(one.runs) for one in drawn}  # nothing else is there to be shown
    counts = {
        one.label: {name: one.mean(name, collapsed=whole[one.name]) for name in ("tp", "fp", "fn", "tn")}
        for one in drawn
    }

    def draw() -> "Figure":
        from cxr_runner.plots.confusion import plot_confusions

        return plot_confusions(counts, class_names(runs.facts), runs.heading)

    alt = "; ".join(
        f"{label}: sensitivity {_share(one['tp'], one['fn'])}, specificity {_share(one['tn'], one['fp'])}"
        for label, one in counts.items()
    )
    text = (
        "Of the test images of each true class, the share that is called one and the other; runs that did not collapse."
    )
    notes = _first_ones(len(drawn), len(compared.standings))
    return Picture("confusion", "Confusion matrices", text, alt, notes, draw=draw)


def _first_ones(num_drawn: int, total: int) -> tuple[str, ...]:
    """Say that not all configurations are drawn, where that is so."""
    return (f"The first {num_drawn} of {total} configurations.",) if num_drawn < total else ()


def _share(part: float, rest: float) -> str:
    return format_number(part / (part + rest)) if part + rest else ""

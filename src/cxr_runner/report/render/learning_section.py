"""Learning curves on the page: a figure, a table, and what more images have brought in a sentence each."""

import math
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_difference, format_interval, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.learning_curves import LearningCurve
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_cells import LEVEL
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_MOST_SAID = 4  # curves in sentences; the table has all


def learning_picture(compared: Comparison, heading: str) -> Picture:
    """Show a metric against the number of training images.

    Args:
        compared: configurations, of which some are learning curves.
        heading: title of the data set.
    """
    words = metric(compared.metric).words

    def draw(column: bool = False) -> "Figure":
        from cxr_runner.plots.learning_plot import DrawnCurve, plot_learning_curves

        curves = []
        for curve in compared.learning:
            ends = [(one.estimate.low, one.estimate.high) if one.estimate else (math.nan,) * 2 for one in curve.points]
            lows, highs = zip(*ends, strict=True)
            images, means = zip(*((one.num_train, one.mean) for one in curve.points), strict=True)
            curves.append(DrawnCurve(curve.label, images, means, lows, highs))
        return plot_learning_curves(curves, words, heading, column=column)

    alt = "; ".join(
        f"{curve.label}: " + ", ".join(f"{one.num_train:,.0f} images {format_number(one.mean)}" for one in curve.points)
        for curve in compared.learning
    )
    text = (
        f"Mean {words} on the test split against the number of training images (a logarithmic axis), with 95 % "
        "intervals over splits, seeds and test images. Each share lies within every larger one and is tested on the "
        "same images, so that a step is known better than both of its ends."
    )
    return Picture("learning", "Learning curves", text, alt, draw=draw, draw_column=partial(draw, column=True))


def learning_table(compared: Comparison) -> Table:
    """Return the learning curves, a share a row."""
    words, entries, shown = metric(compared.metric).words, [], []
    for curve in compared.learning:
        for one in curve.points:
            ends = (one.estimate.low, one.estimate.high) if one.estimate else (math.nan, math.nan)
            gain = (one.gain.mean, one.gain.low, one.gain.high) if one.gain else (math.nan,) * 3
            entries.append((one.name, one.share, one.num_train, one.mean, *ends, *gain))
            interval = f" ({format_interval(*ends)})" if not math.isnan(ends[0]) else ""
            shown.append(
                (
                    curve.label,
                    f"{one.share:.4g}",
                    f"{one.num_train:,.0f}",
                    format_number(one.mean) + interval,
                    format_difference(*gain),
                )
            )
    columns = ["configuration", "train_share", "num_train", compared.metric, "low", "high"]
    data = pd.DataFrame(entries, columns=[*columns, "gain", "gain_low", "gain_high"])
    headings = ["configuration", "share", "training images", words, "gain over the share before"]
    caption = (
        f"Mean {words} on the test split with its 95 % interval, and what each step has brought, on the splits and "
        "seeds that both shares have; splits, seeds and test images count as sources of variance."
    )
    return Table(
        "learning", caption, data, pd.DataFrame(shown, columns=headings), ("configuration",), "Learning curves"
    )


def learning_sentences(compared: Comparison) -> list[str]:
    """Say of each curve what its last step has brought, which is all that these runs know of more images."""
    said = [_last_step(curve, metric(compared.metric).words) for curve in compared.learning if curve.last_gain]
    more = f" The table of learning curves has {len(said) - _MOST_SAID} more." if len(said) > _MOST_SAID else ""
    return [*said[: _MOST_SAID - 1], f"{said[_MOST_SAID - 1]}{more}"] if len(said) >= _MOST_SAID else said


def _last_step(curve: LearningCurve, words: str) -> str:
    before, last = curve.points[-2:]
    assert last.gain is not None
    step = f"{curve.label}, from {before.num_train:,.0f} to {last.num_train:,.0f} training images"
    gain = f"{format_difference(last.gain.mean, last.gain.low, last.gain.high)} in {words}"
    if math.isnan(curve.adjusted):
        return f"{step}: {gain}; whether that is chance cannot be tested."
    p = p_value(curve.adjusted)
    if curve.adjusted >= LEVEL:
        return f"{step}: {gain} (p {p}, Holm): these runs do not show that more images would bring more."
    if last.gain.mean < 0:
        return f"{step}: {gain} (p {p}, Holm): more images have made it worse."
    return f"{step}: {gain} (p {p}, Holm): it was still rising; how far it would go on, no run here can say."

"""What the comparison of the configurations at one size says: a table, sentences, pictures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_difference, format_interval, format_number, list_few, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.trivial_baselines import Baselines
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_tables import (
    MEAN_LEGEND,
    comparison_table,
    pairs_table,
    quality_section_table,
    runs_cell,
    sources_table,
    weights_table,
)
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

LEVEL = 0.05  # a p value below it counts as a difference
_MOST_DRAWN = 32  # configurations in one plot
_MAIN = "accuracy"


@dataclass(frozen=True)
class StandingCell:
    """A figure of a configuration, as texts; '' for what there is not."""

    value: str
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class StandingRow:
    """A configuration, or a trivial baseline, in the first table of the page.

    Attributes:
        label: what it is called.
        name: name that ends in its id, '' for a baseline.
        marks: what else is to be said of it, e.g. that it is the reference.
        cells: a metric each, then the difference to the reference.
        runs: how many runs there are, and how many of them say nothing.
    """

    label: str
    name: str
    marks: tuple[str, ...]
    cells: tuple[StandingCell, ...]
    runs: str


@dataclass(frozen=True)
class ComparisonSection:
    """The comparison at one size, for the page.

    Attributes:
        title: what tells it from those at other sizes, '' where there is only one.
        sentences: the findings in words.
        headings: of the columns of the first table.
        rows: the configurations, the reference first.
        baselines: trivial baselines below them.
        legend: how to read the table.
        forest: the same as a picture.
        tables: for files; the first holds what the first table of the page shows.
        pictures: further ones.
    """

    title: str
    sentences: list[str]
    headings: list[str]
    rows: list[StandingRow]
    baselines: list[StandingRow]
    legend: str
    forest: Picture
    tables: list[Table]
    pictures: list[Picture]


def comparison_section(compared: Comparison, runs: DataSetRuns, baselines: Baselines, suffix: str) -> ComparisonSection:
    """Say what the comparison of the configurations at one size has found.

    Args:
        compared: the configurations.
        runs: all runs on the data set.
        baselines: trivial baselines on the same images.
        suffix: suffix of the names of files.
    """
    tables = [comparison_table(compared), sources_table(compared)]
    if compared.pairs is not None:
        tables.append(pairs_table(compared.pairs, compared.labels, compared.unit))
    if compared.weights is not None:
        tables.append(weights_table(compared.weights, compared.labels, compared.unit))
    if len(compared.quality):
        tables.append(quality_section_table(compared.quality, compared.labels))
    several = len(runs.sizes) > 1
    suffix = f"{suffix}_{compared.image_size}px" if several else suffix
    title = f"{compared.image_size} pixels to a side" if several else ""
    pictures = [_reliability(compared, runs.heading)] if compared.reliability else []
    legend = (
        f"{MEAN_LEGEND.format(unit=compared.unit)} Difference: to {compared.reference.label} "
        f"({compared.why_reference}); p after Holm's correction."
    )
    return ComparisonSection(
        title=title,
        sentences=[*_sentences(compared), *_data_sentences(runs)],
        headings=["configuration", *(metric(key).words for key in RESAMPLED_METRICS), "difference in accuracy", "runs"],
        rows=[_row(one, compared) for one in compared.standings],
        baselines=[_baseline_row(name, values) for name, values in baselines.scores.items()],
        legend=legend,
        forest=_forest(compared, runs.heading, baselines).suffixed(suffix),
        tables=[table.suffixed(suffix) for table in tables],
        pictures=[picture.suffixed(suffix) for picture in pictures],
    )


def _row(one: Standing, compared: Comparison) -> StandingRow:
    marks = ["reference"] * (one is compared.reference) + ["best on validation"] * (one.name == compared.best)
    if len(compared.standings) == 1:
        marks = []
    cells = [_metric_cell(one, key) for key in RESAMPLED_METRICS]
    return StandingRow(one.label, one.name, tuple(marks), (*cells, _difference_cell(one)), runs_cell(one))


def _metric_cell(one: Standing, key: str) -> StandingCell:
    estimate = one.estimates.get(key)
    interval = format_interval(estimate.low, estimate.high) if estimate else ""
    kept = one.num_collapsed and one.num_collapsed < len(one.runs)
    note = f"{format_number(one.mean(key, collapsed=False))} not collapsed" if kept else ""
    return StandingCell(format_number(one.mean(key)), interval, note)


def _difference_cell(one: Standing) -> StandingCell:
    difference = one.differences.get(_MAIN)
    if difference is None:
        return StandingCell("")
    ends = format_difference(difference.mean, difference.low, difference.high)
    value, _, interval = ends.partition(" (")
    p = p_value(one.adjusted.get(_MAIN, math.nan))
    return StandingCell(value, interval.rstrip(")"), f"p {p}" if p else "")


def _baseline_row(name: str, values: Mapping[str, float]) -> StandingRow:
    cells = [StandingCell(format_number(values.get(key, math.nan))) for key in RESAMPLED_METRICS]
    return StandingRow(name, "", (), (*cells, StandingCell("")), "")


def _sentences(compared: Comparison) -> list[str]:
    """Say which configurations differ from the reference, and which runs say nothing."""
    said = []
    tested = [one for one in compared.standings if not math.isnan(one.adjusted.get(_MAIN, math.nan))]
    differing = [one for one in tested if one.adjusted[_MAIN] < LEVEL]
    if differing:
        listed = [
            f"{one.label} by {format_number(one.differences[_MAIN].mean, '+.3f')} (p {p_value(one.adjusted[_MAIN])})"
            for one in differing
        ]
        said.append(
            f"In accuracy, beyond what splits, seeds and test images explain, from {compared.reference.label} differ: "
            f"{list_few(listed, '; ')}."
        )
    elif tested:
        said.append(
            f"In accuracy no configuration differs from {compared.reference.label} beyond what splits, seeds and test "
            "images explain; that does not show that they are alike."
        )
    elif len(compared.standings) > 1:
        said.append(
            "Whether configurations differ cannot be tested: that takes two runs of each on the same splits, with "
            "predictions."
        )
    lost = [one for one in compared.standings if one.num_collapsed or any(one.one_sided)]
    if lost:
        listed = [f"{one.label}: {runs_cell(one)}" for one in lost]
        said.append(f"Runs that say nothing of their model: {list_few(listed, '; ')}.")
    return said


def _data_sentences(runs: DataSetRuns) -> list[str]:
    predictions, said = runs.predictions, []
    if predictions.configurations and predictions.patients is None:
        said.append(
            "The patients of these images are not known: images are resampled as if each were of another "
            "patient, so that intervals are narrower than they should be."
        )
    elif predictions.patients is not None:
        said.append(
            f"The {len(predictions.patients):,} test images are of {len(set(predictions.patients)):,} patients; whole "
            "patients are resampled. McNemar and DeLong take every image as if it were of another one."
        )
    if predictions.problems:
        path, why = next(iter(predictions.problems.items()))
        number = plural(len(predictions.problems), "run")
        said.append(f"Without usable predictions, and so in no interval and no test: {number}, e.g. {path} ({why}).")
    return said


def _forest(compared: Comparison, heading: str, baselines: Baselines) -> Picture:
    words = metric(_MAIN).words
    standings = compared.standings[:_MOST_DRAWN]
    more = len(compared.standings) - len(standings)
    points = "the mean of a split" if compared.several_splits else "one seed"

    def draw() -> "Figure":
        from cxr_runner.plots.intervals_plot import DrawnStanding, plot_standings

        lines = []
        for one in standings:
            estimate, difference = one.estimates.get(_MAIN), one.differences.get(_MAIN)
            ends = (estimate.low, estimate.high) if estimate else (math.nan, math.nan)
            gap = (difference.mean, difference.low, difference.high) if difference else (math.nan,) * 3
            mean = one.mean(_MAIN)
            lines.append(DrawnStanding(one.label, mean, *ends, _points(one), gap, one is compared.reference))
        trivial = {name: values[_MAIN] for name, values in baselines.scores.items() if _MAIN in values}
        return plot_standings(lines, words, points, trivial, heading)

    alt = "; ".join(f"{one.label}: {format_number(one.mean(_MAIN))}" for one in standings)
    text = f"Mean {words} on the test split with its 95 % interval; each dot is {points}."
    if more > 0:
        text += f" The first {_MOST_DRAWN} of {len(compared.standings)} configurations; the table has all."
    return Picture("forest", "Configurations", text, alt, draw=draw)


def _points(one: Standing) -> Sequence[float]:
    if one.num_splits == 1:
        values: list[float] = one.table[_MAIN].tolist()
        return values
    return [float(np.mean(values)) for _, values in one.table.groupby("fingerprint")[_MAIN]]


def _reliability(compared: Comparison, heading: str) -> Picture:
    labels = compared.labels
    drawn = dict(list(compared.reliability.items())[:12])

    def draw() -> "Figure":
        from cxr_runner.plots.reliability import plot_reliability

        return plot_reliability({labels[name]: ways for name, ways in drawn.items()}, heading)

    alt = "Expected calibration error of the runs that did not collapse, pooled: " + "; ".join(
        f"{labels[name]}: {one.ece:.3f}" for name, ways in drawn.items() for one in list(ways.values())[:1]
    )
    text = (
        "Predicted probability against the share of images that are positive, runs that did not collapse pooled; the "
        "larger a dot, the more images. Below the diagonal a model promises too much. Undone: after ln(weight) is "
        "taken from the logits. A model that ends in a ReLU never goes below 0.5."
    )
    more = len(compared.reliability) - len(drawn)
    notes = (f"The first {len(drawn)} of {len(compared.reliability)} configurations.",) if more > 0 else ()
    return Picture("reliability", "Are the probabilities true?", text, alt, notes, draw=draw)

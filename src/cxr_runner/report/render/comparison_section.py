"""What the comparison of the configurations at one size says, put together for the page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_interval, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.render.comparison_cells import (
    compared_metrics,
    decides_cell,
    difference_cell,
    p_cell,
    runs_cell,
)
from cxr_runner.report.render.comparison_pictures import comparison_pictures, forest_picture
from cxr_runner.report.render.comparison_tables import DECIDES_LEGEND, MEAN_LEGEND, comparison_table, sources_table
from cxr_runner.report.render.comparison_words import find_sentences, resampling_sentences
from cxr_runner.report.render.detail_tables import (
    pairs_table,
    quality_section_table,
    thresholds_table,
    weights_table,
)
from cxr_runner.report.render.learning_section import learning_picture, learning_sentences, learning_table
from cxr_runner.report.render.mistakes_section import MistakesSection, mistakes_section
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.side_by_side_section import side_by_side_table
from cxr_runner.report.render.verdict import verdict

if TYPE_CHECKING:  # a section is handed what was compared
    from cxr_runner.report.compare.comparison import DataSetComparison


@dataclass(frozen=True)
class StandingCell:
    """A figure of a configuration, as texts, '' for what there is not; or words, which may break into lines."""

    value: str
    interval: str = ""
    note: str = ""
    words: bool = False


@dataclass(frozen=True)
class StandingRow:
    """A configuration, or a trivial baseline, in the first table of the page.

    Attributes:
        label: what it is called.
        name: name that ends in its id, '' for a baseline.
        marks: what else is to be said of it, e.g. that it is the reference.
        cells: the metric they are compared by, the difference to the reference, what would decide it, other metrics.
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
        verdict: the answer in a sentence or two.
        sentences: the findings in words.
        headings: of the columns of the first table.
        rows: the configurations, the reference first.
        baselines: trivial baselines below them.
        legend: how to read the table.
        forest: the same as a picture.
        tables: for files; the first holds what the first table of the page shows.
        pair: two configurations side by side; None where there are not two.
        pictures: further ones.
        mistakes: the images that runs get wrong; None where that is not known.
    """

    title: str
    verdict: str
    sentences: list[str]
    headings: list[str]
    rows: list[StandingRow]
    baselines: list[StandingRow]
    legend: str
    forest: Picture
    tables: list[Table]
    pair: Table | None
    pictures: list[Picture]
    mistakes: MistakesSection | None

    @property
    def all_tables(self) -> list[Table]:
        """All that is to be written as files."""
        more = [self.pair] if self.pair else []
        return [*self.tables, *more, *([self.mistakes.table] if self.mistakes else [])]


def comparison_section(compared: Comparison, whole: "DataSetComparison", suffix: str) -> ComparisonSection:
    """Say what the comparison of the configurations at one size has found.

    Args:
        compared: the configurations.
        whole: all that the runs on the data set come to.
        suffix: suffix of the names of files.
    """
    runs, several = whole.runs, len(whole.runs.sizes) > 1
    suffix = f"{suffix}_{compared.image_size}px" if several else suffix
    legend = f"{MEAN_LEGEND.format(unit=compared.unit)} Difference: to {compared.reference.label} "
    legend += (
        f"({compared.why_reference}); its interval is not corrected for their number; p is (Holm), for those of this "
        f"table, while that of all pairs below is corrected for all of them. {DECIDES_LEGEND}"
    )
    main, *others = compared_metrics(compared)
    mistakes = mistakes_section(compared, whole)
    return ComparisonSection(
        title=f"{compared.image_size} pixels to a side" if several else "",
        verdict=verdict(compared),
        sentences=[*find_sentences(compared), *learning_sentences(compared), *resampling_sentences(runs)],
        headings=[
            "configuration",
            metric(main).words,
            "difference",
            "would decide it",
            *(metric(key).words for key in others),
            "runs",
        ],
        rows=[_row(one, compared) for one in compared.standings],
        baselines=[_baseline_row(name, values, compared) for name, values in whole.baselines.scores.items()],
        legend=legend,
        forest=forest_picture(compared, runs.heading, whole.baselines).suffixed(suffix),
        tables=[table.suffixed(suffix) for table in _tables(compared)],
        pair=side_by_side_table(compared.pair).suffixed(suffix) if compared.pair else None,
        pictures=[picture.suffixed(suffix) for picture in _pictures(compared, runs)],
        mistakes=mistakes.suffixed(suffix) if mistakes else None,
    )


def _pictures(compared: Comparison, runs: DataSetRuns) -> list[Picture]:
    learning = [learning_picture(compared, runs.heading)] if compared.learning else []
    return [*learning, *comparison_pictures(compared, runs)]


def _tables(compared: Comparison) -> list[Table]:
    labels, shorts, tables = compared.labels, compared.shorts, [comparison_table(compared), sources_table(compared)]
    if compared.learning:
        tables.append(learning_table(compared))
    if compared.pairs is not None:
        tables.append(pairs_table(compared.pairs, shorts, compared.unit))
    if compared.weights is not None:
        tables.append(weights_table(compared.weights, shorts, compared.unit))
    if len(compared.quality):
        tables.append(quality_section_table(compared.quality, labels))
    if len(compared.thresholds):
        tables.append(thresholds_table(compared.thresholds, labels))
    return tables


def _row(one: Standing, compared: Comparison) -> StandingRow:
    marks = ["reference"] * (one is compared.reference) + ["best on validation"] * (one.name == compared.best)
    if len(compared.standings) == 1:
        marks = []
    main, *others = compared_metrics(compared)
    cells = [_metric_cell(one, main), _difference_cell(one, main), StandingCell(decides_cell(one, main), words=True)]
    cells += [_metric_cell(one, key) for key in others]
    return StandingRow(one.label, one.name, tuple(marks), tuple(cells), runs_cell(one))


def _metric_cell(one: Standing, key: str) -> StandingCell:
    estimate = one.estimates.get(key)
    interval = format_interval(estimate.low, estimate.high) if estimate else ""
    kept = one.num_collapsed and one.num_collapsed < len(one.runs)
    note = f"{format_number(one.mean(key, collapsed=False))} not collapsed" if kept else ""
    return StandingCell(format_number(one.mean(key)), interval, note)


def _difference_cell(one: Standing, key: str) -> StandingCell:
    value, _, interval = difference_cell(one, key).partition(" (")
    p = p_cell(one, key)
    return StandingCell(value, interval.rstrip(")"), f"p {p}" if p else "")


def _baseline_row(name: str, values: Mapping[str, float], compared: Comparison) -> StandingRow:
    main, *others = (StandingCell(format_number(values.get(key, math.nan))) for key in compared_metrics(compared))
    return StandingRow(name, "", (), (main, StandingCell(""), StandingCell(""), *others), "")

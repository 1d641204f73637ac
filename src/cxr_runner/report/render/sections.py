"""What the report has to say of the runs on one data set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.base.numbers import format_mean_sd, format_number, list_few, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.compare.data_warnings import data_warnings
from cxr_runner.report.compare.trivial_baselines import Baselines
from cxr_runner.report.missing import Missing
from cxr_runner.report.render.cells import without_mean
from cxr_runner.report.render.claim_rows import ClaimsReport, report_claims
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.errata_section import ErrataSection
from cxr_runner.report.render.further_figures import further_pictures
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.provenance import gather_facts
from cxr_runner.report.render.report_tables import published_table
from cxr_runner.report.render.study_figures import study_pictures
from cxr_runner.report.render.subgroup_section import SubgroupSection, subgroup_section
from cxr_runner.report.render.uncertainty_section import UncertaintySection, uncertainty_section
from cxr_runner.study import StudyFigure

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


_NUM_NAMED = 3  # collapsed configurations named in the summary; the tables name all


@dataclass(frozen=True)
class Cell:
    """One metric of one model beside the published one, as texts; '' for what there is not.

    Attributes:
        ours: mean over the runs that did not collapse.
        all: mean over all runs, where some collapsed.
        published: value that the study gives.
        difference: ours minus published.
        inside: whether the published value lies where one more run of ours would.
    """

    ours: str
    all: str
    published: str
    difference: str
    inside: bool | None


@dataclass(frozen=True)
class ModelRow:
    """One model of a table of published metrics."""

    model: str
    seeds: str
    cells: list[Cell]


@dataclass(frozen=True)
class MetricsView:
    """A table of published metrics in a form for the page: models by metrics, and trivial baselines below them."""

    title: str
    columns: list[str]
    rows: list[ModelRow]
    baselines: list[ModelRow]
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Section:
    """What there is to say of the runs on one data set.

    Attributes:
        heading: title of the data set.
        commands: the commands for these runs.
        overview: our accuracies beside the published ones.
        sentences: the same in words.
        warnings: what is wrong or doubtful with the images, and so with every metric; to be said beside these.
        views: runs beside the published metrics.
        more_baselines: command that makes the trivial baselines that are missing, '' where they are there.
        figures: all other pictures.
        claims: verdicts on the claims of the study.
        tables: tables for files.
        facts: where the images and runs come from: terms and what is to be said of them, a command a line.
        not_drawn: why a history cannot be drawn, by the path of its run.
        uncertainty: how uncertain the metrics are, and which models differ.
        subgroups: the metrics by subgroup.
    """

    heading: str
    commands: Commands
    overview: Picture
    sentences: list[str]
    warnings: tuple[str, ...]
    views: list[MetricsView]
    more_baselines: str
    figures: list[Picture]
    claims: ClaimsReport
    tables: list[Table]
    facts: dict[str, str]
    not_drawn: dict[str, str]
    uncertainty: UncertaintySection
    subgroups: SubgroupSection

    @property
    def pictures(self) -> list[Picture]:
        """All that is to be drawn."""
        return [self.overview, *self.uncertainty.pictures, *self.subgroups.pictures, *self.figures]

    @property
    def all_tables(self) -> list[Table]:
        """All that is to be written as files."""
        of_metrics = [*self.tables, *self.uncertainty.tables, *self.subgroups.tables]
        return [*self.claims.tables, *(table.noted(self.warnings) for table in of_metrics)]


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        count: how many runs there are, in a sentence.
        sections: one for every data set.
        study_tables: tables of the study that list its rows.
        tables: configurations, runs, those that collapsed, runs left out, by their names.
        errata: errata of the study.
        sources: address of every picture that could be drawn, as a data URI, by its name.
    """

    count: str
    sections: Sequence[Section]
    study_tables: Sequence[Table]
    tables: Mapping[str, Table]
    errata: ErrataSection
    sources: Mapping[str, str]


def make_section(compared: DataSetComparison, suffix: str) -> Section:
    """Say all that there is to say of the runs on one data set.

    Args:
        compared: runs on the data set, and what they come to.
        suffix: suffix of the names of files, so that data sets do not share any.
    """
    runs, baselines, study = compared.runs, compared.baselines, compared.runs.study
    commands = Commands(runs, compared.setups)
    claims = report_claims(compared.verdicts, study, commands, suffix)
    figures = [*study_pictures(runs), *further_pictures(runs, compared)]
    published = [(figure, compared.published[figure.number]) for figure in study.metric_figures]
    tables = [published_table(baselines.extend(table, study.metrics), figure, runs) for figure, table in published]
    warnings = data_warnings(runs)
    said = [_warned(warnings), *_sentences(runs, compared.published), _baseline_sentence(baselines)]
    return Section(
        heading=runs.heading,
        commands=commands,
        overview=_overview(runs, compared.published).suffixed(suffix),
        sentences=[sentence for sentence in said if sentence],
        warnings=warnings,
        views=[_metrics_view(figure, table, runs, baselines) for figure, table in published],
        more_baselines="" if baselines.complete else commands.that_audits(),
        figures=[picture.suffixed(suffix) for picture in figures],
        claims=replace(claims, tables=[table.suffixed(suffix) for table in claims.tables]),
        tables=[table.suffixed(suffix) for table in tables],
        facts=gather_facts(runs, commands),
        not_drawn={run.path: run.history_problem for run in runs.runs.values() if run.history is None},
        uncertainty=uncertainty_section(runs, compared.uncertainty, suffix),
        subgroups=subgroup_section(compared.subgroups, runs.heading, suffix),
    )


def _warned(warnings: Sequence[str]) -> str:
    """Say on the first screen that there are warnings at the tables; '' where there are none."""
    return f"{plural(len(warnings), 'warning')} about these images: see the tables of test metrics." if warnings else ""


def _baseline_sentence(baselines: Baselines) -> str:
    """Say how far trivial baselines get; '' where there are none."""
    said = [f"{words} {values['accuracy']:.3f}" for words, values in baselines.scores.items()]
    return f"Accuracy of trivial baselines on the same test images: {'; '.join(said)}." if said else ""


def _overview(runs: DataSetRuns, published: Mapping[int, pd.DataFrame]) -> Picture:
    study, ids = runs.study, [row.id for row in runs.study.published_rows()]
    lacking = tuple(row_id for row_id in ids if row_id not in runs.repetitions)

    def draw() -> "Figure":
        from cxr_runner.plots.study_plots import plot_published

        titles = {figure.number: f"{figure.conditions} (Fig. {figure.number})" for figure in study.metric_figures}
        comparisons = {titles[number]: table for number, table in published.items()}
        tables = runs.tables(runs.repetitions, collapsed=False)
        return plot_published(comparisons, tables, study, runs.heading, runs.size_notes(ids))

    entries = [entry for table in published.values() for entry in table.to_dict("records")]
    alt = "; ".join(
        f"model {entry['row']}: published {entry['published']:.3f}, "
        + (f"ours {entry['mean']:.3f}" if not math.isnan(entry["mean"]) else "no run to compare")
        for entry in entries
        if entry["metric"] == study.accuracy.key
    )
    drawable = len(lacking) < len(ids)
    missing = () if drawable else (Missing(lacking),)
    text = "Test accuracy as the study takes it, the mean over batches: ours beside the published one."
    return Picture("published", "Published and ours", text, alt, (), missing, draw if drawable else None, "narrow")


def _sentences(runs: DataSetRuns, published: Mapping[int, pd.DataFrame]) -> list[str]:
    study = runs.study
    entries = pd.concat(list(published.values()))
    entries = entries[entries["metric"] == study.accuracy.key]
    tried, judged = entries[entries["num_seeds"] > 0], entries[entries["inside"].notna()]
    sentences = []
    if runs.about.synthetic:
        sentences.append("These are synthetic phantom data: the figures say nothing about X-rays or about the study.")
    repeated = f"{len(runs.repetitions)} of the study's {len(study.rows)} models have runs on these images"
    sentences.append(f"{repeated}, {len(tried)} of the {len(entries)} with published test metrics.")
    if len(judged):
        inside = int(judged["inside"].sum())
        sentences.append(
            f"The published accuracy, which is that of one run, lies where one more of our runs that did not collapse "
            f"would (95 %) for {inside} of {len(judged)}; that interval does not count how few the test images are."
        )
    elif len(tried):
        sentences.append("With one seed there is no interval to compare a published value with.")
    if any(sized.table["collapsed"].any() for sized in runs.sizes):
        sentences.append(_collapsed(runs))
    if runs.repetitions and set(runs.image_sizes) != {study.image_size}:
        sizes = " and ".join(f"{size}" for size in runs.image_sizes)
        sentences.append(f"Images are {sizes} pixels to a side; the study's are {study.image_size}.")
    return sentences


def _collapsed(runs: DataSetRuns) -> str:
    names = [run.configuration for run in runs.runs.values() if run.metrics["collapsed"]]
    distinct = list(dict.fromkeys(names))
    verb = "gives" if len(distinct) == 1 else "give"
    share = f"{len(names)} of {plural(len(runs.runs), 'run')} collapsed"
    listed = list_few(distinct, most=_NUM_NAMED)
    return f"{share}: {listed} {verb} one output for all images, which says nothing about the model."


def _metrics_view(figure: StudyFigure, table: pd.DataFrame, runs: DataSetRuns, baselines: Baselines) -> MetricsView:
    rows, lacking = [], []
    for row_id, entries in table.groupby("row", sort=False):
        cells = [_cell(entry) for entry in entries.to_dict("records")]
        first = entries.iloc[0]
        seeds = str(first["num_seeds"])
        if first["num_collapsed"]:
            seeds = f"{first['num_seeds'] - first['num_collapsed']} of {seeds}"
        if not first["num_seeds"]:
            lacking.append(str(row_id))
        size = "" if len(runs.image_sizes) == 1 or pd.isna(first["image_size"]) else f", {first['image_size']} px"
        rows.append(ModelRow(f"{row_id}: {first['model']}{size}", seeds, cells))
    metrics = runs.study.metrics
    trivial = [
        ModelRow(name, "", [Cell(format_number(values.get(one.key, math.nan)), "", "", "", None) for one in metrics])
        for name, values in baselines.scores.items()
    ]
    missing = (Missing(tuple(lacking)),) if lacking else ()
    title = f"Fig. {figure.number}: {figure.conditions}"
    return MetricsView(title, [one.words for one in metrics], rows, trivial, missing)


def _cell(entry: Mapping[Any, Any]) -> Cell:
    inside = None if pd.isna(entry["inside"]) else bool(entry["inside"])
    ours = format_mean_sd(entry["mean"], entry["sd"]) or without_mean(entry["num_seeds"], entry["num_collapsed"])
    of_all = format_number(entry["all_mean"]) if entry["num_collapsed"] else ""
    return Cell(
        ours, of_all, format_number(entry["published"], "g"), format_number(entry["difference"], "+.3f"), inside
    )

"""What the report has to say of a study whose models have runs: published values, claims, figures made anew."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.base.numbers import format_mean_sd, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.claims.claim_times import claim_times
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.compare.trivial_baselines import Baselines
from cxr_runner.report.missing import Missing
from cxr_runner.report.render.cells import without_mean
from cxr_runner.report.render.claim_rows import ClaimsReport, report_claims
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.convergence import convergence_picture
from cxr_runner.report.render.detail_tables import pairs_table
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.report_tables import published_table
from cxr_runner.report.render.study_figures import study_pictures
from cxr_runner.study import StudyFigure

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


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
class StudySection:
    """What there is to say of a study, of which some models have runs on a data set.

    Attributes:
        title: what the study is called.
        overview: our accuracies beside the published ones; None where none were published.
        sentences: the same in words.
        views: runs beside the published metrics.
        more_baselines: command that makes the trivial baselines that are missing, '' where they are there.
        claims: verdicts on the claims.
        figures: its figures made anew, and what claims are about.
        tables: beside the published values, and models by pairs.
    """

    title: str
    overview: Picture | None
    sentences: list[str]
    views: list[MetricsView]
    more_baselines: str
    claims: ClaimsReport
    figures: list[Picture]
    tables: list[Table]

    @property
    def pictures(self) -> list[Picture]:
        """All that it has to show, drawn or not."""
        return [*([self.overview] if self.overview else []), *self.figures]

    @property
    def undrawn(self) -> list[Picture]:
        """What there is nothing to draw for yet."""
        return [picture for picture in self.pictures if not picture.draw]

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The runs that would make something of all that is not drawn."""
        rows = dict.fromkeys(row for picture in self.undrawn for one in picture.missing for row in one.rows)
        return (Missing(tuple(rows)),) if rows else ()


def study_section(compared: DataSetComparison, commands: Commands, suffix: str) -> StudySection | None:
    """Say what there is to say of the study; None where nobody has asked for it, or none of its models has runs.

    Args:
        compared: runs on the data set, and what they come to.
        commands: commands for these runs.
        suffix: suffix of the names of files.
    """
    runs, baselines, study = compared.runs, compared.baselines, compared.runs.study
    if not runs.study_asked_for:
        return None
    claims = report_claims(compared.verdicts, study, commands, suffix, claim_times(runs))
    converged = convergence_picture(runs, compared)
    figures = [*study_pictures(runs), *([converged] if converged else [])]
    published = [(figure, compared.published[figure.number]) for figure in study.metric_figures]
    tables = [published_table(baselines.extend(table, study.metrics), figure, runs) for figure, table in published]
    return StudySection(
        title=study.title,
        overview=_overview(runs, compared.published).suffixed(suffix) if study.published_rows() else None,
        sentences=_sentences(runs, compared.published),
        views=[_metrics_view(figure, table, runs, baselines) for figure, table in published],
        more_baselines="" if baselines.complete else commands.that_audits(),
        claims=replace(claims, tables=[table.suffixed(suffix) for table in claims.tables]),
        figures=[picture.suffixed(suffix) for picture in figures],
        tables=[table.suffixed(suffix) for table in [*tables, *_pairs(compared)]],
    )


def _pairs(compared: DataSetComparison) -> list[Table]:
    """Return the models of a figure by pairs."""
    rows = {one.runs[0].configuration: one.row for one in compared.runs.repetitions.values()}
    labels = {name: f"{row.id}: {row.title}" for name, row in rows.items()}
    unit = compared.comparisons[0].unit
    tables = []
    for number, data in compared.pairs.items():
        table = pairs_table(data, labels, unit)
        tables.append(replace(table, name=f"pairs{number}", title=f"Fig. {number} by pairs"))
    return tables


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
    repeated = f"{len(runs.repetitions)} of the study's {len(study.rows)} models have runs on these images"
    sentences = [study.citation] if study.citation else []
    if published:
        entries = pd.concat(list(published.values()))
        entries = entries[entries["metric"] == study.accuracy.key]
        tried = int((entries["num_seeds"] > 0).sum())
        sentences.append(f"{repeated}, {tried} of the {len(entries)} with published test metrics.")
        sentences += _inside(entries, runs) if tried else []
    else:
        sentences.append(f"{repeated}; nothing was published of them.")
    if runs.repetitions and set(runs.image_sizes) != {study.image_size}:
        sizes = " and ".join(f"{size}" for size in runs.image_sizes)
        sentences.append(f"Images are {sizes} pixels to a side; the study's are {study.image_size}.")
    return sentences


def _inside(entries: pd.DataFrame, runs: DataSetRuns) -> list[str]:
    """Say how many published accuracies lie where one more of our runs would."""
    judged = entries[entries["inside"].notna()]
    if len(judged):
        inside = int(judged["inside"].sum())
        several = any(len({run.split for run in one.runs}) > 1 for one in runs.repetitions.values())
        unseen = "" if several else "; what another split would change is not known of one, and not in that interval"
        return [
            f"The published accuracy, which is that of one run on other images, lies where one more of our runs that "
            f"did not collapse would on as many images (95 %) for {inside} of {len(judged)}{unseen}."
        ]
    return ["With one seed there is no interval to compare a published value with."]


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
    return MetricsView(title, [one.label for one in metrics], rows, trivial, missing)


def _cell(entry: Mapping[Any, Any]) -> Cell:
    inside = None if pd.isna(entry["inside"]) else bool(entry["inside"])
    ours = format_mean_sd(entry["mean"], entry["sd"]) or without_mean(entry["num_seeds"], entry["num_collapsed"])
    of_all = format_number(entry["all_mean"]) if entry["num_collapsed"] else ""
    return Cell(
        ours, of_all, format_number(entry["published"], "g"), format_number(entry["difference"], "+.3f"), inside
    )

"""What the report has to say of one cohort."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.base.numbers import mean_sd, number, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.baselines import Baselines
from cxr_runner.report.claims.collected import gather_evidence
from cxr_runner.report.claims.verdicts import decide
from cxr_runner.report.claims.words import ClaimsReport, converged_picture, report_claims
from cxr_runner.report.figures import Picture, other_curves, study_pictures
from cxr_runner.report.provenance import gather_facts
from cxr_runner.report.runs.collected import Material
from cxr_runner.report.runs.comparison import METRICS
from cxr_runner.report.runs.configurations import label
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.report.runs.predictions import Predictions
from cxr_runner.report.tables import comparison, published_tables
from cxr_runner.report.uncertainty.section import Statistics, gather_statistics
from cxr_runner.study import load_study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


_NUM_NAMED = 3  # collapsed configurations named in the summary; the tables name all


@dataclass(frozen=True)
class Cell:
    """One metric of one model beside the published one, as texts; '' for what there is not.

    Attributes:
        ours: the mean over the runs that live.
        all: the mean over all runs, where some have collapsed.
        published: by the study.
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
    """One model of Fig. 20 or 23."""

    model: str
    seeds: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """Fig. 20 or 23 in a form for the page: models by metrics, and trivial baselines below them."""

    title: str
    columns: list[str]
    rows: list[ModelRow]
    baselines: list[ModelRow]
    command: str


@dataclass(frozen=True)
class Section:
    """What there is to say of one cohort.

    Attributes:
        cohort: the runs.
        overview: our accuracies beside the published ones.
        sentences: the same in words.
        comparisons: Figs. 20 and 23.
        more_baselines: the command that makes the trivial baselines that are missing, '' where they are there.
        figures: all others.
        claims: a verdict on each claim of the study.
        tables: for files.
        facts: where the images and runs come from: terms and what is to be said of them, a command a line.
        not_drawn: by the path of a run why its history cannot be drawn.
        statistics: how sure the figures are, and which differ.
    """

    cohort: Cohort
    overview: Picture
    sentences: list[str]
    comparisons: list[Comparison]
    more_baselines: str
    figures: list[Picture]
    claims: ClaimsReport
    tables: list[Table]
    facts: dict[str, str]
    not_drawn: dict[str, str]
    statistics: Statistics

    @property
    def pictures(self) -> list[Picture]:
        """All that is to be drawn."""
        return [self.overview, *self.statistics.pictures, *self.figures]


def gather_section(
    material: Material, predictions: Predictions, problems: Mapping[str, str], suffix: str, baselines: Baselines
) -> Section:
    """Gather all that there is to say of a cohort.

    Args:
        material: its runs, histories and samples.
        predictions: of its runs.
        problems: by the path of a run of any cohort why its history cannot be drawn.
        suffix: of the names of files, so that cohorts do not share any.
        baselines: trivial ones, of the same images.
    """
    cohort = material.cohort
    published = published_tables(cohort)
    evidence = gather_evidence(material, predictions)
    claims = report_claims(decide(evidence), cohort, suffix)
    others = other_curves(material)
    figures = [*study_pictures(material), converged_picture(evidence), *([others] if others else [])]
    paths = {path for data_set in cohort.data_sets for path in data_set.table["path"]}
    tables = [comparison(baselines.extend(table), figure, cohort) for figure, table in published.items()]
    return Section(
        cohort=cohort,
        overview=_named(_overview(material, published), suffix),
        sentences=[*_sentences(cohort, published), *filter(None, [baselines.sentence()])],
        comparisons=[_comparison(figure, table, cohort, baselines) for figure, table in published.items()],
        more_baselines=baselines.command,
        figures=[_named(picture, suffix) for picture in figures],
        claims=replace(claims, tables=[table.suffixed(suffix) for table in claims.tables]),
        tables=[table.suffixed(suffix) for table in tables],
        facts=gather_facts(cohort),
        not_drawn={path: why for path, why in problems.items() if path in paths},
        statistics=gather_statistics(cohort, predictions, suffix),
    )


def _named(picture: Picture, suffix: str) -> Picture:
    return replace(picture, name=picture.name + suffix)


def _overview(material: Material, published: Mapping[int, pd.DataFrame]) -> Picture:
    repetitions = material.cohort.repetitions
    ids = [row.id for row in load_study().published_rows()]
    missing = [row_id for row_id in ids if row_id not in repetitions]

    def draw() -> "Figure":
        from cxr_runner.plots.study import plot_published

        titles = {20: "50 epochs, batches of 32 (Fig. 20)", 23: "60 epochs, batches of 64 (Fig. 23)"}
        comparisons = {titles[figure]: table for figure, table in published.items()}
        tables = material.tables(repetitions, alive=True)
        return plot_published(comparisons, tables, material.cohort.heading, material.sizes(ids))

    entries = [entry for table in published.values() for entry in table.to_dict("records")]
    alt = "; ".join(
        f"model {entry['row']}: published {entry['published']:.3f}, "
        + (f"ours {entry['mean']:.3f}" if entry["num_seeds"] > entry["num_collapsed"] else "no living runs")
        for entry in entries
        if entry["metric"] == "accuracy_batch_mean"
    )
    drawable = len(missing) < len(ids)
    command = "" if drawable else material.cohort.command(missing)
    text = "Test accuracy as the study takes it, the mean over batches: ours beside the published one."
    return Picture("published", "Published and ours", text, alt, (), command, draw if drawable else None, "narrow")


def _sentences(cohort: Cohort, published: Mapping[int, pd.DataFrame]) -> list[str]:
    study = load_study()
    entries = pd.concat(list(published.values()))
    entries = entries[entries["metric"] == "accuracy_batch_mean"]
    tried, judged = entries[entries["num_seeds"] > 0], entries[entries["inside"].notna()]
    sentences = []
    if cohort.about.synthetic:
        sentences.append("These are synthetic phantom data: the figures say nothing about X-rays or about the study.")
    repeated = f"{len(cohort.repetitions)} of the study's {len(study.rows)} models have runs on these images"
    sentences.append(f"{repeated}, {len(tried)} of the {len(entries)} with published test metrics.")
    if len(judged):
        inside = int(judged["inside"].sum())
        sentences.append(
            f"The published accuracy, which is that of one run, lies where one more of our runs that live would (95 %) "
            f"for {inside} of {len(judged)}; that interval does not hold how few the test images are."
        )
    elif len(tried):
        sentences.append("With one seed there is no interval to hold a published value against.")
    if any(data_set.table["collapsed"].any() for data_set in cohort.data_sets):
        sentences.append(_collapsed(cohort))
    if cohort.repetitions and set(cohort.sizes) != {study.image_size}:
        sizes = " and ".join(f"{size}" for size in cohort.sizes)
        sentences.append(f"Images are {sizes} pixels to a side; the study's are {study.image_size}.")
    return sentences


def _collapsed(cohort: Cohort) -> str:
    runs = [run for data_set in cohort.data_sets for run in data_set.runs]
    names = [label(run) for run in runs if run.metrics["collapsed"]]
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _NUM_NAMED} more" if len(distinct) > _NUM_NAMED else ""
    listed = ", ".join(distinct[:_NUM_NAMED]) + more
    verb = "gives" if len(distinct) == 1 else "give"
    share = f"{len(names)} of {plural(len(runs), 'run')} collapsed"
    return f"{share}: {listed} {verb} one output for all images, which says nothing about the model."


def _comparison(figure: int, table: pd.DataFrame, cohort: Cohort, baselines: Baselines) -> Comparison:
    rows, missing = [], []
    for row_id, entries in table.groupby("row", sort=False):
        cells = [_cell(entry) for entry in entries.to_dict("records")]
        first = entries.iloc[0]
        seeds = str(first["num_seeds"])
        if first["num_collapsed"]:
            seeds = f"{first['num_seeds'] - first['num_collapsed']} of {seeds}"
        if not first["num_seeds"]:
            missing.append(str(row_id))
        size = "" if len(cohort.sizes) == 1 or pd.isna(first["image_size"]) else f", {first['image_size']} px"
        rows.append(ModelRow(f"{row_id}: {first['model']}{size}", seeds, cells))
    title = {20: "Fig. 20: 50 epochs, batches of 32", 23: "Fig. 23: 60 epochs, batches of 64"}[figure]
    command = cohort.command(missing) if missing else ""
    trivial = [
        ModelRow(name, "", [Cell(number(values.get(metric, math.nan)), "", "", "", None) for metric in METRICS])
        for name, values in baselines.figures.items()
    ]
    return Comparison(title, [words for words, _ in METRICS.values()], rows, trivial, command)


def _cell(entry: Mapping[Any, Any]) -> Cell:
    inside = None if pd.isna(entry["inside"]) else bool(entry["inside"])
    ours = mean_sd(entry["mean"], entry["sd"]) or "all collapsed" * (entry["num_seeds"] > 0)
    of_all = number(entry["all_mean"]) if entry["num_collapsed"] else ""
    return Cell(ours, of_all, number(entry["published"], "g"), number(entry["difference"], "+.3f"), inside)

"""What the report has to say of the runs on one data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr_runner.base.numbers import list_few, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.compare.data_warnings import data_warnings
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.comparison_section import ComparisonSection, comparison_section
from cxr_runner.report.render.configuration_figures import configuration_pictures
from cxr_runner.report.render.errata_section import ErrataSection
from cxr_runner.report.render.evaluation_section import EvaluationSection
from cxr_runner.report.render.explanation_section import ExplanationSection, explanation_sections
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.provenance import gather_facts, inventory_of_runs
from cxr_runner.report.render.run_links import Link
from cxr_runner.report.render.search_section import SearchSection
from cxr_runner.report.render.study_section import StudySection, study_section
from cxr_runner.report.render.subgroup_section import SubgroupSection, subgroup_section

_NUM_NAMED = 3  # collapsed configurations named in the summary; the tables name all


@dataclass(frozen=True)
class Section:
    """What there is to say of the runs on one data set.

    Attributes:
        heading: title of the data set.
        commands: the commands for these runs.
        sentences: what was compared on which images.
        warnings: what is wrong or doubtful with the images, and so with every metric; to be said beside these.
        comparisons: configurations compared, at one size after the other.
        figures: curves and what else is drawn of all configurations.
        subgroups: the metrics by subgroup.
        explanations: why the reference and the best on validation say what they say.
        study: what there is to say of the study; None where none of its models has been asked for.
        facts: where the images and runs come from: terms and what is to be said of them, a command a line.
        not_drawn: why a history cannot be drawn, by the path of its run.
    """

    heading: str
    commands: Commands
    sentences: list[str]
    warnings: tuple[str, ...]
    comparisons: list[ComparisonSection]
    figures: list[Picture]
    subgroups: SubgroupSection
    explanations: list[ExplanationSection]
    study: StudySection | None
    facts: dict[str, str]
    not_drawn: dict[str, str]

    @property
    def pictures(self) -> list[Picture]:
        """All that is to be drawn."""
        compared = [picture for one in self.comparisons for picture in (one.forest, *one.pictures)]
        of_study = self.study.pictures if self.study else []
        return [*compared, *self.figures, *self.subgroups.pictures, *of_study]

    @property
    def all_tables(self) -> list[Table]:
        """All that is to be written as files."""
        of_metrics = [*(table for one in self.comparisons for table in one.all_tables), *self.subgroups.tables]
        of_metrics += self.study.tables if self.study else []
        claims = self.study.claims.tables if self.study else []
        return [*claims, *(table.noted(self.warnings) for table in of_metrics)]


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        count: how many runs there are, in a sentence.
        sections: one for every data set.
        study_tables: tables of the study that list its rows.
        tables: configurations, runs, those that collapsed, runs left out, by their names.
        links: links of every run, in the order of the table of runs.
        evaluations: one for every evaluation of a model on foreign images.
        searches: one for every search.
        errata: errata of the study; None where none of its models has been asked for.
        sources: address of every picture that could be drawn, as a data URI, by its name.
    """

    count: str
    sections: Sequence[Section]
    study_tables: Sequence[Table]
    tables: Mapping[str, Table]
    links: Sequence[Sequence[Link]]
    evaluations: Sequence[EvaluationSection]
    searches: Sequence[SearchSection]
    errata: ErrataSection | None
    sources: Mapping[str, str]


def make_section(compared: DataSetComparison, suffix: str) -> Section:
    """Say all that there is to say of the runs on one data set.

    Args:
        compared: runs on the data set, and what they come to.
        suffix: suffix of the names of files, so that data sets do not share any.
    """
    runs = compared.runs
    commands, warnings = Commands(runs, compared.setups), data_warnings(runs)
    study = study_section(compared, commands, suffix)
    return Section(
        heading=runs.heading,
        commands=commands,
        sentences=_sentences(compared),
        warnings=warnings,
        comparisons=[comparison_section(one, compared, suffix) for one in compared.comparisons],
        figures=[
            picture.suffixed(suffix)
            for picture in configuration_pictures(runs, compared.comparisons, whole=study is None or not study.figures)
        ],
        subgroups=subgroup_section(compared.subgroups, runs.heading, suffix),
        explanations=explanation_sections(compared.explanations),
        study=study,
        facts=gather_facts(runs, commands),
        not_drawn={run.path: run.history_problem for run in runs.runs.values() if run.history is None},
    )


def _sentences(compared: DataSetComparison) -> list[str]:
    """Say what was compared on which images."""
    runs = compared.runs
    configurations = {run.configuration for run in runs.runs.values()}
    said = [f"{plural(len(runs.runs), 'run')} of {plural(len(configurations), 'configuration')}"]
    sizes = " and ".join(f"{size}" for size in runs.image_sizes)
    said.append(f"images of {sizes} pixels to a side")
    splits = max(len(sized.fingerprints) for sized in runs.sizes)
    said += [f"{splits} splits of the same images"] if splits > 1 else []
    sentences = [f"{', '.join(said)}."]
    if inventory := inventory_of_runs(runs):
        sentences.append(f"Images{' of the first split' * (splits > 1)}: {inventory}.")
    if runs.about.synthetic:
        sentences.append("These are synthetic phantom data: the figures say nothing about X-rays or about the study.")
    if any(sized.table["collapsed"].any() for sized in runs.sizes):
        sentences.append(_collapsed(compared))
    return sentences


def _collapsed(compared: DataSetComparison) -> str:
    lost = [one for sized in compared.comparisons for one in sized.standings if one.num_collapsed]
    number = sum(one.num_collapsed for one in lost)
    listed = list_few([one.label for one in lost], "; ", most=_NUM_NAMED)
    share = f"{number} of {plural(len(compared.runs.runs), 'run')} collapsed"
    return f"{share} (one output for all images, which says nothing about the model): of {listed}."

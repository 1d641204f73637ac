"""Compares what was collected: everything that a report says in numbers, before a word of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from cxr_runner.artifacts.explanation_file import StoredExplanation
from cxr_runner.report.collected import Collected, DataSetRuns, ImageThumbnail
from cxr_runner.report.compare.claims.observations import observe
from cxr_runner.report.compare.claims.verdicts import Verdict, decide_claims
from cxr_runner.report.compare.published_metrics import compare_with_published
from cxr_runner.report.compare.sized_comparison import Comparison, check_options, compare_configurations
from cxr_runner.report.compare.subgroup_metrics import SubgroupMetrics, compare_subgroups
from cxr_runner.report.compare.training_setups import TrainingSetup, training_setups
from cxr_runner.report.compare.trivial_baselines import Baselines, choose_baselines
from cxr_runner.report.compare.uncertainty.pairs import pair_table
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.report_options import WHOLE_REPORT, ReportOptions


@dataclass(frozen=True)
class DataSetComparison:
    """What the runs on one data set come to.

    Attributes:
        runs: the runs.
        published: runs beside the published values, by the number of the figure that these stand in.
        baselines: trivial baselines on the same images.
        verdicts: verdicts on the claims, in the order of the study.
        comparisons: configurations compared, at one size after the other, the largest first.
        pairs: rows of the study with published test metrics by pairs, as :func:`pair_table` returns it, by the number
            of the figure that these stand in.
        setups: how each row of the study was trained.
        subgroups: test metrics by subgroup; None where no run kept a column of subgroups.
        thumbnails: of test images by their rows in the predictions, of those that are shown and still at hand.
        explanations: what ``cxr-model explain`` has left of the reference and of the best on validation, by what these
            are called, with pictures as JPEG.
    """

    runs: DataSetRuns
    published: Mapping[int, pd.DataFrame]
    baselines: Baselines
    verdicts: list[Verdict]
    comparisons: tuple[Comparison, ...]
    pairs: Mapping[int, pd.DataFrame]
    setups: Mapping[str, Mapping[TrainingSetup, int]]
    subgroups: SubgroupMetrics | None = None
    thumbnails: Mapping[int, ImageThumbnail] = field(default_factory=dict)
    explanations: Mapping[str, StoredExplanation] = field(default_factory=dict)


def compare(collected: Collected, options: ReportOptions = WHOLE_REPORT) -> list[DataSetComparison]:
    """Compare the runs on every data set with one another and with the study.

    Args:
        collected: what the report is made from.
        options: what was asked for.

    Raises:
        UserError: no configuration is called so, or several on the same images are.
    """
    compared = [_compare_data_set(runs, collected, options) for runs in collected.data_sets]
    check_options(options, [one for data_set in compared for one in data_set.comparisons])
    return compared


def _compare_data_set(runs: DataSetRuns, collected: Collected, options: ReportOptions) -> DataSetComparison:
    study, resampling = collected.study, Resampling(runs.predictions)
    published = {
        figure.number: compare_with_published(runs.repetitions, figure, study) for figure in study.metric_figures
    }
    return DataSetComparison(
        runs=runs,
        published=published,
        baselines=choose_baselines(runs, collected.audits),
        verdicts=decide_claims(observe(runs), study),
        comparisons=compare_configurations(runs, resampling, options),
        pairs=_published_pairs(runs, resampling),
        setups=training_setups(runs),
        subgroups=compare_subgroups(runs),
    )


def _published_pairs(runs: DataSetRuns, resampling: Resampling) -> dict[int, pd.DataFrame]:
    """Compare the rows that a figure holds published metrics of, all at one size of the images."""
    names = {row_id: one.runs[0].configuration for row_id, one in runs.repetitions.items()}
    largest = {row_id: one.image_size for row_id, one in runs.repetitions.items()}
    tables = {}
    for figure in runs.study.metric_figures:
        rows = [row_id for row_id in figure.rows if names.get(row_id) in resampling.predictions.configurations]
        size = max((largest[row_id] for row_id in rows), default=0)
        table = pair_table(resampling, [names[row_id] for row_id in rows if largest[row_id] == size])
        if table is not None:
            tables[figure.number] = table
    return tables

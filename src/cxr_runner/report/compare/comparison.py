"""Compares what was collected: everything that a report says in numbers, before a word of it is written."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cxr_runner.report.collected import Collected, DataSetRuns
from cxr_runner.report.compare.claims.claim_tests import Observed
from cxr_runner.report.compare.claims.observations import observe
from cxr_runner.report.compare.claims.verdicts import Verdict, decide_claims
from cxr_runner.report.compare.published_metrics import compare_with_published
from cxr_runner.report.compare.subgroup_metrics import SubgroupMetrics, compare_subgroups
from cxr_runner.report.compare.training_setups import TrainingSetup, training_setups
from cxr_runner.report.compare.trivial_baselines import Baselines, choose_baselines
from cxr_runner.report.compare.uncertainty.measure import Uncertainty, measure_uncertainty


@dataclass(frozen=True)
class DataSetComparison:
    """What the runs on one data set come to.

    Attributes:
        runs: the runs.
        published: runs beside the published values, by the number of the figure that these stand in.
        baselines: trivial baselines on the same images.
        observed: runs that the claims are about.
        verdicts: verdicts on the claims, in the order of the study.
        uncertainty: how uncertain the metrics are, and which models differ.
        setups: how each row of the study was trained.
        subgroups: test metrics by subgroup; None where no run kept a column of subgroups.
    """

    runs: DataSetRuns
    published: Mapping[int, pd.DataFrame]
    baselines: Baselines
    observed: Observed
    verdicts: list[Verdict]
    uncertainty: Uncertainty
    setups: Mapping[str, Mapping[TrainingSetup, int]]
    subgroups: SubgroupMetrics | None = None


def compare(collected: Collected) -> list[DataSetComparison]:
    """Compare the runs on every data set with one another and with the study."""
    return [_compare_data_set(runs, collected) for runs in collected.data_sets]


def _compare_data_set(runs: DataSetRuns, collected: Collected) -> DataSetComparison:
    study, observed = collected.study, observe(runs)
    published = {
        figure.number: compare_with_published(runs.repetitions, figure, study) for figure in study.metric_figures
    }
    return DataSetComparison(
        runs=runs,
        published=published,
        baselines=choose_baselines(runs, collected.audits),
        observed=observed,
        verdicts=decide_claims(observed, study),
        uncertainty=measure_uncertainty(runs),
        setups=training_setups(runs),
        subgroups=compare_subgroups(runs),
    )

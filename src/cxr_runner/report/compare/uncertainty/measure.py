"""Measures how uncertain the metrics of the runs on a data set are, and which of its models differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.compare.uncertainty.row_intervals import interval_table, pair_table
from cxr_runner.report.compare.uncertainty.weighting import quality_table, reliabilities, weight_table


@dataclass(frozen=True)
class Uncertainty:
    """How uncertain the metrics of the runs on a data set are; tables are None where there is nothing to compute.

    Attributes:
        unit: what is resampled, ``images`` or ``patients``.
        intervals: as :func:`interval_table` returns it, of the rows with published test metrics.
        pairs: as :func:`pair_table` returns it, by the number of the figure whose rows are compared.
        weights: as :func:`weight_table` returns it.
        quality: as :func:`quality_table` returns it.
        reliability: reliability of the rows with published test metrics.
    """

    unit: str = "images"
    intervals: pd.DataFrame | None = None
    pairs: Mapping[int, pd.DataFrame] = field(default_factory=dict)
    weights: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    reliability: Mapping[str, stats.Reliability] = field(default_factory=dict)


def measure_uncertainty(runs: DataSetRuns) -> Uncertainty:
    """Measure how uncertain the metrics of the runs on a data set are."""
    study, predictions = runs.study, runs.predictions
    if not predictions.rows:
        return Uncertainty()
    resampling = Resampling(predictions)
    tested = [row.id for row in study.published_rows() if row.id in predictions.rows]
    compared = {figure.number: pair_table(resampling, figure.rows) for figure in study.metric_figures}
    return Uncertainty(
        unit=resampling.unit,
        intervals=interval_table(resampling, runs.repetitions, tested) if tested else None,
        pairs={number: table for number, table in compared.items() if table is not None},
        weights=weight_table(resampling, study),
        quality=quality_table(predictions),
        reliability=reliabilities(predictions, tested),
    )

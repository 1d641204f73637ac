"""The configurations on the same images at one size, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cxr_runner import stats
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import SizedRuns
from cxr_runner.report.compare.reference import AS_ASKED, meant_by
from cxr_runner.report.compare.standings import Standing, rank_configurations
from cxr_runner.report.compare.uncertainty.pairs import pair_table
from cxr_runner.report.compare.uncertainty.quality import quality_table, reliabilities
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.compare.uncertainty.weighting import weight_table


@dataclass(frozen=True)
class Comparison:
    """The configurations on the same images at one size.

    Attributes:
        image_size: side of the images in pixels.
        standings: the configurations, the reference first, the others in the order of their labels.
        why_reference: why the first is the reference.
        best: name of the configuration with the best mean accuracy on validation.
        unit: what is resampled, ``images`` or ``patients``.
        pairs: all of them by pairs, as :func:`pair_table` returns it; None where there are not two.
        weights: those that differ in the class weight alone, as :func:`weight_table` returns it; None without any.
        quality: as :func:`quality_table` returns it.
        reliability: as :func:`reliabilities` returns it.
    """

    image_size: int
    standings: tuple[Standing, ...]
    why_reference: str
    best: str
    unit: str
    pairs: pd.DataFrame | None
    weights: pd.DataFrame | None
    quality: pd.DataFrame
    reliability: Mapping[str, Mapping[str, stats.Reliability]]

    @property
    def reference(self) -> Standing:
        """What the others are compared with."""
        return self.standings[0]

    @property
    def labels(self) -> dict[str, str]:
        """What configurations are called, by their names."""
        return {one.name: one.label for one in self.standings}

    @property
    def several_splits(self) -> bool:
        """Whether any configuration was trained on several splits."""
        return any(one.num_splits > 1 for one in self.standings)


def compare_configurations(
    runs: DataSetRuns, resampling: Resampling, baseline: str | None = None
) -> tuple[Comparison, ...]:
    """Compare the configurations at every size of the images, the largest first.

    Args:
        runs: runs on the data set.
        resampling: their metrics.
        baseline: label, name or id of the reference; by default that with the fewest overrides, of several the oldest.
    """
    return tuple(_compare_sized(sized, runs, resampling, baseline) for sized in runs.sizes)


def check_baseline(baseline: str, comparisons: Sequence[Comparison]) -> None:
    """Refuse a reference that was asked for and is not one of the configurations, or not only one of them.

    Raises:
        UserError: no configuration is called so, or several on the same images are.
    """
    for one in comparisons:
        groups = {standing.name: standing.runs for standing in one.standings}
        if len(meant := meant_by(baseline, groups, one.labels)) > 1:
            listed = list_few([f"{one.labels[name]} ({name})" for name in meant], "; ")
            raise UserError.for_key("--baseline", baseline, f"several configurations are called so: {listed}")
    if not any(one.why_reference == AS_ASKED for one in comparisons):
        listed = list_few([f"{label} ({name})" for one in comparisons for name, label in one.labels.items()], "; ")
        raise UserError.for_key("--baseline", baseline, f"no configuration is called so; valid are {listed}")


def _compare_sized(sized: SizedRuns, runs: DataSetRuns, resampling: Resampling, baseline: str | None) -> Comparison:
    standings, why = rank_configurations(sized, runs, resampling, baseline)
    known = {one.name: one.runs[0] for one in standings if one.estimates}
    return Comparison(
        image_size=sized.image_size,
        standings=tuple(standings),
        why_reference=why,
        best=max(standings, key=lambda one: one.mean("val_accuracy")).name,
        unit=resampling.unit,
        pairs=pair_table(resampling, list(known)),
        weights=weight_table(resampling, known),
        quality=quality_table(runs.predictions, known),
        reliability=reliabilities(runs.predictions, known),
    )

"""The configurations on the same images at one size, compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from cxr_runner import stats
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import SizedRuns
from cxr_runner.report.compare.learning_curves import LearningCurve, learning_curves
from cxr_runner.report.compare.mistakes import Mistakes, find_mistakes
from cxr_runner.report.compare.reference import meant_by
from cxr_runner.report.compare.side_by_side import SideBySide, put_side_by_side
from cxr_runner.report.compare.standings import Standing, rank_configurations
from cxr_runner.report.compare.uncertainty.pairs import pair_table
from cxr_runner.report.compare.uncertainty.pools import OperatingCurves, operating_curves, pool_folds
from cxr_runner.report.compare.uncertainty.quality import quality_table, reliabilities
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.compare.uncertainty.thresholds_on_val import threshold_table
from cxr_runner.report.compare.uncertainty.weighting import weight_table
from cxr_runner.report.report_options import WHOLE_REPORT, ReportOptions


@dataclass(frozen=True)
class Comparison:
    """The configurations on the same images at one size.

    Attributes:
        image_size: side of the images in pixels.
        standings: the configurations, the reference first, the others in the order of their labels.
        why_reference: why the first is the reference.
        metric: the metric that they are compared by first.
        by_validation: names of the configurations by their means on validation, the best first.
        best_by: the metric of these means: that which they are compared by first, or accuracy where runs lack it.
        unit: what is resampled, ``images`` or ``patients``.
        pairs: all of them by pairs, as :func:`pair_table` returns it; None where there are not two.
        weights: those that differ in the class weight alone, as :func:`weight_table` returns it; None without any.
        quality: as :func:`quality_table` returns it.
        reliability: as :func:`reliabilities` returns it.
        curves: ROC and precision-recall curves by configuration.
        thresholds: as :func:`threshold_table` returns it.
        mistakes: the images that runs get wrong; None where no predictions are of use.
        pair: two of them side by side; None where there are not two.
        learning: those that were trained on several shares of the training images.
    """

    image_size: int
    standings: tuple[Standing, ...]
    why_reference: str
    metric: str
    by_validation: tuple[str, ...]
    best_by: str
    unit: str
    pairs: pd.DataFrame | None = None
    weights: pd.DataFrame | None = None
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    reliability: Mapping[str, Mapping[str, stats.Reliability]] = field(default_factory=dict)
    curves: Mapping[str, OperatingCurves] = field(default_factory=dict)
    thresholds: pd.DataFrame = field(default_factory=pd.DataFrame)
    mistakes: Mistakes | None = None
    pair: SideBySide | None = None
    learning: tuple[LearningCurve, ...] = ()

    @property
    def reference(self) -> Standing:
        """What the others are compared with."""
        return self.standings[0]

    @property
    def best(self) -> str:
        """Name of the configuration with the best mean on validation."""
        return self.by_validation[0]

    @property
    def by_name(self) -> dict[str, Standing]:
        """The configurations by their names."""
        return {one.name: one for one in self.standings}

    @property
    def labels(self) -> dict[str, str]:
        """What configurations are called, by their names."""
        return {one.name: one.label for one in self.standings}

    def meant_by(self, text: str) -> list[str]:
        """Return the names of the configurations that a text means, see :func:`meant_by`."""
        return meant_by(text, {one.name: one.runs for one in self.standings}, self.labels)

    @property
    def shorts(self) -> dict[str, str]:
        """What they are called where their labels have been read before, by their names."""
        return {one.name: one.short for one in self.standings}

    @property
    def shown_images(self) -> tuple[int, ...]:
        """Rows of the test images that the page shows."""
        rows = (*self.mistakes.hardest, *self.mistakes.disputed) if self.mistakes else ()
        return (*rows, *self.pair.only_first, *self.pair.only_second) if self.pair else rows

    @property
    def several_splits(self) -> bool:
        """Whether any configuration was trained on several splits."""
        return any(one.num_splits > 1 for one in self.standings)


def compare_configurations(
    runs: DataSetRuns, resampling: Resampling, options: ReportOptions = WHOLE_REPORT
) -> tuple[Comparison, ...]:
    """Compare the configurations at every size of the images, the largest first.

    Args:
        runs: runs on the data set.
        resampling: their metrics.
        options: what was asked for.
    """
    return tuple(_compare_sized(sized, runs, resampling, options) for sized in runs.sizes)


def compare_briefly(runs: DataSetRuns, options: ReportOptions = WHOLE_REPORT) -> tuple[Comparison, ...]:
    """Compare the configurations at every size as a terminal shows it: without pairs, calibration and images.

    Args:
        runs: runs on the data set.
        options: what was asked for.
    """
    resampling = Resampling(runs.predictions)
    return tuple(_start(sized, runs, resampling, options) for sized in runs.sizes)


def check_options(options: ReportOptions, comparisons: Sequence[Comparison]) -> None:
    """Refuse configurations that were asked for and are none, or several on the same images.

    Raises:
        UserError: no configuration is called so, or several are.
    """
    asked = [("--baseline", options.baseline)] if options.baseline is not None else []
    asked += [("--compare", text) for text in options.pair or ()]
    for option, text in asked:
        found = 0
        for one in comparisons:
            if len(meant := one.meant_by(text)) > 1:
                listed = list_few([f"{one.labels[name]} ({name})" for name in meant], "; ")
                raise UserError.for_key(option, text, f"several configurations are called so: {listed}")
            found += len(meant)
        if not found:
            listed = list_few([f"{label} ({name})" for one in comparisons for name, label in one.labels.items()], "; ")
            raise UserError.for_key(option, text, f"no configuration is called so; valid are {listed}")


def _start(sized: SizedRuns, runs: DataSetRuns, resampling: Resampling, options: ReportOptions) -> Comparison:
    """Compare every configuration with the reference, and leave the rest."""
    standings, why = rank_configurations(sized, runs, resampling, options)
    by = options.metric if all(math.isfinite(one.mean(f"val_{options.metric}")) for one in standings) else "accuracy"
    ordered = sorted(standings, key=lambda one: -one.mean(f"val_{by}"))
    names = tuple(one.name for one in ordered)
    return Comparison(sized.image_size, tuple(standings), why, options.metric, names, by, resampling.unit)


def _compare_sized(sized: SizedRuns, runs: DataSetRuns, resampling: Resampling, options: ReportOptions) -> Comparison:
    begun = _start(sized, runs, resampling, options)
    known = {one.name: one.runs[0] for one in begun.standings if one.estimates}
    mistakes = find_mistakes(runs.predictions, list(known))
    pair = _choose_pair(begun, options)
    return replace(
        begun,
        pairs=pair_table(resampling, list(known)),
        weights=weight_table(resampling, known),
        quality=quality_table(runs.predictions, known),
        reliability=reliabilities(runs.predictions, known),
        curves=_curves(runs, list(known)),
        thresholds=threshold_table(runs.predictions, known),
        mistakes=mistakes,
        pair=put_side_by_side(*pair, resampling, mistakes) if pair else None,
        learning=learning_curves(begun.standings, resampling, options.metric),
    )


def _curves(runs: DataSetRuns, names: Sequence[str]) -> dict[str, OperatingCurves]:
    predictions = runs.predictions
    curves = {
        name: operating_curves(pool_folds(predictions.configurations[name]), predictions.labels) for name in names
    }
    return {name: one for name, one in curves.items() if one}


def _choose_pair(compared: Comparison, options: ReportOptions) -> tuple[Standing, Standing] | None:
    """Choose two configurations to show side by side: as asked for, else the reference and the best on validation."""
    if options.pair is not None:
        meant = [compared.meant_by(text) for text in options.pair]
        if all(len(names) == 1 for names in meant) and meant[0] != meant[1]:
            return compared.by_name[meant[0][0]], compared.by_name[meant[1][0]]
        return None
    others = [name for name in compared.by_validation if name != compared.reference.name]
    return (compared.by_name[others[0]], compared.reference) if others else None

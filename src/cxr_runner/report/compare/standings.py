"""How the configurations on the same images at one size stand: metrics with intervals, differences to a reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import CollectedRun, SizedRuns
from cxr_runner.report.compare.configuration_labels import label_configurations, short_labels
from cxr_runner.report.compare.configurations import by_configuration
from cxr_runner.report.compare.reference import choose_reference, natural_order
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS, Resampling
from cxr_runner.report.report_options import ReportOptions


@dataclass(frozen=True)
class Standing:
    """One configuration.

    Attributes:
        name: name of the configuration, which ends in its id.
        label: what it is called beside the others.
        short: what it is called where its label has been read before.
        row: id of the study's row that it repeats; None for none.
        runs: its runs.
        table: one row a run, in the same order, as :func:`cxr_runner.load_runs` returns it.
        estimates: by metric, the mean over the runs whose predictions are known; empty where there are none.
        differences: by metric, the same minus the reference, on the splits and seeds that both have.
        adjusted: by metric, the p value of the difference after Holm's correction for all configurations.
        needed: by metric, how many seeds, splits or test images would tell the difference from none, see
            :func:`cxr_runner.stats.what_would_decide`; nothing where there is no difference with an interval.
        collapses: how much more often its runs collapse than those of the reference; None where neither's do.
    """

    name: str
    label: str
    short: str
    row: str | None
    runs: tuple[CollectedRun, ...]
    table: pd.DataFrame
    estimates: Mapping[str, stats.Estimate]
    differences: Mapping[str, stats.Estimate] = field(default_factory=dict)
    adjusted: Mapping[str, float] = field(default_factory=dict)
    needed: Mapping[str, Mapping[str, stats.Needed | None]] = field(default_factory=dict)
    collapses: stats.Difference | None = None

    @property
    def num_splits(self) -> int:
        """On how many splits it was trained."""
        return len({run.split for run in self.runs})

    @property
    def num_seeds(self) -> int:
        """With how many seeds."""
        return len({run.seed for run in self.runs})

    @property
    def num_collapsed(self) -> int:
        """How many runs give one and the same output for all images."""
        return int(self.table["collapsed"].sum())

    @property
    def one_sided(self) -> tuple[int, int]:
        """How many other runs call every test image positive, and how many negative."""
        called = self.table["tp"] + self.table["fp"]
        trained = ~self.table["collapsed"]
        return int((trained & (called == self.table["n"])).sum()), int((trained & (called == 0)).sum())

    def mean(self, metric: str, *, collapsed: bool = True) -> float:
        """Return the mean of a test metric over all runs, or over those that did not collapse."""
        table = self.table if collapsed else self.table[~self.table["collapsed"]]
        return float(table[metric].mean()) if len(table) else np.nan


def rank_configurations(
    sized: SizedRuns, runs: DataSetRuns, resampling: Resampling, options: ReportOptions
) -> tuple[list[Standing], str]:
    """Return the configurations at one size, the reference first, the others in the order of their labels.

    Args:
        sized: runs at that size.
        runs: all runs on the data set.
        resampling: their metrics.
        options: what was asked for; the reference is by default that with the fewest overrides, of several the oldest.

    Returns:
        The configurations, and why the first is the reference.
    """
    groups = by_configuration(sized)
    firsts = {name: members[0] for name, members in groups.items()}
    labels = label_configurations(firsts, runs.study)
    shorts = short_labels(labels, firsts, runs.study)
    reference = choose_reference(groups, labels, options.baseline)
    ordered = sorted(groups, key=lambda name: (name != reference.name, natural_order(labels[name])))
    standings = [_standing(name, (labels[name], shorts[name]), groups[name], sized, resampling) for name in ordered]
    return _with_differences(standings, resampling), reference.why


def _standing(
    name: str, labels: tuple[str, str], runs: Sequence[CollectedRun], sized: SizedRuns, resampling: Resampling
) -> Standing:
    known = name in resampling.predictions.configurations
    table = sized.table[sized.table["path"].isin([run.path for run in runs])].reset_index(drop=True)
    estimates: dict[str, stats.Estimate] = (
        {key: resampling.metric(name, key).estimate() for key in RESAMPLED_METRICS} if known else {}
    )
    return Standing(name, *labels, runs[0].row, tuple(runs), table, estimates)


def _with_differences(standings: Sequence[Standing], resampling: Resampling) -> list[Standing]:
    """Return the same with their differences to the first, and the p values of these corrected for their number."""
    first, *others = standings
    differences = {one.name: _differences(one, first, resampling) for one in others}
    adjusted: dict[str, dict[str, float]] = {one.name: {} for one in others}
    for key in RESAMPLED_METRICS:
        tested = [name for name, found in differences.items() if key in found]
        for name, p in zip(tested, stats.holm([differences[name][key].p for name in tested]), strict=True):
            adjusted[name][key] = float(p)
    compared = [
        replace(
            one,
            differences=differences[one.name],
            adjusted=adjusted[one.name],
            needed=_needed(one, differences[one.name], resampling),
            collapses=_collapses(one, first),
        )
        for one in others
    ]
    return [first, *compared]


def _differences(one: Standing, first: Standing, resampling: Resampling) -> dict[str, stats.Estimate]:
    if not one.estimates or not first.estimates:
        return {}
    return resampling.differences(one.name, first.name)


def _needed(
    one: Standing, differences: Mapping[str, stats.Estimate], resampling: Resampling
) -> dict[str, dict[str, stats.Needed | None]]:
    """Return, by metric, how many of each source would decide; nothing of a difference without an interval."""
    uncertain = {key: difference for key, difference in differences.items() if difference.error > 0}
    if not uncertain:
        return {}
    num_images = round(float(np.mean([len(split.test_rows) for split in resampling.splits(one.name)])))
    return {
        key: {str(source): found for source, found in stats.what_would_decide(difference, num_images).items()}
        for key, difference in uncertain.items()
    }


def _collapses(one: Standing, first: Standing) -> stats.Difference | None:
    """Compare how often runs collapse; paired where models are the same, so that a seed gives them equal weights."""
    if not one.num_collapsed and not first.num_collapsed:
        return None
    lost, others_lost = (standing.table["collapsed"].to_numpy(bool) for standing in (one, first))
    seeds, others_seeds = (standing.table["seed"].to_numpy(np.int64) for standing in (one, first))
    same = one.runs[0].config["model"] == first.runs[0].config["model"]
    return stats.compare_rates(lost, others_lost, seeds, others_seeds, paired=bool(same))

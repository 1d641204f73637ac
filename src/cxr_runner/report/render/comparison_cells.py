"""The figures of a configuration as texts."""

import math

from cxr_runner.base.numbers import format_difference, format_interval, format_number
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.cells import needed_range, p_value

LEVEL = 0.05  # a p value below it counts as a difference


def compared_metrics(compared: Comparison) -> list[str]:
    """Return the metrics that are shown, that which configurations are compared by first."""
    return [compared.metric, *(key for key in RESAMPLED_METRICS if key != compared.metric)]


def mean_cell(one: Standing, key: str) -> str:
    """Return the mean of a metric with its interval."""
    estimate = one.estimates.get(key)
    ends = f" ({format_interval(estimate.low, estimate.high)})" if estimate and not math.isnan(estimate.low) else ""
    return format_number(one.mean(key)) + ends


def difference_cell(one: Standing, key: str) -> str:
    """Return the difference to the reference with its interval; '' where there is none."""
    difference = one.differences.get(key)
    return "" if difference is None else format_difference(difference.mean, difference.low, difference.high)


def p_cell(one: Standing, key: str) -> str:
    """Return the p value of the difference to the reference, corrected for all configurations."""
    return p_value(one.adjusted.get(key, math.nan))


def decides_cell(one: Standing, key: str) -> str:
    """Say how many seeds, splits or test images in all would tell the difference from none; '' where that is settled.

    Each is what would do by itself, a range because the true difference is not known.
    """
    needed = one.needed.get(key)
    if not needed or one.adjusted.get(key, 1.0) < LEVEL:
        return "decided" if needed else ""
    nouns = {"seeds": "seeds", "splits": "splits", "images": "test images a split"}
    said = [needed_range(found, nouns[source]) for source, found in needed.items() if found is not None]
    return "; or ".join(text for text in said if text) or "no number of these"


def runs_cell(one: Standing) -> str:
    """Say how many runs there are, and how many of them say nothing of the model."""
    positive, negative = one.one_sided
    said = [_count_runs(one)]
    said += [f"{one.num_collapsed} collapsed"] * bool(one.num_collapsed)
    said += [f"{positive} all positive"] * bool(positive) + [f"{negative} all negative"] * bool(negative)
    return ", ".join(said)


def _count_runs(one: Standing) -> str:
    seeds = f"{one.num_seeds} seed{'s' * (one.num_seeds > 1)}"
    if one.num_splits == 1:
        return seeds
    folds = {run.split.folds for run in one.runs}
    repeats = len({run.split.seed for run in one.runs})
    if folds == {None} or len(folds) > 1:
        splits = f"{one.num_splits} splits"
    else:
        trained = len({run.split.fold for run in one.runs})
        (number,) = folds
        splits = f"{number} folds" if trained == number else f"{trained} of {number} folds"
        splits += f" × {repeats} repeats" if repeats > 1 else ""
        if one.num_splits != trained * repeats:  # of some repeats not all folds are there
            splits = f"{one.num_splits} splits of {number} folds × {repeats} repeats"
    grid = one.num_splits * one.num_seeds
    return f"{splits} × {seeds}" if len(one.runs) == grid else f"{splits}, {seeds}, {len(one.runs)} runs"

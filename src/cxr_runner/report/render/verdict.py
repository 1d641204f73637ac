"""The answer that a comparison leads with: which configuration is best, whether that is sure, what would decide it."""

import math

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_interval, format_number
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_cells import LEVEL, decides_cell


def verdict(compared: Comparison) -> str:
    """Say which configuration is best on validation, and whether test images tell it from the reference.

    Where the reference is the best, the next one on validation is what it is compared with.
    """
    reference, best = compared.reference, compared.by_name[compared.best]
    key, words = compared.metric, metric(compared.metric).words
    if len(compared.standings) == 1:
        estimate = reference.estimates.get(key)
        ends = format_interval(estimate.low, estimate.high) if estimate else ""
        interval = f" (95 % interval {ends})" if ends else ""
        mean = f"mean {words} {format_number(reference.mean(key))}{interval} on the test split"
        return f"One configuration, {reference.label}: {mean}. There is none yet to compare it with."
    there = f"mean {metric(compared.best_by).words} {format_number(best.mean(f'val_{compared.best_by}'))}"
    if best is not reference:
        return (
            f"Best on validation: {best.label} ({there}). On the test split it is "
            f"{_told_apart(best, key, f'the reference, {reference.label}')}"
        )
    second = compared.by_name[compared.by_validation[1]]
    return (
        f"Best on validation: {best.label}, the reference ({there}). On the test split the next on validation, "
        f"{second.label}, is {_told_apart(second, key, 'it')}"
    )


def _told_apart(one: Standing, key: str, other: str) -> str:
    """Say whether a configuration is told from the reference in a metric, as the end of a sentence, and what then."""
    words, difference, p = metric(key).words, one.differences.get(key), one.adjusted.get(key, math.nan)
    if difference is None or math.isnan(p):
        return f"not compared with {other}: that takes two runs of each on the same splits, with predictions."
    ends = " to ".join(format_number(end, "+.3f") for end in (difference.low, difference.high))
    found = f"{format_number(difference.mean, '+.3f')} in {words} (95 % interval {ends}; p {p_value(p)}, Holm)"
    if p < LEVEL:
        place = "above" if difference.mean > 0 else "below"
        return f"{place} {other} by more than splits, seeds and test images explain: {found}."
    decides = decides_cell(one, key)
    if decides == "no number of these":
        return f"not told apart from {other}: {found}. No number of seeds, splits or test images would do that."
    if not decides:
        return f"not told apart from {other}: {found}."
    return f"not told apart from {other}: {found}. What would decide it: {decides}."

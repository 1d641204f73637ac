"""Searches compared by pairs, where both chose anew in the same folds of the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cxr_runner import stats


@dataclass(frozen=True)
class SearchPair:
    """What two searches come to, fold by fold.

    Attributes:
        first: number of a search among those given, from 0.
        second: number of the other.
        difference: test metric of the first's choices minus that of the second's, a mean over the folds.
        holm: p value of the difference, corrected for all pairs.
    """

    first: int
    second: int
    difference: stats.Estimate
    holm: float


def compare_searches(searches: Sequence[Mapping[str, Any]]) -> list[SearchPair]:
    """Compare searches by pairs, each by what it chose in a fold by the val of that fold alone.

    The differences are paired by fold. Student's t has Nadeau and Bengio's correction for folds that share training
    images. These are train and val: both have led to a choice.

    Args:
        searches: contents of ``search.json``.

    Returns:
        One for every two searches for the same metric in the same folds of the same images; none for folds that all
        have the same test images, which differences between them say nothing of, nor for records from before the
        values of folds were kept.

    Source:
        See :mod:`cxr_runner.stats.replicates`.
    """
    known = {number: key for number, one in enumerate(searches) if (key := _comparable(one)) is not None}
    pairs = [(one, other) for one, other in combinations(known, 2) if known[one] == known[other]]
    differences = [_difference(searches[one]["nested"], searches[other]["nested"]) for one, other in pairs]
    adjusted = stats.holm([one.p for one in differences])
    found = zip(pairs, differences, adjusted, strict=True)
    return [SearchPair(*pair, difference, float(p)) for pair, difference, p in found]


def _comparable(search: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return what two searches must have in common: the metric, and folds with their images."""
    nested = search.get("nested") or {}
    folds = nested.get("by_fold") or ()
    if nested.get("shared_test") or len(folds) < 2 or any(one["test"] is None for one in folds):
        return None
    return search["metric"], nested["held_ratio"], tuple((one["fold"], one["data"]) for one in folds)


def _difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> stats.Estimate:
    one, other = (np.array([fold["test"] for fold in nested["by_fold"]]) for nested in (first, second))
    values = one - other
    numbers = np.arange(len(values))
    ratio = first["held_ratio"]
    return stats.mean_over_runs(values, numbers, np.zeros_like(numbers), ratio, 0.0, bounds=(-1.0, 1.0))

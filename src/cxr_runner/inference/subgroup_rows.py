"""Metrics of foreign images by subgroup, and whether they differ between the groups of a column."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.artifacts.levels import MOST_LEVELS, Levels, find_levels
from cxr_runner.base.where import number_in
from cxr_runner.inference.scored_images import ScoredImages

LEAST = 10  # patients of each class (images where patients are not known) of a group that is tested or has an AUROC
_QUARTERS = (0.25, 0.5, 0.75)
_NONE = stats.Interval(np.nan, np.nan, np.nan)
Mask = NDArray[np.bool_]


def subgroup_rows(
    images: ScoredImages, columns: pd.DataFrame, threshold: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compute metrics by subgroup.

    Args:
        images: the images.
        columns: a column for each way to group them, text, '' where it is not known.
        threshold: an image is positive above this logit.

    Returns:
        A row for each group of each column: ``column``, ``group``, numbers of ``images`` and ``positive`` ones, and
        ``auroc``, ``sensitivity``, ``specificity``, each an estimate with both ends of its interval; and a row for each
        test: ``column``, ``metric``, ``groups`` that were compared, ``p``, and ``holm``, corrected for all of them.
    """
    levels = {str(name): find_levels(_banded(columns[name].tolist())) for name in columns}
    rows = [row for name, one in levels.items() for row in _groups(images, name, one, threshold)]
    tests = [test for name, one in levels.items() for test in _tests(images, name, one, threshold)]
    for test, holm in zip(tests, stats.holm([test["p"] for test in tests]), strict=True):
        test["holm"] = float(holm)
    return rows, tests


def _banded(values: list[str]) -> list[str]:
    """Return the quarters of a column of many different numbers, such as ages; any other column as it is."""
    numbers = {value: number_in(value) for value in set(values) if value}
    known = [number for value in values if (number := numbers.get(value)) is not None]
    if len(numbers) <= MOST_LEVELS or None in numbers.values() or not known:
        return values
    ends = [min(known), *np.unique(np.quantile(known, _QUARTERS, method="lower")).tolist(), max(known)]
    names = [f"above {low:g} to {high:g}" for low, high in pairwise(ends)]
    names[0] = names[0].removeprefix("above ")  # the lowest value is in the first quarter

    def band(value: str) -> str:
        number = numbers.get(value)
        return "" if number is None else names[int(np.searchsorted(ends[1:-1], number))]

    return [band(value) for value in values]


def _groups(images: ScoredImages, column: str, levels: Levels, threshold: float) -> Iterator[dict[str, Any]]:
    for code, name in enumerate(levels.names):
        group = images.of(levels.codes == code)
        yield {
            "column": column,
            "group": name,
            **group.count(),
            "auroc": stats.auroc_interval(group.logits, group.labels, group.units)[0] if _enough(group) else _NONE,
            "sensitivity": _share(group, threshold, label=1),
            "specificity": _share(group, threshold, label=0),
        }


def _share(images: ScoredImages, threshold: float, label: int) -> stats.Interval:
    """Return how many images of a class are called so."""
    group = images.of(images.labels == label)
    correct = (group.logits > threshold) == (label == 1)
    return stats.share_interval(correct[None], group.units) if len(group) else _NONE


def _tests(images: ScoredImages, column: str, levels: Levels, threshold: float) -> Iterator[dict[str, Any]]:
    codes = [code for code in range(levels.num_named) if _enough(images.of(levels.codes == code))]
    compared = np.isin(levels.codes, codes)
    some, of_levels = images.of(compared), levels.codes[compared]
    for metric in ("auroc", "sensitivity", "specificity"):
        groups = [levels.names[code] for code in codes]
        p = _p(some, of_levels, metric, threshold) if len(codes) > 1 else np.nan
        yield {"column": column, "metric": metric, "groups": groups, "p": p}


def _p(images: ScoredImages, codes: NDArray[np.int64], metric: str, threshold: float) -> float:
    if metric == "auroc":
        groups = [images.of(codes == code) for code in np.unique(codes)]
        scored = [stats.ScoredGroup(group.logits[None], group.labels, group.units) for group in groups]
        return stats.compare_aurocs(scored)
    among = images.labels == (metric == "sensitivity")
    correct = (images.logits > threshold) == (images.labels == 1)
    return stats.compare_shares(correct[among][None], codes[among], images.units[among])


def _enough(images: ScoredImages) -> bool:
    return all(len(np.unique(images.units[images.labels == label])) >= LEAST for label in (0, 1))

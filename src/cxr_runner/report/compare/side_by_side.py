"""Two configurations side by side: what differs in settings, metrics and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr_runner import stats
from cxr_runner.config.usual_settings import flatten_settings
from cxr_runner.report.compare.mistakes import Mistakes
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty.resampling import Resampling

_MOST_IMAGES = 6  # each way


@dataclass(frozen=True)
class SideBySide:
    """Two configurations.

    Attributes:
        first: one of them.
        second: the other.
        settings: by key, the values that differ; None for what one does not have.
        differences: by metric, first minus second on the splits and seeds that both have; empty where there are none.
        only_first: rows of images that more runs of the first than of the second get right, the clearest first.
        only_second: the other way.
    """

    first: Standing
    second: Standing
    settings: dict[str, tuple[Any, Any]]
    differences: dict[str, stats.Estimate]
    only_first: tuple[int, ...]
    only_second: tuple[int, ...]


def put_side_by_side(
    first: Standing, second: Standing, resampling: Resampling, mistakes: Mistakes | None
) -> SideBySide:
    """Compare two configurations.

    Args:
        first: one of them.
        second: the other.
        resampling: metrics of both, if their predictions are known.
        mistakes: what runs get wrong, of configurations these two among them; None where that is not known.
    """
    given, other = (dict(flatten_settings(one.runs[0].config)) for one in (first, second))
    keys = [*given, *(key for key in other if key not in given)]
    settings = {key: (given.get(key), other.get(key)) for key in keys if given.get(key) != other.get(key)}
    known = first.estimates and second.estimates
    differences = resampling.differences(first.name, second.name) if known else {}
    return SideBySide(first, second, settings, differences, *_images(first.name, second.name, mistakes))


def _images(first: str, second: str, mistakes: Mistakes | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if mistakes is None or not {first, second} <= set(mistakes.configurations):
        return (), ()
    one, other = (mistakes.wrong[mistakes.configurations.index(name)] for name in (first, second))
    gained = np.nan_to_num(other - one)
    return _largest(gained), _largest(-gained)


def _largest(values: Sequence[float] | np.ndarray[Any, Any]) -> tuple[int, ...]:
    order = np.argsort(-np.asarray(values), kind="stable")
    return tuple(int(row) for row in order[:_MOST_IMAGES] if values[row] > 0)

"""Columns of subgroups as runs keep them: their names, and their values as so few levels that a table can hold them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.lists import read_list
from cxr_runner.base.markdown import printable

NOT_KNOWN, OTHER = "not known", "other"
FEWEST = 10  # images that a level of its own has
MOST_LEVELS = 10  # of their own, the most frequent ones
_MOST_CHARACTERS = 60  # of a value: it stands in tables and figures


@dataclass(frozen=True)
class Levels:
    """The levels of one column.

    Attributes:
        names: values in their order, then :data:`OTHER` and :data:`NOT_KNOWN` where some images are of these.
        codes: int [images], index of the level of each image.
        num_pooled: number of different values that are pooled as :data:`OTHER`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    num_pooled: int

    @property
    def num_named(self) -> int:
        """How many levels are values, which come first: what is pooled or not known is no group to be compared."""
        return sum(name not in (NOT_KNOWN, OTHER) for name in self.names)


def find_levels(values: Sequence[str]) -> Levels:
    """Pool the values of a column that few images have, and those beyond the most frequent.

    Args:
        values: one an image; '' where it is not known.
    """
    shown = [_shorten(printable(value)) or NOT_KNOWN for value in values]
    counts = Counter(name for name in shown if name not in (NOT_KNOWN, OTHER))
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_LEVELS]
    kept = sorted(name for name in frequent if counts[name] >= FEWEST)
    levels = [name if name in kept or name == NOT_KNOWN else OTHER for name in shown]
    names = (*kept, *(name for name in (OTHER, NOT_KNOWN) if name in levels))
    code = {name: number for number, name in enumerate(names)}
    codes = np.array([code[name] for name in levels], np.int64)
    return Levels(names, codes, len(counts) - len(kept))


def subgroup_names(given: object) -> tuple[str, ...]:
    """Return the names in ``data.subgroups`` as ``config.yaml`` holds it, a list or text in brackets; else none.

    Commands read the key by its schema. What a file of old says may be anything, and is never refused.
    """
    if isinstance(given, list):
        return tuple(name for name in given if isinstance(name, str))
    return read_list(given) if isinstance(given, str) else ()


def _shorten(value: str) -> str:
    return value if len(value) <= _MOST_CHARACTERS else f"{value[: _MOST_CHARACTERS - 1]}…"

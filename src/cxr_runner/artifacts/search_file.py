"""The record of a search: ``searches/NAME/search.json``, and how it is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json

SEARCH_FORMAT = 1  # raised when search.json changes for its readers; reports ignore files of another format
SEARCH = "search.json"
RESULTS = "optimization_results.yaml"


@dataclass(frozen=True)
class SearchPoint:
    """One trial.

    Attributes:
        number: its number, from 0.
        value: the metric; of a failed one None.
        state: ``measured``, ``pruned`` or ``failed``.
        params: values of the parameters.
    """

    number: int
    value: float | None
    state: str
    params: Mapping[str, Any]


def read_searches(root: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the searches below a folder that can be read and have not changed since they were written."""
    for path in sorted(root.rglob(f"searches/*/{SEARCH}")):
        content, intact = read_checked_json(path)
        if intact and content.get("format") == SEARCH_FORMAT:
            yield content

"""The table of runs that collapsed, with what was wrong inside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxr_runner.artifacts import Run
from cxr_runner.markdown import printable
from cxr_runner.report.cohorts import Cohort
from cxr_runner.report.export import Table
from cxr_runner.report.tables import cell

_LEGEND = (
    "Runs that give one output for all images, and the share of units of each layer that are 0 for all of 64 training "
    "images, before and after training: a dead unit passes no gradient back, so plain SGD cannot revive it."
)
_WORDS = {
    "row": "model",
    "name": "name",
    "seed": "seed",
    "image_size": "px",
    "collapse_reason": "reason",
    "dead_start": "dead at the start",
    "dead_end": "dead at the end",
    "path": "run",
}
_TEXTS = ("model", "name", "reason", "dead at the start", "dead at the end", "run")


def collapsed_table(cohorts: Sequence[Cohort]) -> Table:
    """Return the runs that collapsed, of one data set after the other."""
    entries = [
        {**entry, "dead_start": dead_units(run.metrics, "start"), "dead_end": dead_units(run.metrics, "end")}
        for cohort in cohorts
        for data_set in cohort.data_sets
        for run, entry in _collapsed(data_set.runs, data_set.table)
    ]
    data = pd.DataFrame(entries, columns=list(_WORDS))
    shown = pd.DataFrame(
        {words: [cell(value) for value in data[column].astype(object)] for column, words in _WORDS.items()}
    )
    return Table("collapsed", _LEGEND, data, shown, _TEXTS)


def _collapsed(runs: Sequence[Run], table: pd.DataFrame) -> list[tuple[Run, dict[Any, Any]]]:
    return [(run, entry) for run, entry in zip(runs, table.to_dict("records"), strict=True) if entry["collapsed"]]


def dead_units(metrics: Mapping[str, Any], moment: str) -> str:
    """Say what share of each layer's units is dead, '' where it is not known.

    Args:
        metrics: the content of a ``metrics.json``, whatever it may be.
        moment: ``start`` or ``end``.
    """
    shares: Any = metrics
    for key in ("diagnosis", moment, "dead_units"):
        shares = shares.get(key) if isinstance(shares, Mapping) else None
    if not isinstance(shares, Mapping):
        return ""
    known = {name: share for name, share in shares.items() if isinstance(share, int | float) and 0 <= share <= 1}
    return ", ".join(f"{printable(name)} {share:.0%}" for name, share in known.items())

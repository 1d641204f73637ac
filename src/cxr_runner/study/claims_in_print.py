"""What a study's numbers in print say of its claims, and what the counts say that were recovered behind them.

Nothing is tested here: a claim about test metrics holds, part by part, or it does not.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cxr_runner.study.claims import Condition
from cxr_runner.study.errata import recovered_correct, recoveries
from cxr_runner.study.published import Study

_ON_TEST = ("accuracy", "f1")
_TOLD = ("above", "about", "lower", "not higher", "alike")  # what numbers without an error can tell
_KEPT = ("published", "published_exceptions", "recovered", "recovered_exceptions")
_COLUMNS = ("claim", "place", "says", "metric", "parts", *_KEPT)


class _Printed(NamedTuple):
    """Values of a metric by row, and the unit that they are given in: how many of it make 1."""

    values: Mapping[str, float]
    unit: float


def claim_table(study: Study) -> pd.DataFrame:
    """Compare the claims about test metrics with the published values and with the recovered counts.

    Returns:
        One row a claim and condition: ``claim`` (its id), ``place``, ``says``, ``metric``, ``parts`` (of how many
        pairs or models it is), ``published`` (how many of them are as claimed) and ``published_exceptions``,
        ``recovered`` and ``recovered_exceptions``: the same on the recovered pooled accuracy; missing for F1, which the
        recovered matrices do not determine.
    """
    rows = [
        _claim_row(claim.id, condition, study)
        for claim in study.claims
        for condition in claim.conditions
        if _is_told(condition, study)
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"recovered": "Int64"})


def _is_told(condition: Condition, study: Study) -> bool:
    """Say whether a condition is about published metrics, of which all are given."""
    if condition.statistic not in _ON_TEST or condition.expect not in _TOLD:
        return False
    groups = [group for pair in condition.pairs for group in pair]
    rows = {*condition.rows, *(row for group in groups for row in group)}
    published = {row.id: getattr(row.published, condition.statistic) for row in study.published_rows()}
    alone = condition.spread or all(len(group) == 1 for group in groups)
    return alone and not any(math.isnan(published.get(row, math.nan)) for row in rows)


def _claim_row(claim_id: str, condition: Condition, study: Study) -> dict[str, Any]:
    claim = next(claim for claim in study.claims if claim.id == claim_id)
    metric, rows = condition.statistic, study.published_rows()
    percent = any(one.percent for one in study.metrics if one.published == metric)
    published = _Printed({row.id: getattr(row.published, metric) for row in rows}, 100 if percent else 1)
    broken = list(_exceptions(condition, published, study))
    parts = len(condition.pairs or condition.rows)
    entry = {
        "claim": claim.id,
        "place": claim.source,
        "says": claim.says,
        "metric": metric,
        "parts": parts,
        "published": parts - len(broken),
        "published_exceptions": "; ".join(broken),
        "recovered": None,
        "recovered_exceptions": "",
    }
    if metric == "accuracy":
        found = {row_id: recovered_correct(row_id, study) for row_id in recoveries(study)}
        correct = {row_id: number for row_id, number in found.items() if number is not None}
        if correct.keys() >= {row.id for row in rows}:
            broken = list(_exceptions(condition, _Printed(correct, sum(study.test or ())), study))
            entry |= {"recovered": parts - len(broken), "recovered_exceptions": "; ".join(broken)}
    return entry


def _exceptions(condition: Condition, printed: _Printed, study: Study) -> Iterator[str]:
    """Yield the parts of a condition that are not as claimed, in words."""
    values, unit = printed
    margin = study.definitions[condition.statistic].margin * unit * (1 + 1e-9)
    for row in condition.rows:
        bound, value = condition.bound * unit, values[row]
        if not (value > bound if condition.expect == "above" else abs(value - bound) <= margin):
            yield f"{row} ({value})"
    for first, second in condition.pairs:
        if condition.spread:
            one, other = (float(np.std([values[row] for row in group], ddof=1)) for group in (first, second))
            if not other < one:
                yield f"{_listed(first)} (standard deviation {one:.3g}) against {_listed(second)} ({other:.3g})"
            continue
        one, other = values[first[0]], values[second[0]]
        holds = {"lower": other < one, "not higher": other <= one, "alike": abs(other - one) <= margin}
        if not holds[condition.expect]:
            yield f"{first[0]} ({one}) against {second[0]} ({other})"


def _listed(group: tuple[str, ...]) -> str:
    return " + ".join(group)

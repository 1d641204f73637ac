"""What the study's numbers in print say of its claims, and what the counts say that were recovered behind them.

Nothing is tested here: a claim about test metrics holds, part by part, or it does not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cxr_runner.study.claims import Condition
from cxr_runner.study.errata import recovered_correct
from cxr_runner.study.published import Study

_ON_TEST = ("accuracy", "f1")


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
        if condition.statistic in _ON_TEST
    ]
    return pd.DataFrame(rows).astype({"recovered": "Int64"})


def _claim_row(claim_id: str, condition: Condition, study: Study) -> dict[str, Any]:
    claim = next(claim for claim in study.claims if claim.id == claim_id)
    metric, rows = condition.statistic, study.published_rows()
    published = _Printed({row.id: getattr(row.published, metric) for row in rows}, 100 if metric == "accuracy" else 1)
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
        recovered = _Printed({row.id: recovered_correct(row.id, study) for row in rows}, study.splits["test"])
        broken = list(_exceptions(condition, recovered, study))
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

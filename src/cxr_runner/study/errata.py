"""The errata: what arithmetic on the printed numbers of the study says, without training anything.

The published metrics are compared with the counts that :mod:`cxr_runner.study.recovery` finds behind them, and the
claims that compare test metrics of models with both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pandas as pd

from cxr_runner.stats import wilson
from cxr_runner.study.published import Row, Study
from cxr_runner.study.recovery import Evaluation, Reported, Solution, matching_counts, possible_counts, recover

_PERCENT_DIGITS, _DIGITS = 3, 2  # decimals of the published accuracy, as a fraction, and of the other metrics


@dataclass(frozen=True)
class PairClaim:
    """A claim of the study that compares test metrics.

    Attributes:
        claim: id of the claim in ``copetti.yaml``.
        metrics: ``accuracy`` or ``f1`` or both.
        second: how the second of a pair should stand to the first.
        pairs: ids of models.
    """

    claim: str
    metrics: list[str]
    second: Literal["lower", "not higher"]
    pairs: list[tuple[str, str]]

    def holds(self, first: float, second: float) -> bool:
        """Say whether a pair of values is as claimed."""
        return second < first if self.second == "lower" else second <= first


def evaluation(row: Row, study: Study) -> Evaluation:
    """Return how a row was tested."""
    return Evaluation(study.confusion.positives, study.confusion.negatives, row.batch_size)


def reported(row: Row) -> Reported:
    """Return the published metrics of a row, as fractions."""
    assert row.published is not None
    metrics = row.published
    return Reported(metrics.accuracy / 100, metrics.precision, metrics.recall, metrics.f1, _PERCENT_DIGITS, _DIGITS)


@cache
def _pair_claims(study: Study) -> list[PairClaim]:
    """Return the conditions of claims that are about pairs of models and their test metrics."""
    merged: dict[tuple[str, str], PairClaim] = {}
    for claim in study.claims:
        for one in claim.conditions:
            if one.statistic in ("accuracy", "f1") and one.pairs and not one.spread:
                pairs = [(first, second) for (first,), (second,) in one.pairs]
                new = PairClaim(claim.id, [], "lower" if one.expect == "lower" else "not higher", pairs)
                merged.setdefault((claim.id, one.expect), new).metrics.append(one.statistic)
    return list(merged.values())


@cache
def recoveries(study: Study) -> dict[str, list[Solution]]:
    """Return, by the id of its row, all counts that published metrics can have come from."""
    return {row.id: recover(reported(row), evaluation(row, study)) for row in study.published_rows()}


def recovered_correct(row_id: str, study: Study) -> int:
    """Return the one number of correct test images that fits all published metrics of a row."""
    (correct,) = {solution.counts.correct for solution in recoveries(study)[row_id]}
    return correct


def accuracy_table(study: Study) -> pd.DataFrame:
    """Ask of every published accuracy and F1 whether it can be the pooled one.

    Returns:
        One row a tested model: ``row``, ``model``, ``accuracy`` (percent, as published), ``nearest_count`` and
        ``nearest_percent`` (of the test images, the share nearest to it), ``is_share`` (GRIM: it is such a share,
        rounded), ``lowest``, ``highest`` (percent; what precision and recall allow) and ``allowed`` (the published one
        is among them), and the same of ``f1``.
    """
    return pd.DataFrame([_accuracy_row(row, study) for row in study.published_rows()])


def recovery_table(study: Study) -> pd.DataFrame:
    """Rank the tested models as published and by the pooled accuracy that was recovered.

    Returns:
        One row a tested model: ``row``, ``model``, ``batch_size``, ``published`` (percent), ``published_rank``,
        ``correct``, ``num_images``, ``pooled`` (percent), ``wilson_low`` and ``wilson_high`` (percent, 95 %),
        ``recovered_rank``, ``last_batch`` and ``last_errors`` (images of the last batch, and errors among them), and
        ``tp``, ``fp``, ``fn``, ``tn``, a range such as ``397-400`` where several matrices fit. Ties share the better
        rank.
    """
    table = pd.DataFrame([_recovery_row(row, study) for row in study.published_rows()])
    ranks = {
        rank: table[value].rank(ascending=False, method="min").astype(int)
        for rank, value in (("published_rank", "published"), ("recovered_rank", "correct"))
    }
    return table.assign(**ranks)


def claim_table(study: Study) -> pd.DataFrame:
    """Compare the claims about test metrics with the published values and with the recovered counts.

    Returns:
        One row a claim and metric: ``claim`` (its id), ``place``, ``says``, ``metric``, ``pairs`` (how many it is
        about), ``published`` (how many of them are as claimed) and ``published_exceptions``, ``recovered`` and
        ``recovered_exceptions``: the same on the recovered pooled accuracy; missing for F1, which the recovered
        matrices do not determine.
    """
    return pd.DataFrame(
        [_claim_row(pairs, metric, study) for pairs in _pair_claims(study) for metric in pairs.metrics]
    ).astype({"recovered": "Int64"})


def _accuracy_row(row: Row, study: Study) -> dict[str, Any]:
    values, sizes = reported(row), evaluation(row, study)
    nearest = round(values.accuracy * sizes.num_images)
    candidates = matching_counts(values, sizes)
    accuracies = sorted(100 * counts.accuracy for counts in candidates)
    scores = sorted(counts.f1 for counts in candidates)
    half, half_f1 = 0.05, 0.005  # what rounding may have added or taken away
    published = 100 * values.accuracy
    return {
        "row": row.id,
        "model": row.title,
        "accuracy": row.published and row.published.accuracy,
        "nearest_count": nearest,
        "nearest_percent": 100 * nearest / sizes.num_images,
        "is_share": bool(possible_counts(values.accuracy, sizes.num_images, _PERCENT_DIGITS)),
        "lowest": accuracies[0],
        "highest": accuracies[-1],
        "allowed": accuracies[0] - half <= published <= accuracies[-1] + half,
        "f1": values.f1,
        "f1_lowest": scores[0],
        "f1_highest": scores[-1],
        "f1_allowed": scores[0] - half_f1 <= values.f1 <= scores[-1] + half_f1,
    }


def _recovery_row(row: Row, study: Study) -> dict[str, Any]:
    assert row.published is not None
    sizes, solutions = evaluation(row, study), recoveries(study)[row.id]
    correct = recovered_correct(row.id, study)
    interval = wilson(correct, sizes.num_images)
    return {
        "row": row.id,
        "model": row.title,
        "batch_size": row.batch_size,
        "published": row.published.accuracy,
        "correct": correct,
        "num_images": sizes.num_images,
        "pooled": 100 * correct / sizes.num_images,
        "wilson_low": 100 * interval.low,
        "wilson_high": 100 * interval.high,
        "last_batch": sizes.last_batch,
        "last_errors": _range(solution.last_errors for solution in solutions),
        **{cell: _range(getattr(solution.counts, cell) for solution in solutions) for cell in ("tp", "fp", "fn", "tn")},
    }


def _range(values: Iterable[int]) -> str:
    distinct = sorted(set(values))
    return str(distinct[0]) if len(distinct) == 1 else f"{distinct[0]}-{distinct[-1]}"


def _claim_row(pair_claim: PairClaim, metric: str, study: Study) -> dict[str, Any]:
    claim = {claim.id: claim for claim in study.claims}[pair_claim.claim]
    published = {row.id: getattr(row.published, metric) for row in study.published_rows()}
    broken = _exceptions(pair_claim, published)
    row = {
        "claim": claim.id,
        "place": claim.source,
        "says": claim.says,
        "metric": metric,
        "pairs": len(pair_claim.pairs),
        "published": len(pair_claim.pairs) - len(broken),
        "published_exceptions": "; ".join(broken),
        "recovered": None,
        "recovered_exceptions": "",
    }
    if metric == "accuracy":
        broken = _exceptions(pair_claim, {row_id: recovered_correct(row_id, study) for row_id in published})
        row |= {"recovered": len(pair_claim.pairs) - len(broken), "recovered_exceptions": "; ".join(broken)}
    return row


def _exceptions(pair_claim: PairClaim, values: dict[str, float]) -> list[str]:
    return [
        f"{first} ({values[first]}) against {second} ({values[second]})"
        for first, second in pair_claim.pairs
        if not pair_claim.holds(values[first], values[second])
    ]

"""The study held against itself: what its own printed numbers say, without training anything.

The published metrics are held against the counts that :mod:`cxr_runner.study.recovery` finds behind them, and the
claims that compare test metrics of models against both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pandas as pd

from cxr_runner.stats import wilson
from cxr_runner.study.published import Row, Study, load_study
from cxr_runner.study.recovery import Evaluation, Reported, Solution, matching_counts, possible_counts, recover

_PERCENT_DIGITS, _DIGITS = 3, 2  # decimals of the published accuracy, as a fraction, and of the other metrics


@dataclass(frozen=True)
class Comparison:
    """A claim of the study that compares test metrics.

    Attributes:
        claim: the id of the claim in ``study.yaml``.
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
def _comparisons() -> list[Comparison]:
    """Return the conditions of claims that are about pairs of models and their test metrics."""
    found: dict[tuple[str, str], Comparison] = {}
    for claim in load_study().claims:
        for one in claim.conditions:
            if one.statistic in ("accuracy", "f1") and one.pairs and not one.spread:
                pairs = [(first, second) for (first,), (second,) in one.pairs]
                new = Comparison(claim.id, [], "lower" if one.expect == "lower" else "not higher", pairs)
                found.setdefault((claim.id, one.expect), new).metrics.append(one.statistic)
    return list(found.values())


@cache
def recoveries() -> dict[str, list[Solution]]:
    """Return, by the id of its row, every way in which published metrics can have come about."""
    study = load_study()
    return {row.id: recover(reported(row), evaluation(row, study)) for row in study.published_rows()}


def recovered_correct(row_id: str) -> int:
    """Return the one number of correct test images that fits all published metrics of a row."""
    (correct,) = {solution.counts.correct for solution in recoveries()[row_id]}
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
    """Hold the claims that compare test metrics against the published values and against the recovered counts.

    Returns:
        One row a claim and metric: ``claim`` (its id), ``place``, ``says``, ``metric``, ``pairs`` (how many it is
        about), ``published`` (how many of them are as claimed) and ``published_exceptions``, ``recovered`` and
        ``recovered_exceptions``: the same on the recovered pooled accuracy; missing for F1, which several of the
        recovered matrices leave open.
    """
    return pd.DataFrame(
        [_claim_row(comparison, metric, study) for comparison in _comparisons() for metric in comparison.metrics]
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
    sizes, solutions, correct = evaluation(row, study), recoveries()[row.id], recovered_correct(row.id)
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
    found = sorted(set(values))
    return str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"


def _claim_row(comparison: Comparison, metric: str, study: Study) -> dict[str, Any]:
    claim = {claim.id: claim for claim in study.claims}[comparison.claim]
    published = {row.id: getattr(row.published, metric) for row in study.published_rows()}
    broken = _exceptions(comparison, published)
    row = {
        "claim": claim.id,
        "place": claim.place,
        "says": claim.says,
        "metric": metric,
        "pairs": len(comparison.pairs),
        "published": len(comparison.pairs) - len(broken),
        "published_exceptions": "; ".join(broken),
        "recovered": None,
        "recovered_exceptions": "",
    }
    if metric == "accuracy":
        broken = _exceptions(comparison, {row_id: recovered_correct(row_id) for row_id in published})
        row |= {"recovered": len(comparison.pairs) - len(broken), "recovered_exceptions": "; ".join(broken)}
    return row


def _exceptions(comparison: Comparison, values: dict[str, float]) -> list[str]:
    return [
        f"{first} ({values[first]}) against {second} ({values[second]})"
        for first, second in comparison.pairs
        if not comparison.holds(values[first], values[second])
    ]

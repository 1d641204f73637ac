"""The errata: what arithmetic on the printed numbers of the study says, without training anything.

The published metrics are compared with the counts that :mod:`cxr_runner.study.recovery` finds behind them.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd

from cxr_runner.stats import wilson
from cxr_runner.study.published import Row, Study
from cxr_runner.study.recovery import Evaluation, Reported, Solution, matching_counts, possible_counts, recover

_PERCENT_DIGITS, _DIGITS = 3, 2  # decimals of the published accuracy, as a fraction, and of the other metrics


def evaluation(row: Row, study: Study) -> Evaluation:
    """Return how a row was tested."""
    return Evaluation(study.confusion.positives, study.confusion.negatives, row.batch_size)


def reported(row: Row) -> Reported:
    """Return the published metrics of a row, as fractions."""
    assert row.published is not None
    metrics = row.published
    return Reported(metrics.accuracy / 100, metrics.precision, metrics.recall, metrics.f1, _PERCENT_DIGITS, _DIGITS)


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

"""The errata: what arithmetic on the printed numbers of a study says, without training anything.

The published metrics are compared with the counts that :mod:`cxr_runner.study.recovery` finds behind them.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import pandas as pd

from cxr_runner.stats import wilson
from cxr_runner.study.published import ComparedMetric, Study
from cxr_runner.study.recovery import Evaluation, Reported, Solution, matching_counts, possible_counts, recover
from cxr_runner.study.study_rows import Row

_NEEDED = ("accuracy", "precision", "recall", "f1")  # of a row whose counts are looked for


def checkable_rows(study: Study) -> tuple[Row, ...]:
    """Return the rows of which all is published that the search for counts needs; none without the sizes of classes."""
    if study.test is None:
        return ()
    return tuple(
        row
        for row in study.published_rows()
        if not any(math.isnan(_metric(name, study).published_of(row)) for name in _NEEDED)
    )


def _metric(name: str, study: Study) -> ComparedMetric:
    """Return how a published metric is printed; as a fraction of two decimals where the study does not say."""
    return next((one for one in study.metrics if one.published == name), ComparedMetric(name, published=name))


def evaluation(row: Row, study: Study) -> Evaluation:
    """Return how a row was tested; an accuracy over all images is one over a single batch."""
    assert study.test is not None
    positives, negatives = study.test
    by_batch = _metric("accuracy", study).key == "accuracy_batch_mean"
    return Evaluation(positives, negatives, row.batch_size if by_batch else positives + negatives)


def reported(row: Row, study: Study) -> Reported:
    """Return the published metrics of a row, as fractions."""
    values = {name: _metric(name, study).published_of(row) for name in _NEEDED}
    digits = max(_metric(name, study).digits for name in _NEEDED[1:])
    return Reported(**values, accuracy_digits=_metric("accuracy", study).digits, digits=digits)


@cache
def recoveries(study: Study) -> dict[str, list[Solution]]:
    """Return, by the id of its row, all counts that published metrics can have come from."""
    return {row.id: recover(reported(row, study), evaluation(row, study)) for row in checkable_rows(study)}


def recovered_correct(row_id: str, study: Study) -> int | None:
    """Return the one number of correct test images that fits all published metrics of a row; None for none, or many."""
    correct = {solution.counts.correct for solution in recoveries(study)[row_id]}
    return correct.pop() if len(correct) == 1 else None


def accuracy_table(study: Study) -> pd.DataFrame:
    """Ask of every published accuracy and F1 whether it can be the pooled one.

    Returns:
        One row a tested model: ``row``, ``model``, ``accuracy`` (percent, as published), ``nearest_count`` and
        ``nearest_percent`` (of the test images, the share nearest to it), ``is_share`` (GRIM: it is such a share,
        rounded), ``lowest``, ``highest`` (percent; what precision and recall allow) and ``allowed`` (the published one
        is among them), and the same of ``f1``.
    """
    return pd.DataFrame([_accuracy_row(row, study) for row in checkable_rows(study)])


def recovery_table(study: Study) -> pd.DataFrame:
    """Rank the tested models as published and by the pooled accuracy that was recovered.

    Returns:
        One row a tested model: ``row``, ``model``, ``batch_size``, ``published`` (percent), ``published_rank``,
        ``correct``, ``num_images``, ``pooled`` (percent), ``wilson_low`` and ``wilson_high`` (percent, 95 %),
        ``recovered_rank``, ``last_batch`` and ``last_errors`` (images of the last batch, and errors among them), and
        ``tp``, ``fp``, ``fn``, ``tn``, a range such as ``397-400`` where several matrices fit. Ties share the better
        rank. Where no counts fit, or several numbers of correct images, what follows from that number is missing.
    """
    table = pd.DataFrame([_recovery_row(row, study) for row in checkable_rows(study)]).astype({"correct": "Int64"})
    ranks = {
        rank: table[value].rank(ascending=False, method="min").astype("Int64")
        for rank, value in (("published_rank", "published"), ("recovered_rank", "correct"))
    }
    return table.assign(**ranks)


def _accuracy_row(row: Row, study: Study) -> dict[str, Any]:
    values, sizes = reported(row, study), evaluation(row, study)
    nearest = round(values.accuracy * sizes.num_images)
    candidates = matching_counts(values, sizes)
    accuracies = sorted(100 * counts.accuracy for counts in candidates) or [math.nan]
    scores = sorted(counts.f1 for counts in candidates) or [math.nan]
    # What rounding may have added or taken away.
    half, half_f1 = 50 * 10**-values.accuracy_digits, 0.5 * 10**-values.digits
    published = 100 * values.accuracy
    return {
        "row": row.id,
        "model": row.title,
        "accuracy": round(published, 6),
        "nearest_count": nearest,
        "nearest_percent": 100 * nearest / sizes.num_images,
        "is_share": bool(possible_counts(values.accuracy, sizes.num_images, values.accuracy_digits)),
        "lowest": accuracies[0],
        "highest": accuracies[-1],
        "allowed": accuracies[0] - half <= published <= accuracies[-1] + half,
        "f1": values.f1,
        "f1_lowest": scores[0],
        "f1_highest": scores[-1],
        "f1_allowed": scores[0] - half_f1 <= values.f1 <= scores[-1] + half_f1,
    }


def _recovery_row(row: Row, study: Study) -> dict[str, Any]:
    sizes, solutions = evaluation(row, study), recoveries(study)[row.id]
    correct = recovered_correct(row.id, study)
    known = math.nan if correct is None else correct
    low, high = (math.nan, math.nan) if correct is None else wilson(correct, sizes.num_images)[1:]
    return {
        "row": row.id,
        "model": row.title,
        "batch_size": row.batch_size,
        "published": round(100 * reported(row, study).accuracy, 6),
        "correct": correct,
        "num_images": sizes.num_images,
        "pooled": 100 * known / sizes.num_images,
        "wilson_low": 100 * low,
        "wilson_high": 100 * high,
        "last_batch": sizes.last_batch,
        "last_errors": _range(solution.last_errors for solution in solutions),
        **{cell: _range(getattr(solution.counts, cell) for solution in solutions) for cell in ("tp", "fp", "fn", "tn")},
    }


def _range(values: Iterable[int]) -> str:
    distinct = sorted(set(values))
    if not distinct:
        return ""
    return str(distinct[0]) if len(distinct) == 1 else f"{distinct[0]}-{distinct[-1]}"

"""The counts behind rounded metrics, on tables made up for it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_runner.study import Counts, Evaluation, Reported, Solution, matching_counts, possible_counts, recover


def report(counts: Counts, errors_by_batch: list[tuple[int, int]], accuracy_digits: int, digits: int) -> Reported:
    """Round the metrics of a classifier that made so many errors in each batch, given as (images, errors)."""
    mean = sum(Fraction(size - errors, size) for size, errors in errors_by_batch) / len(errors_by_batch)
    return Reported(
        accuracy=float(round(mean, accuracy_digits)),
        precision=float(round(Fraction(counts.tp, counts.tp + counts.fp), digits)),
        recall=float(round(Fraction(counts.tp, counts.tp + counts.fn), digits)),
        f1=float(round(Fraction(2 * counts.tp, 2 * counts.tp + counts.errors), digits)),
        accuracy_digits=accuracy_digits,
        digits=digits,
    )


def test_grim_knows_which_percentages_shares_can_round_to() -> None:
    assert possible_counts(0.33, 3, 2) == [1]
    assert possible_counts(0.34, 3, 2) == []
    assert possible_counts(1.0, 3, 2) == [3]
    assert possible_counts(0.5, 1000, 2) == list(range(495, 506))
    assert possible_counts(0.125, 8, 2) == [1]  # 0.12 or 0.13, however a half was rounded
    assert possible_counts(0.13, 8, 2) == possible_counts(0.12, 8, 2) == [1]


def test_the_last_batch_holds_what_is_left() -> None:
    assert (Evaluation(7, 3, 4).num_batches, Evaluation(7, 3, 4).last_batch) == (3, 2)
    assert (Evaluation(8, 4, 4).num_batches, Evaluation(8, 4, 4).last_batch) == (3, 4)
    assert (Evaluation(2, 1, 4).num_batches, Evaluation(2, 1, 4).last_batch) == (1, 3)


def test_a_small_table_has_the_one_solution_that_made_it() -> None:
    # Ten images in batches of 4, 4 and 2; one error, in the last batch: pooled 0.9, mean of 1, 1 and 0.5 is 0.833.
    made = Counts(tp=5, fp=0, fn=1, tn=4)
    row = report(made, [(4, 0), (4, 0), (2, 1)], accuracy_digits=3, digits=2)
    assert row.accuracy == 0.833
    assert possible_counts(row.accuracy, 10, 3) == []
    assert recover(row, Evaluation(6, 4, 4)) == [Solution(made, last_errors=1)]


def test_batches_of_one_size_leave_mean_and_pooled_accuracy_the_same() -> None:
    made = Counts(tp=5, fp=1, fn=1, tn=5)
    row = report(made, [(4, 1), (4, 0), (4, 1)], accuracy_digits=3, digits=2)
    assert row.accuracy == 0.833 == round(made.accuracy, 3)
    assert {solution.counts for solution in recover(row, Evaluation(6, 6, 4))} == {made}


def test_a_table_that_nothing_can_have_made_has_no_solution() -> None:
    row = Reported(accuracy=0.99, precision=0.5, recall=0.5, f1=0.5, accuracy_digits=2, digits=2)
    assert recover(row, Evaluation(50, 50, 32)) == []
    impossible = Reported(accuracy=0.9, precision=0.9, recall=0.85, f1=0.5, accuracy_digits=2, digits=2)
    assert matching_counts(impossible, Evaluation(3, 3, 32)) == []


@st.composite
def experiments(draw: st.DrawFn) -> tuple[Counts, Evaluation, int, list[tuple[int, int]]]:
    """Draw a test split, its batches, and which images a classifier got wrong."""
    positives, negatives = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    size = draw(st.integers(1, 32))
    labels = draw(st.permutations([True] * positives + [False] * negatives))
    wrong = draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    tp = sum(label and not error for label, error in zip(labels, wrong, strict=True))
    fp = sum(not label and error for label, error in zip(labels, wrong, strict=True))
    batches = [wrong[start : start + size] for start in range(0, len(wrong), size)]
    counts = Counts(tp, fp, positives - tp, negatives - fp)
    return counts, Evaluation(positives, negatives, size), sum(batches[-1]), [(len(b), sum(b)) for b in batches]


@given(experiments(), st.integers(2, 4), st.integers(1, 3))
def test_the_truth_is_always_among_the_solutions(
    experiment: tuple[Counts, Evaluation, int, list[tuple[int, int]]], accuracy_digits: int, digits: int
) -> None:
    counts, evaluation, last_errors, batches = experiment
    if counts.tp == 0:
        return  # precision or F1 are not defined
    row = report(counts, batches, accuracy_digits, digits)
    assert counts in matching_counts(row, evaluation)
    assert Solution(counts, last_errors) in recover(row, evaluation)


@given(experiments())
def test_every_solution_rounds_to_the_table(
    experiment: tuple[Counts, Evaluation, int, list[tuple[int, int]]],
) -> None:
    counts, evaluation, _, batches = experiment
    if counts.tp == 0:
        return
    row = report(counts, batches, 3, 2)
    for solution in recover(row, evaluation):
        counts, last = solution.counts, evaluation.last_batch
        full = (evaluation.num_batches - 1) * evaluation.batch_size
        before = Fraction(full - counts.errors + solution.last_errors, evaluation.batch_size)
        mean = (before + Fraction(last - solution.last_errors, last)) / evaluation.num_batches
        assert abs(mean - Fraction(str(row.accuracy))) <= Fraction(5, 10_000)
        assert counts.f1 == pytest.approx(row.f1, abs=0.005 + 1e-9)
        assert (counts.tp + counts.fn, counts.fp + counts.tn) == (evaluation.positives, evaluation.negatives)

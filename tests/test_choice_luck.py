"""What the best of several gains by luck: the estimate against the truth, which a simulation knows."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from cxr_runner import stats
from cxr_runner.stats.choice_luck import (
    WEIGHTED_METRICS,
    choose_in_folds,
    draw_halves,
    luck_of_choice,
    whole_splits,
    worse_in_pairs,
)


def _by_seeds(means: np.ndarray, seeds: int, simulations: int) -> tuple[float, float, float]:
    """Return the true gain of the best on all and on half of the seeds, and the mean estimate of the former."""
    rng = np.random.default_rng(1)
    true, half, estimated = [], [], []
    for _ in range(simulations):
        values = means[:, None] + rng.normal(size=(len(means), seeds))
        best = values.mean(axis=1).argmax()
        true.append(values.mean(axis=1)[best] - means[best])
        fewer = values[:, : seeds // 2].mean(axis=1)
        half.append(fewer.max() - means[fewer.argmax()])
        luck = luck_of_choice(whole_splits(values, 50), True, halved_images=False)
        estimated.append((luck.gain, luck.on_half))
    gains = np.mean(estimated, axis=0)
    assert gains[1] == pytest.approx(np.mean(half), abs=0.06), "without bias of a choice on half of the seeds"
    return float(np.mean(true)), float(gains[0]), float(np.std([gain for gain, _ in estimated]))


def test_of_equal_candidates_the_gain_by_luck_is_estimated_without_bias() -> None:
    true, estimated, _ = _by_seeds(np.zeros(20), 8, 400)
    assert true == pytest.approx(1.867 / np.sqrt(8), abs=0.03), "the mean of the largest of 20, from tables"
    assert estimated == pytest.approx(true, abs=0.03)


@pytest.mark.parametrize("gap", [0.1, 0.3, 1.0])
def test_of_unequal_candidates_no_less_is_said_than_the_gain_is(gap: float) -> None:
    true, estimated, _ = _by_seeds(np.linspace(0, gap * 5, 6), 8, 400)
    assert true - 0.03 < estimated < true + 0.13, "of noise of 0.35 in each mean"


def test_a_clear_winner_gains_nothing() -> None:
    true, estimated, _ = _by_seeds(np.array([0.0, 0, 0, 50]), 8, 400)
    assert (true, estimated) == (pytest.approx(0, abs=0.05), pytest.approx(0, abs=0.05))


def test_where_lower_is_better_luck_is_the_same() -> None:
    values = whole_splits(np.random.default_rng(0).normal(size=(9, 6)))
    lower = luck_of_choice(-values, False, halved_images=False)
    assert lower == luck_of_choice(values, True, halved_images=False)


def test_without_halves_or_others_nothing_is_said() -> None:
    assert np.isnan(luck_of_choice(whole_splits(np.zeros((9, 1))), True, halved_images=False).gain)
    assert np.isnan(luck_of_choice(whole_splits(np.zeros((1, 9))), True, halved_images=False).gain)


def _images(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of images of two a patient, and their patients."""
    return np.repeat(np.arange(patients) % 2, 2), np.repeat(np.arange(patients), 2)


def _answers(rng: np.random.Generator, labels: np.ndarray, runs: tuple[int, int]) -> np.ndarray:
    """Return logits of equally good candidates with so many seeds; noise is of a patient, so that units matter."""
    shared = np.repeat(rng.normal(size=len(labels) // 2), 2)
    candidate = np.repeat(rng.normal(size=(runs[0], 1, len(labels) // 2)), 2, axis=2)
    return labels * 1.5 + shared + candidate + 0.5 * rng.normal(size=(*runs, len(labels)))


def _halves(answers: np.ndarray, labels: np.ndarray, units: np.ndarray, splits: int) -> np.ndarray:
    weights = draw_halves(units, splits)
    return np.array([[stats.auroc(run, labels, weights) for run in candidate] for candidate in answers])


@pytest.mark.parametrize("by_patient", [True, pytest.param(False, marks=pytest.mark.long)])
def test_the_gain_on_images_and_seeds_together_is_estimated_without_bias(by_patient: bool) -> None:
    rng, true, estimated = np.random.default_rng(2), [], []
    labels, patients = _images(rng, 100)
    for _ in range(100):
        answers = _answers(rng, labels, (8, 2))
        values = np.array([[stats.auroc(run, labels) for run in candidate] for candidate in answers])
        true.append(values.mean(axis=1).max() - values.mean())  # all are equally good, and see the same images
        units = patients if by_patient else np.arange(len(labels))
        halves = _halves(answers, labels, units, 20)
        estimated.append(luck_of_choice(halves, True, halved_images=True).gain)
    if by_patient:
        assert np.mean(estimated) == pytest.approx(np.mean(true), abs=0.005)
    else:
        assert np.mean(estimated) < 0.75 * np.mean(true), "images taken as independent: half of the luck is not seen"


def test_halves_hold_whole_patients_and_every_image_once() -> None:
    units = np.array([0, 0, 1, 2, 2, 2, 3])
    halves = draw_halves(units, 30)
    first, second = halves[:, :30], halves[:, 30:]
    assert (first + second == 1).all()
    assert all(len(np.unique(first[units == unit], axis=0)) == 1 for unit in range(4))
    assert (first[[0, 2, 3, 6]].sum(axis=0) == 2).all(), "two patients of four"


@pytest.mark.parametrize("key", sorted(WEIGHTED_METRICS))
def test_metrics_of_halves_are_those_of_the_images_in_them(key: str) -> None:
    from torch import tensor

    from cxr_runner.training.formulas import compute_metrics

    rng = np.random.default_rng(0)
    labels, logits, units = rng.integers(2, size=60), rng.normal(size=60), np.arange(60)
    halves = draw_halves(units, 3)
    measured = WEIGHTED_METRICS[key](logits, labels, halves)
    for half, value in zip(halves.T == 1, measured, strict=True):
        assert value == pytest.approx(compute_metrics(tensor(logits[half]), tensor(labels[half]), 8)[key], abs=1e-6)


def test_a_nested_choice_looks_at_the_val_of_its_own_fold_alone() -> None:
    val = np.array([[0.9, 0.5, np.nan], [0.8, 0.7, 0.1]])
    test = np.array([[0.6, 0.6, 0.6], [0.2, 0.3, 0.4]])
    chosen, judged = choose_in_folds(val, test, higher_is_better=True)
    assert (chosen.tolist(), judged.tolist()) == ([0, 1, 1], [0.6, 0.3, 0.4])
    assert choose_in_folds(val, test, higher_is_better=False).chosen.tolist() == [1, 0, 1]


def test_four_pairs_that_all_lose_are_enough_and_a_better_mean_never_is() -> None:
    reference = np.array([0.9, 0.91, 0.92, 0.93])
    assert worse_in_pairs(reference - 0.01, reference, True) == 1 / 16
    assert worse_in_pairs(reference + 0.01, reference, False) == 1 / 16
    assert worse_in_pairs(reference + 0.01, reference, True) == 1
    mixed = reference + np.array([-0.05, 0.01, 0.02, -0.06])
    assert worse_in_pairs(mixed, reference, True) == wilcoxon(reference - mixed, alternative="greater").pvalue
    assert worse_in_pairs(np.zeros(0), np.zeros(0), True) == 1

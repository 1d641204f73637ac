"""How often the intervals of docs/statistics.md hold the truth, on fewer data sets than its tables."""

import numpy as np
import pytest

from cxr_runner import stats
from simulated_runs import DESIGNS, LEARNERS, _score, _sums, cover, simulate


def covers(learner, design, num_sets):
    """Yield the coverage with 3 and 10 seeds of each metric, of one configuration and of a difference."""
    runs = [simulate(LEARNERS[learner], DESIGNS[design], seed) for seed in range(num_sets)]
    for num_seeds in (3, 10):
        for (metric, what), found in cover(LEARNERS[learner], DESIGNS[design], num_seeds, runs).items():
            yield f"{num_seeds} seeds, {metric}, {what}", what, found


def test_the_simulation_scores_as_the_package_does():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 3)
    truth = (np.arange(60) < 30)[patients]
    logits = (truth + rng.normal(size=60)[patients] + 0.5 * rng.normal(size=180))[None, None]
    metrics, added = _score(logits - 0.5, truth)
    weights = stats.resample(180, patients)
    run = logits[0, 0] - 0.5
    for number, (value, drawn) in enumerate(
        [
            (stats.accuracy(run > 0, truth), stats.accuracy(run > 0, truth, weights)),
            (stats.auroc(run, truth), stats.auroc(run, truth, weights)),
        ]
    ):
        assert metrics[0, number, 0] == pytest.approx(float(value))
        of_patients = _sums(added[0, number, 0], patients)
        assert np.square(of_patients).sum() == pytest.approx(drawn.var(), rel=0.1)


def test_intervals_over_folds_hold_the_truth_where_uncorrected_ones_do_not():
    for cell, _, found in covers("projections", "5x10", 60):
        assert found.ours >= 0.9, cell
        assert max(found.by_folds, found.by_runs) < 0.6, cell
        assert found.width < 2.5, cell


@pytest.mark.long
@pytest.mark.parametrize("learner", ["projections", "unequal", "features", "noise"])
@pytest.mark.parametrize("design", ["5x1", "5x10", "5x10 missing", "kept"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(learner, design):
    for cell, what, found in covers(learner, design, 300):
        assert found.ours >= 0.92, cell
        if what == "difference" and LEARNERS[learner].equal:
            assert 1 - found.ours <= 0.07, cell  # the level of the test that there is none
        # Where only independent noise tells two configurations apart, their difference is surer than is seen.
        assert found.width < (2 if learner != "noise" else 3.5), cell


@pytest.mark.long
def test_with_more_features_than_images_intervals_are_somewhat_too_narrow():
    for cell, what, found in covers("wide", "5x1", 300):
        assert found.ours >= (0.92 if what == "difference" else 0.89), cell


@pytest.mark.long
def test_a_single_split_does_not_see_that_training_sets_vary():
    single, folds = (
        {cell: found.ours for cell, _, found in covers("features", design, 300)} for design in ("1", "5x1")
    )
    assert np.mean(list(single.values())) < 0.95 < np.mean(list(folds.values()))
    assert min(single.values()) < 0.9

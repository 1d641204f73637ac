"""Statistics of groups of images against scipy and statsmodels, and how often they are wrong."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from cxr_runner import stats
from cxr_runner.stats.groups import ScoredGroup, compare_aurocs, compare_shares, permutation_test, share_interval

PERMUTATIONS = 999  # in simulations


def decide(rng, share, units, likeness=0.5, runs=1):
    """Return decisions, bool [runs, images], that are right with a share; those of a patient are alike."""
    bound = scipy.stats.norm.ppf(np.broadcast_to(share, units.shape))
    patient = rng.normal(size=units.max() + 1)[units]
    noise = rng.normal(size=(runs, len(units)))
    return np.sqrt(likeness) * patient + np.sqrt(1 - likeness) * noise < bound


@pytest.mark.parametrize(("correct", "total"), [(80, 100), (1, 29), (0, 20), (20, 20), (3, 4)])
def test_the_interval_of_one_run_on_images_of_as_many_patients_is_wilsons(correct, total):
    interval = share_interval((np.arange(total) < correct)[None], np.arange(total))
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(correct, total, method="wilson"), abs=1e-9)
    assert interval.estimate == pytest.approx(correct / total)


def test_copies_of_every_image_of_a_patient_leave_about_as_many_images_as_patients():
    once = np.arange(50) < 40
    interval = share_interval(np.repeat(once, 4)[None], np.repeat(np.arange(50), 4))
    width = np.ptp(proportion_confint(40, 50, method="wilson"))
    assert interval.high - interval.low == pytest.approx(width, rel=0.06)
    assert interval.high - interval.low > width


def test_without_an_error_patients_count_once():
    interval = share_interval(np.ones((3, 60), bool), np.repeat(np.arange(20), 3))
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(20, 20, method="wilson"))


@pytest.mark.parametrize(
    ("patients", "images", "runs", "share"), [(20, 1, 1, 0.9), (60, 3, 1, 0.9), (12, 8, 1, 0.8), (100, 2, 3, 0.95)]
)
def test_intervals_of_shares_hold_the_truth_about_as_often_as_they_say(patients, images, runs, share):
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(patients), images)
    intervals = [share_interval(decide(rng, share, units, runs=runs), units) for _ in range(1000)]
    assert np.mean([interval.low <= share <= interval.high for interval in intervals]) > 0.925


def test_a_spread_over_runs_widens_the_interval():
    rng = np.random.default_rng(0)
    units = np.arange(400)
    alike = np.broadcast_to(rng.random(400) < 0.9, (4, 400))
    differing = rng.random((4, 400)) < np.array([[0.8], [0.87], [0.93], [1.0]])
    widths = [interval.high - interval.low for interval in (share_interval(some, units) for some in (alike, differing))]
    assert widths[1] > 2 * widths[0]


def test_the_difference_of_two_wilson_intervals_is_newcombes():
    first, second = stats.wilson(56, 70), stats.wilson(48, 80)  # the example of Newcombe (1998), table II
    difference = stats.independent_difference(first, second)
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb")
    assert (difference.low, difference.high) == pytest.approx(expected)


@pytest.mark.parametrize("table", [[[9, 1], [30, 20]], [[11, 9], [45, 5]], [[30, 30], [31, 29]]])
def test_the_permutation_test_of_two_by_two_is_exact(table):
    levels = np.repeat([0, 0, 1, 1], np.ravel(table))
    scores = np.repeat([1.0, 0.0, 1.0, 0.0], np.ravel(table))
    # Fisher's test, with tables ordered by their distance from the expected one.
    law = scipy.stats.hypergeom(len(scores), int(scores.sum()), sum(table[0]))
    counts = np.arange(sum(table[0]) + 1)
    exact = law.pmf(counts)[abs(counts - law.mean()) > abs(table[0][0] - law.mean()) - 1e-9].sum()
    error = 4 * np.sqrt(exact * (1 - exact) / stats.PERMUTATIONS) + 1e-4
    assert permutation_test(scores, levels) == pytest.approx(exact, abs=error)


def test_the_permutation_test_of_many_levels_is_that_of_chi_square_and_of_scipys_permutations():
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 4, 600)
    scores = (rng.random(600) < 0.8 - 0.06 * levels).astype(float)
    table = [[(scores[levels == level] == value).sum() for level in range(4)] for value in (0, 1)]
    p = permutation_test(scores, levels)
    assert p == pytest.approx(scipy.stats.chi2_contingency(table, correction=False).pvalue, rel=0.2)
    values = rng.normal(size=60) + 0.5 * (levels[:60] == 1)

    def between(*samples, axis=-1):
        return sum(sample.shape[axis] * sample.mean(axis=axis) ** 2 for sample in samples)

    samples = [values[levels[:60] == level] - values.mean() for level in range(4)]
    expected = scipy.stats.permutation_test(
        samples, between, n_resamples=9999, alternative="greater", rng=np.random.default_rng(0), vectorized=True
    )
    assert permutation_test(values, levels[:60]) == pytest.approx(expected.pvalue, abs=0.02)


def test_where_all_are_alike_nothing_differs():
    assert permutation_test(np.ones(30), np.arange(30) % 2) == 1
    assert permutation_test(np.arange(30.0), np.zeros(30, int)) == 1
    assert permutation_test(np.arange(30) % 2 * 1.0, np.arange(30) % 2) == 1 / (stats.PERMUTATIONS + 1)


# Patients and images each of two levels.
SIZES = [((100, 1), (100, 1)), ((12, 1), (150, 1)), ((20, 8), (100, 1)), ((100, 1), (20, 8)), ((30, 3), (30, 3))]


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("sizes", SIZES)
def test_shares_that_are_alike_are_seldom_called_different_whoever_has_how_many_images(sizes, runs):
    rng = np.random.default_rng(1)
    levels, units = lay_out(sizes)
    found = [
        compare_shares(decide(rng, 0.9, units, runs=runs), levels, units, PERMUTATIONS) <= 0.05 for _ in range(500)
    ]
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


def lay_out(sizes):
    levels = np.repeat(np.arange(len(sizes)), [patients * images for patients, images in sizes])
    starts = np.cumsum([0, *(patients for patients, _ in sizes)])
    units = [start + np.repeat(np.arange(n), m) for start, (n, m) in zip(starts, sizes, strict=False)]
    return levels, np.concatenate(units)


def test_patients_that_are_taken_for_images_raise_false_alarms():
    rng = np.random.default_rng(1)
    levels, units = lay_out([(30, 8), (30, 8)])
    decided = [decide(rng, 0.8, units) for _ in range(200)]
    alone = np.arange(len(units))
    wrong = np.mean([compare_shares(each, levels, alone, PERMUTATIONS) <= 0.05 for each in decided])
    right = np.mean([compare_shares(each, levels, units, PERMUTATIONS) <= 0.05 for each in decided])
    assert right < 0.1 < 0.2 < wrong


def test_one_patient_in_several_levels_makes_the_test_miss_more():
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(60), 2)
    levels = np.arange(120) % 2
    found = [compare_shares(decide(rng, 0.8, units), levels, units, PERMUTATIONS) <= 0.05 for _ in range(300)]
    assert np.mean(found) < 0.05


def test_shares_that_differ_are_found():
    rng = np.random.default_rng(2)
    levels, units = lay_out([(60, 2), (60, 2), (60, 2)])
    shares = np.where(levels == 0, 0.7, 0.95)
    found = [compare_shares(decide(rng, shares, units), levels, units, PERMUTATIONS) <= 0.05 for _ in range(200)]
    assert np.mean(found) > 0.9


def scored(rng, sizes, separations, likeness=0.5, runs=1, shift=0.0):
    """Return groups: patients and images each of a class, how far the classes are apart, where the group lies."""
    groups = []
    for number, ((patients, images), separation) in enumerate(zip(sizes, separations, strict=True)):
        units = np.repeat(np.arange(2 * patients), images)
        labels = (units % 2).astype(np.int64)
        patient = rng.normal(size=2 * patients)[units]
        noise = rng.normal(size=(runs, len(units)))
        scores = separation * labels + np.sqrt(likeness) * patient + np.sqrt(1 - likeness) * noise
        groups.append(ScoredGroup(scores + number * shift, labels, units))
    return groups


@pytest.mark.parametrize("sizes", [*SIZES, ((12, 1), (40, 1), (40, 1))])
@pytest.mark.parametrize(("runs", "shift"), [(1, 0), (1, 2), (3, 0)])
def test_aurocs_that_are_alike_are_seldom_called_different(sizes, runs, shift):
    rng = np.random.default_rng(1)
    drawn = [scored(rng, sizes, [2] * len(sizes), runs=runs, shift=shift) for _ in range(400)]
    found = [compare_aurocs(groups) <= 0.05 for groups in drawn]
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_aurocs_that_differ_are_found():
    rng = np.random.default_rng(2)
    found = [compare_aurocs(scored(rng, [(80, 1), (80, 1)], [1, 2.5])) <= 0.05 for _ in range(100)]
    assert np.mean(found) > 0.9


def test_two_aurocs_on_many_images_are_compared_as_delong_does():
    rng = np.random.default_rng(4)
    groups = scored(rng, [(1500, 1), (1500, 1)], [1.5, 1.62], likeness=0)
    areas = [roc_auc_score(group.labels, group.scores[0]) for group in groups]
    errors = []
    for group in groups:  # the variance of one AUROC by DeLong: against a model that tells nothing, which has none
        result = stats.delong(group.scores[0], np.zeros(len(group.labels)), group.labels)
        errors.append((result.high - result.low) / 2 / scipy.stats.norm.ppf(0.975))
    z = (areas[0] - areas[1]) / np.hypot(*errors)
    assert 0.0001 < compare_aurocs(groups) < 0.5
    assert compare_aurocs(groups) == pytest.approx(2 * scipy.stats.norm.sf(abs(z)), rel=0.05)


def test_groups_without_any_error_cannot_be_compared():
    groups = scored(np.random.default_rng(0), [(20, 1), (20, 1)], [50, 50])
    assert np.isnan(compare_aurocs(groups))
    assert np.isnan(compare_aurocs(groups[:1]))
    (sure,), (other,) = groups[:1], scored(np.random.default_rng(0), [(40, 1)], [2])
    assert 0.01 < compare_aurocs([sure, other]) < 1  # a group without an error is no certain one

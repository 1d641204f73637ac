"""Statistics against scipy, statsmodels, scikit-learn, torchmetrics and published examples."""

from unittest import mock

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as reference
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from torchmetrics.functional.classification import binary_calibration_error

from cxr_runner import stats

RNG = np.random.default_rng(0)
LABELS = (np.arange(120) >= 40).astype(np.int64)
LOGITS = 1.5 * LABELS - 0.5 + RNG.normal(size=120)
OTHER = LOGITS + RNG.normal(size=120)


def probabilities(logits):
    return 1 / (1 + np.exp(-logits))


@st.composite
def answers(draw, num_models=1):
    """Draw labels of both classes and logits with ties."""
    n = draw(st.integers(4, 40))
    labels = draw(npst.arrays(np.int64, n, elements=st.integers(0, 1)))
    labels[:4] = [0, 1, 0, 1]
    logits = draw(npst.arrays(np.float64, (num_models, n), elements=st.integers(-6, 6).map(lambda value: value / 2)))
    return logits, labels


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(correct, n, low, high):
    interval = stats.wilson(correct, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(correct, n, method="wilson"))
    assert interval.estimate == correct / n


def test_there_is_no_interval_of_no_images_and_of_one_seed():
    assert np.isnan(stats.wilson(0, 0)).all()


def test_a_mean_over_batches_is_worth_as_many_images_as_have_its_variance():
    generator = np.random.default_rng(0)
    correct = generator.random((40_000, 582)) < 0.9
    means = np.mean([correct[:, start : start + 64].mean(axis=1) for start in range(0, 582, 64)], axis=0)
    worth = stats.effective_images(582, 64)
    assert worth == pytest.approx(0.9 * 0.1 / means.var(), rel=0.03)
    assert worth < 0.6 * 582
    assert stats.effective_images(640, 64) == pytest.approx(640)


def test_resampling_draws_as_many_images_as_there_are_and_the_same_every_time():
    weights = stats.resample(50, replicates=30)
    assert (weights.sum(axis=0) == 50).all()
    assert (weights == stats.resample(50, replicates=30)).all()
    assert (weights != stats.resample(50, replicates=30, seed=1)).any()


def test_the_images_of_a_patient_are_drawn_together():
    weights = stats.resample(6, ["b", "a", "b", "c", "a", "b"], replicates=200)
    assert (weights[[0, 1]] == weights[[2, 4]]).all()
    assert ((weights[0] + weights[1] + weights[3]) == 3).all()  # three patients are drawn, whatever they bring


def test_the_bootstrap_agrees_with_that_of_scipy():
    ours = stats.bootstrap(lambda w: stats.f1(LOGITS > 0, LABELS, w), stats.resample(120, replicates=4000))
    theirs = scipy.stats.bootstrap(
        (LOGITS > 0, LABELS),
        lambda decisions, labels: reference.f1_score(labels, decisions),
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=0,
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)
    assert ours.estimate == reference.f1_score(LABELS, LOGITS > 0)


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    labels = np.ones(150, np.int64)
    covered = []
    for _ in range(200):
        correct = np.repeat(rng.random(75) < 0.8, 2)  # two images a patient, both right or both wrong
        weights = stats.resample(150, np.arange(150) // 2, replicates=400)
        interval = stats.bootstrap(lambda w, c=correct: stats.accuracy(c, labels, w), weights)
        covered.append(interval.low <= 0.8 <= interval.high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_patients_with_many_images_widen_the_interval():
    correct = np.repeat(RNG.random(40) < 0.8, 5)
    labels, patients = np.ones(200, np.int64), np.arange(200) // 5

    def width(groups):
        interval = stats.bootstrap(lambda w: stats.accuracy(correct, labels, w), stats.resample(200, groups))
        return interval.high - interval.low

    assert width(patients) == pytest.approx(width(None) * np.sqrt(5), rel=0.15)


def test_the_same_draws_make_a_comparison_paired():
    weights = stats.resample(120)
    first, second = (stats.auroc(logits, LABELS, weights) for logits in (LOGITS, OTHER))
    paired = stats.percentile_interval(0, first - second)
    unpaired = stats.percentile_interval(0, first - stats.auroc(OTHER, LABELS, stats.resample(120, seed=9)))
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_over_seeds_alone_a_mean_has_students_interval_and_p_value():
    values = np.array([0.01, 0.02, -0.005, 0.03])
    result = stats.mean_over_seeds(values, np.repeat(values[:, None], 9, axis=1))
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert result[:3] == pytest.approx((values.mean(), expected.low, expected.high))
    assert result.p == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue)


def test_over_images_alone_a_mean_has_the_interval_of_a_bootstrap():
    weights = stats.resample(120)
    replicates = stats.accuracy(LOGITS > 0, LABELS, weights)[None].repeat(3, axis=0)
    values = np.full(3, stats.accuracy(LOGITS > 0, LABELS))
    result, drawn = stats.mean_over_seeds(values, replicates), stats.percentile_interval(values[0], replicates[0])
    assert (result.low, result.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)


def test_variances_over_seeds_and_images_add_up():
    rng = np.random.default_rng(0)
    values, replicates = rng.normal(0, 0.02, 10), rng.normal(0, 0.03, (1, 50_000)).repeat(10, axis=0)
    result = stats.mean_over_seeds(values, replicates)
    error = np.sqrt(values.var(ddof=1) / 10 + 0.03**2)
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * error, rel=0.02)


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_few_seeds_do_not_make_chance_findings_more_frequent(num_seeds):
    draws = np.random.default_rng(num_seeds).normal(size=(2000, num_seeds))
    p_values = np.array([stats.mean_over_seeds(values, np.zeros((num_seeds, 2))).p for values in draws])
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_a_single_seed_shows_no_spread():
    result = stats.mean_over_seeds(np.array([0.9]), np.array([[0.88, 0.92]]))
    assert result.estimate == 0.9
    assert np.isnan(result[1:]).all()


@given(answers())
def test_scores_equal_scikit_learn(drawn):
    (logits,), labels = drawn
    decisions = logits > 0
    assert stats.accuracy(decisions, labels) == pytest.approx(reference.accuracy_score(labels, decisions))
    assert stats.sensitivity(decisions, labels) == pytest.approx(reference.recall_score(labels, decisions))
    assert stats.specificity(decisions, labels) == pytest.approx(reference.recall_score(1 - labels, ~decisions))
    assert stats.f1(decisions, labels) == pytest.approx(reference.f1_score(labels, decisions))
    assert stats.auroc(logits, labels) == pytest.approx(reference.roc_auc_score(labels, logits))
    assert stats.auprc(logits, labels) == pytest.approx(reference.average_precision_score(labels, logits))
    probability = probabilities(logits)
    assert stats.brier(probability, labels) == pytest.approx(reference.brier_score_loss(labels, probability))


@given(answers(), st.integers(0, 9))
def test_a_weighted_score_is_that_of_the_images_repeated(drawn, seed):
    (logits,), labels = drawn
    weights = stats.resample(len(labels), replicates=5, seed=seed)
    for score, answer in ((stats.f1, logits > 0), (stats.specificity, logits > 0), (stats.auroc, logits)):
        weighted = score(answer, labels, weights)
        for times, value in zip(weights.T.astype(int), weighted, strict=True):
            repeated = labels.repeat(times)
            if len(set(repeated)) == 2:
                assert value == pytest.approx(float(score(answer.repeat(times), repeated)))


def test_what_is_about_a_class_that_was_not_drawn_is_missing():
    none = np.array([[1.0], [0.0]])
    labels = np.array([1, 0])
    assert np.isnan(stats.specificity(np.array([True, False]), labels, none)).all()
    assert np.isnan(stats.auroc(np.array([1.0, 0.0]), labels, none)).all()
    assert np.isnan(stats.percentile_interval(0.5, np.array([np.nan]))[1:]).all()


@given(npst.arrays(np.bool_, (2, 40)))
def test_mcnemar_is_that_of_statsmodels(correct):
    first, second = correct
    result = stats.mcnemar_exact(first, second)
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    assert (result.only_first, result.only_second) == (table[0][1], table[1][0])
    assert result.p == pytest.approx(mcnemar(table, exact=True).pvalue if first.tolist() != second.tolist() else 1)


def test_mcnemar_gives_a_binomial_p_value_by_hand():
    first, second = np.array([True] * 9 + [False]), np.array([False] * 9 + [True])
    assert stats.mcnemar_exact(first, second) == (9, 1, pytest.approx(2 * (1 + 10) / 2**10))


def by_definition(scores, labels):
    """Return AUROCs and covariance from the structural components of DeLong et al., each of the m n pairs compared."""
    positives, negatives = scores[:, labels == 1], scores[:, labels == 0]
    kernel = (positives[:, :, None] > negatives[:, None]) + 0.5 * (positives[:, :, None] == negatives[:, None])
    m, n = kernel.shape[1:]
    return kernel.mean(axis=(1, 2)), np.cov(kernel.mean(axis=2)) / m + np.cov(kernel.mean(axis=1)) / n


@given(answers(num_models=2))
def test_delong_by_midranks_is_delong_by_definition(drawn):
    scores, labels = drawn
    result = stats.delong(*scores, labels)
    areas, covariance = by_definition(scores, labels)
    assert (result.first, result.second) == pytest.approx(tuple(areas))
    half = 1.959963984540054 * np.sqrt(max(0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    assert (result.low, result.high) == pytest.approx((result.difference - half, result.difference + half), abs=1e-6)


def test_delong_and_the_bootstrap_agree_on_a_difference():
    result = stats.delong(LOGITS, OTHER, LABELS)
    first, second = (stats.auroc(logits, LABELS, stats.resample(120)) for logits in (LOGITS, OTHER))
    drawn = stats.percentile_interval(result.difference, first - second)
    assert (result.low, result.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)
    swapped = stats.delong(OTHER, LOGITS, LABELS)
    assert (swapped.difference, swapped.p) == pytest.approx((-result.difference, result.p))
    assert stats.delong(LOGITS, LOGITS, LABELS).p == 1


def test_holm_gives_a_published_example():
    # Holm's procedure by hand on 0.005 < 0.01 < 0.03 < 0.04: times 4, 3, 2, 1, never falling
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)))
def test_holm_is_that_of_statsmodels_and_leaves_out_what_was_not_tested(p_values):
    adjusted = stats.holm(p_values)
    with mock.patch("gc.collect"):  # which statsmodels calls, and which takes a second in a process as large as this
        expected = multipletests(p_values, method="holm")[1]
    assert adjusted == pytest.approx(expected)
    assert stats.holm([*p_values, np.nan])[:-1] == pytest.approx(adjusted)
    assert (adjusted >= p_values).all()


@given(answers(), st.floats(0.01, 1))
def test_the_matched_threshold_is_the_lowest_that_is_specific_enough(drawn, target):
    (logits,), labels = drawn
    threshold = stats.match_threshold(logits, labels, target)
    assert stats.specificity(logits > threshold, labels) >= target - 1e-9
    lower = [value for value in logits if value < threshold]
    assert all(stats.specificity(logits > value, labels) < target for value in lower)


def test_sensitivity_at_specificity_is_read_off_the_roc_curve():
    false_positives, true_positives, _ = reference.roc_curve(LABELS, LOGITS, drop_intermediate=False)
    point = stats.sensitivity_at_specificity((LOGITS, LABELS), (LOGITS, LABELS), 0.9)
    assert point.sensitivity == pytest.approx(true_positives[false_positives <= 0.1 + 1e-9].max())
    stacked = np.stack([LOGITS, OTHER])
    several = stats.sensitivity_at_specificity((stacked, LABELS), (stacked, LABELS), 0.9)
    assert several.sensitivity[0] == point.sensitivity
    assert several.threshold.shape == (2,)


@given(answers())
def test_youdens_threshold_is_that_of_the_roc_curve(drawn):
    (logits,), labels = drawn
    false_positives, true_positives, _ = reference.roc_curve(labels, logits, drop_intermediate=False)
    threshold = stats.choose_threshold("youden", logits, labels)
    point = stats.operating_point(threshold, logits, labels)
    assert point.sensitivity + point.specificity - 1 == pytest.approx((true_positives - false_positives).max())


@given(answers(), st.floats(0.01, 1))
def test_the_sensitive_threshold_is_the_highest_that_is_sensitive_enough(drawn, target):
    (logits,), labels = drawn
    false_positives, true_positives, _ = reference.roc_curve(labels, logits, drop_intermediate=False)
    threshold = stats.choose_threshold("sensitivity", logits, labels, target)
    point = stats.operating_point(threshold, logits, labels)
    assert point.sensitivity >= target - 1e-9
    best = false_positives[true_positives >= target - 1e-9].min()
    assert 1 - point.specificity == pytest.approx(best)


@given(answers(), st.sampled_from(["youden", "sensitivity"]))
def test_a_chosen_threshold_lies_between_logits_and_at_0_where_it_can(drawn, rule):
    (logits,), labels = drawn
    threshold = stats.choose_threshold(rule, logits, labels)
    same = (logits > threshold) == (logits > 0)
    assert threshold == 0 or not same.all()
    assert logits.min() - 1e-9 <= threshold <= logits.max() or threshold == 0


def test_a_model_that_tells_nothing_keeps_the_threshold_0():
    labels = np.array([0, 1, 1, 0])
    for value in (-2.0, 0.0, 2.0):
        assert stats.choose_threshold("youden", np.full(4, value), labels) == 0
    assert stats.choose_threshold("sensitivity", np.full(4, 2.0), labels) == 0
    low = stats.choose_threshold("sensitivity", np.full(4, -2.0), labels)
    assert -2.0001 < low < -2  # all are positive: nothing else is sensitive enough


def test_thresholds_are_chosen_for_each_run_and_tested_on_other_images():
    stacked = np.stack([LOGITS, OTHER])
    thresholds = stats.choose_threshold("youden", stacked, LABELS)
    assert thresholds.shape == (2,)
    assert thresholds[1] == stats.choose_threshold("youden", OTHER, LABELS)
    assert (stats.choose_threshold("zero", stacked, LABELS) == 0).all()
    half = np.arange(120) % 2 == 0
    point = stats.operating_point(thresholds, stacked[:, half], LABELS[half])
    decisions = OTHER[half] > thresholds[1]
    assert point.accuracy[1] == pytest.approx(reference.accuracy_score(LABELS[half], decisions))
    assert point.f1[1] == pytest.approx(reference.f1_score(LABELS[half], decisions))


def test_the_shift_undone_is_what_a_class_weight_adds_to_the_best_logit():
    share, weight = 0.7, 0.37
    logits = np.linspace(-6, 6, 100_001)
    loss = weight * share * np.log1p(np.exp(-logits)) + (1 - share) * np.log1p(np.exp(logits))
    best = logits[loss.argmin()]
    assert stats.undo_weight_shift(best, weight) == pytest.approx(np.log(share / (1 - share)), abs=1e-3)


@settings(deadline=None)  # torch is slow the first time
@given(answers())
def test_the_calibration_error_is_that_of_the_metrics_of_a_run(drawn):
    (logits,), labels = drawn
    answers = probabilities(logits)
    expected = binary_calibration_error(torch.tensor(answers), torch.tensor(labels), n_bins=stats.NUM_BINS)
    result = stats.reliability(answers, labels)
    assert result.ece == pytest.approx(float(expected), abs=1e-6)
    assert result.counts.sum() == len(labels)


def test_runs_are_pooled_in_a_reliability_diagram():
    one, other = probabilities(LOGITS), probabilities(OTHER)
    pooled = stats.reliability(np.stack([one, other]), LABELS)
    assert (pooled.counts == stats.reliability(one, LABELS).counts + stats.reliability(other, LABELS).counts).all()
    assert stats.reliability(np.array([0.0, 1.0]), np.array([0, 1])).ece == 0

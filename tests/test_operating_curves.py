"""Averaged ROC and precision-recall curves against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as reference

from cxr_runner import stats

RNG = np.random.default_rng(0)
LABELS = (np.arange(90) >= 30).astype(np.int64)
LOGITS = 1.5 * LABELS + RNG.normal(size=(4, 90))


@st.composite
def answers(draw):
    """Draw labels of both classes and logits with ties."""
    n = draw(st.integers(4, 30))
    labels = draw(npst.arrays(np.int64, n, elements=st.integers(0, 1)))
    labels[:2] = [0, 1]
    return draw(npst.arrays(np.float64, n, elements=st.integers(-3, 3).map(float))), labels


@settings(deadline=None)
@given(answers())
def test_the_roc_curve_of_one_run_is_that_of_scikit_learn(drawn):
    logits, labels = drawn
    rates, heights, _ = reference.roc_curve(labels, logits, drop_intermediate=False)
    curve = stats.roc_points(logits[None], labels, 51)
    for rate, height in zip(curve.grid, curve.mean, strict=True):
        same = heights[np.isclose(rates, rate)]
        expected = same.max() if len(same) else np.interp(rate, rates, heights)
        assert height == pytest.approx(expected)


@settings(deadline=None)
@given(answers())
def test_the_precision_of_one_run_is_that_of_scikit_learn(drawn):
    logits, labels = drawn
    precisions, recalls, thresholds = reference.precision_recall_curve(labels, logits)
    curve = stats.pr_points(logits[None], labels, 51)
    for recall, precision in zip(curve.grid, curve.mean, strict=True):
        first = np.flatnonzero(recalls[: len(thresholds)] >= max(recall, 1e-9) - 1e-9)[-1]  # the highest threshold
        assert precision == pytest.approx(precisions[first])


def test_the_areas_below_are_the_auroc_and_the_average_precision():
    curve = stats.roc_points(LOGITS, LABELS, 20_001)
    expected = np.mean([reference.roc_auc_score(LABELS, run) for run in LOGITS])
    assert np.trapezoid(curve.mean, curve.grid) == pytest.approx(expected, abs=1e-3)
    curve = stats.pr_points(LOGITS, LABELS, 20_001)
    assert curve.mean[1:].mean() == pytest.approx(np.mean([stats.auprc(run, LABELS) for run in LOGITS]), abs=1e-3)


def test_the_band_spans_all_runs_and_ends_where_everything_is_positive():
    curve = stats.roc_points(LOGITS, LABELS)
    singles = np.stack([stats.roc_points(run[None], LABELS).mean for run in LOGITS])
    assert curve.low.tolist() == singles.min(axis=0).tolist()
    assert curve.high.tolist() == singles.max(axis=0).tolist()
    assert curve.mean == pytest.approx(singles.mean(axis=0))
    assert curve.mean[-1] == 1
    assert len(curve.grid) == 101
    assert stats.pr_points(LOGITS, LABELS).mean[-1] == pytest.approx(
        np.mean([(LABELS == 1).sum() / (run >= run[LABELS == 1].min()).sum() for run in LOGITS])
    )


def test_a_run_that_tells_nothing_has_the_diagonal_and_the_share_of_the_positive_class():
    flat = np.zeros((1, 90))
    assert stats.roc_points(flat, LABELS).mean == pytest.approx(np.linspace(0, 1, 101))
    assert stats.pr_points(flat, LABELS).mean == pytest.approx(np.full(101, 2 / 3))

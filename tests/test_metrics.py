"""Metrics against scikit-learn, torchmetrics and the study's own example."""

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification  # noqa: F401 - takes longer than hypothesis allows a test
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as reference

from cxr_runner.artifacts.metrics import COUNTS, METRICS
from cxr_runner.stats import scores
from cxr_runner.stats.thresholds import reliability
from cxr_runner.training.formulas import FORMULAS, compute_metrics, decide, is_collapsed


@st.composite
def _predictions(draw, low, high):
    n = draw(st.integers(2, 60))
    labels = draw(npst.arrays(np.int64, n, elements=st.integers(0, 1)))
    labels[:2] = [0, 1]
    logits = draw(npst.arrays(np.float32, n, elements=st.floats(low, high, width=32)))
    return logits, labels


def _check_against_scikit_learn(logits, labels):
    ours = compute_metrics(torch.from_numpy(logits), torch.from_numpy(labels), batch_size=32)
    decisions = (logits > 0).astype(int)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = {
        "accuracy": reference.accuracy_score(labels, decisions),
        "precision": reference.precision_score(labels, decisions, zero_division=0),
        "recall": reference.recall_score(labels, decisions),
        "specificity": reference.recall_score(1 - labels, 1 - decisions),
        "f1": reference.f1_score(labels, decisions),
        "auroc": reference.roc_auc_score(labels, logits),
        "auprc": reference.average_precision_score(labels, logits),
        "brier": reference.brier_score_loss(labels, probabilities),
    }
    assert {key: ours[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    tn, fp, fn, tp = reference.confusion_matrix(labels, decisions, labels=[0, 1]).ravel()
    assert [ours[key] for key in ("tp", "fp", "fn", "tn", "n")] == [tp, fp, fn, tn, len(labels)]


@given(_predictions(-30, 30))
def test_the_formulas_that_resample_give_what_torchmetrics_gives(predictions):
    logits, labels = predictions
    metrics = compute_metrics(*map(torch.from_numpy, predictions), batch_size=32)
    decisions, probabilities = logits > 0, 1 / (1 + np.exp(-logits.astype(np.float64)))
    vectorised = {
        "accuracy": scores.accuracy(decisions, labels),
        "recall": scores.sensitivity(decisions, labels),
        "specificity": scores.specificity(decisions, labels),
        "f1": scores.f1(decisions, labels),
        "auroc": scores.auroc(logits, labels),
        "auprc": scores.auprc(logits, labels),
        "brier": scores.brier(probabilities, labels),
        "ece": reliability(probabilities, labels).ece,
    }
    expected = {key: float(value) for key, value in vectorised.items()}
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-6)


def test_every_metric_of_the_list_has_a_formula_and_the_other_way_round():
    assert list(FORMULAS) == [metric.key for metric in METRICS]
    metrics = compute_metrics(torch.tensor([-1.0, 1.0]), torch.tensor([0, 1]), 1)
    assert list(metrics) == [*FORMULAS, *COUNTS]


@given(_predictions(-50, 50))
def test_metrics_equal_scikit_learn(predictions):
    _check_against_scikit_learn(*predictions)


@given(_predictions(0, 1))
def test_logits_between_0_and_1_are_not_mistaken_for_probabilities(predictions):
    _check_against_scikit_learn(*predictions)


def test_large_logits_keep_their_order():
    logits = torch.tensor([40.0, 60.0, 50.0, 70.0])  # all of them 1 after a float64 sigmoid
    assert compute_metrics(logits, torch.tensor([0, 1, 0, 1]), 4)["auroc"] == 1.0


def test_a_logit_of_exactly_zero_is_negative():
    assert decide(torch.tensor([-0.1, 0.0, 1e-30])).tolist() == [False, False, True]
    metrics = compute_metrics(torch.zeros(4), torch.tensor([0, 0, 0, 1]), 4)
    assert (metrics["tn"], metrics["fn"], metrics["tp"], metrics["fp"]) == (3, 1, 0, 0)
    assert metrics["precision"] == metrics["f1"] == 0


def test_the_study_reports_the_mean_over_batches():
    # Fig. 19: 400, 142, 29 and 11 give 542/582 = 93.13 %; without an error among the last six images the mean over
    # 19 batches, the last of six images only, is the 93.4 of Fig. 20.
    labels = torch.cat([torch.ones(29), torch.zeros(11), torch.ones(400 - 18), torch.zeros(160)])
    labels = torch.cat([1 - labels[:40], labels[40:]])
    logits = torch.cat([labels[:40] * -2 + 1, torch.ones(382), -torch.ones(160)])
    wrong = torch.cat([torch.ones(40), torch.zeros(542)])
    truth = torch.where(wrong.bool(), 1 - (logits > 0).float(), (logits > 0).float())
    metrics = compute_metrics(logits, truth.long(), batch_size=32)
    assert metrics["accuracy"] == pytest.approx(542 / 582)
    assert metrics["accuracy_batch_mean"] == pytest.approx((18 - 40 / 32 + 1) / 19)
    assert round(100 * metrics["accuracy"], 1) == 93.1
    assert round(100 * metrics["accuracy_batch_mean"], 1) == 93.4


def test_calibration_error_of_a_known_case():
    probability = torch.tensor([0.75] * 4, dtype=torch.float64)
    metrics = compute_metrics(torch.logit(probability), torch.tensor([1, 1, 0, 0]), 4)
    assert metrics["ece"] == pytest.approx(0.25)
    assert metrics["brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 4)


def test_constant_outputs_are_recognised():
    assert is_collapsed(torch.full((5,), 0.3))
    assert is_collapsed(torch.tensor([0.3, 0.3 + 1e-8]))
    assert not is_collapsed(torch.tensor([0.3, 0.31]))
    assert not is_collapsed(torch.tensor([0.0, 0.0, 1e-3]))


def test_a_dead_model_with_a_stray_output_is_still_collapsed():
    logits = torch.zeros(1000)
    logits[:10] = 0.01
    assert is_collapsed(logits)
    logits[10] = 0.01
    assert not is_collapsed(logits)

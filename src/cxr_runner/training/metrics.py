"""Logits and labels in, numbers out.

Decision rule: positive iff logit > 0, which is the study's ``round(sigmoid(logit))`` (0.5 rounds to 0). With
``>= 0`` every image would be positive for a model that ends in ReLU.

The formulas are those of :mod:`cxr_runner.stats`, which the report uses too; tests hold them against scikit-learn and
torchmetrics. The latter takes twice as long to import as torch, which every run would wait for.
"""

import torch
from torch import Tensor

from cxr_runner.stats.scores import auprc, auroc, brier, f1, sensitivity, specificity
from cxr_runner.stats.thresholds import reliability

COLLAPSED_SHARE = 0.99  # of images with the same logit


def decide(logits: Tensor) -> Tensor:
    """Return the decisions, bool, shape as ``logits``."""
    return logits > 0


def compute_metrics(logits: Tensor, labels: Tensor, batch_size: int) -> dict[str, float | int]:
    """Compute the metrics of one split.

    Args:
        logits: float [images], on the CPU.
        labels: int [images], 0 or 1, both present.
        batch_size: for ``accuracy_batch_mean``, the mean over batches of the accuracy of each, which is what the
            study reports; a short last batch weighs as much as a full one.

    Returns:
        ``accuracy`` (pooled), ``accuracy_batch_mean``, ``precision``, ``recall``, ``specificity``, ``f1`` (0 where
        nothing is predicted or present), ``auroc``, ``auprc``, ``brier``, ``ece`` (15 equal bins), the confusion
        counts ``tp``, ``fp``, ``fn``, ``tn``, and ``n``.
    """
    positive, labels = decide(logits), labels.long()
    correct = (positive == labels.bool()).double()
    probabilities = logits.double().sigmoid().numpy()
    values, truth, decided = logits.numpy(), labels.numpy(), positive.numpy()
    tn, fp, fn, tp = (int(count) for count in torch.bincount(2 * labels + positive, minlength=4))
    return {
        "accuracy": correct.mean().item(),
        "accuracy_batch_mean": torch.stack([batch.mean() for batch in torch.split(correct, batch_size)]).mean().item(),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": float(sensitivity(decided, truth)),
        "specificity": float(specificity(decided, truth)),
        "f1": float(f1(decided, truth)),
        "auroc": float(auroc(values, truth)),
        "auprc": auprc(values, truth),
        "brier": float(brier(probabilities, truth)),
        "ece": reliability(probabilities, truth).ece,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        "n": labels.numel(),
    }


def is_collapsed(logits: Tensor) -> bool:
    """Whether a model answers (at least 99 % of) all images with one and the same logit, up to rounding.

    The allowance is for networks whose last unit is dead but for a stray image or two.
    """
    same = (logits - logits.median()).abs() <= 1e-6 * (1 + logits.abs().max())
    return bool(same.double().mean() >= COLLAPSED_SHARE)

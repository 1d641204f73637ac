"""Logits and labels in, numbers out.

Decision rule: positive iff logit > 0, which is the study's ``round(sigmoid(logit))`` (0.5 rounds to 0). With
``>= 0`` every image would be positive for a model that ends in ReLU.
"""

import torch
from torch import Tensor

NUM_CALIBRATION_BINS = 15
COLLAPSED_SHARE = 0.99  # of images with the same logit


def decide(logits: Tensor) -> Tensor:
    """Return the decisions, bool, shape as ``logits``."""
    return logits > 0


def compute_metrics(logits: Tensor, labels: Tensor, batch_size: int) -> dict[str, float | int]:
    """Compute the metrics of one split.

    Args:
        logits: float [images].
        labels: int [images], 0 or 1, both present.
        batch_size: for ``accuracy_batch_mean``, the mean over batches of the accuracy of each, which is what the
            study reports; a short last batch weighs as much as a full one.

    Returns:
        ``accuracy`` (pooled), ``accuracy_batch_mean``, ``precision``, ``recall``, ``specificity``, ``f1`` (0 where
        nothing is predicted or present), ``auroc``, ``auprc``, ``brier``, ``ece`` (15 equal bins), the confusion
        counts ``tp``, ``fp``, ``fn``, ``tn``, and ``n``.
    """
    # Here, because it takes seconds to import, and a mistake about the data should be answered at once.
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        binary_calibration_error,
        binary_f1_score,
        binary_precision,
        binary_recall,
        binary_specificity,
    )

    labels = labels.long()
    decisions = decide(logits)
    correct = (decisions == labels.bool()).double()
    # torchmetrics applies a sigmoid only to inputs outside [0, 1]: it must never see logits.
    probabilities = logits.double().sigmoid()
    ranks = _ranks(logits)
    hard = decisions.long()
    return {
        "accuracy": correct.mean().item(),
        "accuracy_batch_mean": torch.stack([batch.mean() for batch in torch.split(correct, batch_size)]).mean().item(),
        "precision": binary_precision(hard, labels).item(),
        "recall": binary_recall(hard, labels).item(),
        "specificity": binary_specificity(hard, labels).item(),
        "f1": binary_f1_score(hard, labels).item(),
        "auroc": binary_auroc(ranks, labels).item(),
        "auprc": binary_average_precision(ranks, labels).item(),
        "brier": (probabilities - labels).square().mean().item(),
        "ece": binary_calibration_error(probabilities, labels, n_bins=NUM_CALIBRATION_BINS, norm="l1").item(),
        "tp": int((decisions & (labels == 1)).sum()),
        "fp": int((decisions & (labels == 0)).sum()),
        "fn": int((~decisions & (labels == 1)).sum()),
        "tn": int((~decisions & (labels == 0)).sum()),
        "n": labels.numel(),
    }


def is_collapsed(logits: Tensor) -> bool:
    """Whether a model answers (at least 99 % of) all images with one and the same logit, up to rounding.

    The allowance is for networks whose last unit is dead but for a stray image or two.
    """
    same = (logits - logits.median()).abs() <= 1e-6 * (1 + logits.abs().max())
    return bool(same.double().mean() >= COLLAPSED_SHARE)


def _ranks(logits: Tensor) -> Tensor:
    """Map logits to (0, 1], keeping their order and ties; a sigmoid would make ties of large logits."""
    ranks: Tensor = torch.unique(logits, return_inverse=True)[1]
    return (ranks.double() + 1) / logits.numel()

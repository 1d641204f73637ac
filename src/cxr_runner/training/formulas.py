"""Logits and labels in, numbers out: the metrics of a finished run, by torchmetrics.

Decision rule: positive iff logit > 0, which is the study's ``round(sigmoid(logit))`` (0.5 rounds to 0). With
``>= 0`` every image would be positive for a model that ends in ReLU.

torchmetrics is given decisions, probabilities or ranks, never logits: it takes a batch of logits that all lie between 0
and 1, as those of a ReLU may, for probabilities. Where the order counts it is given the ranks of the logits, scaled to
[0, 1]: sigmoids of large logits are equal, in float64 too, where the logits are not.

Each key has its entry in :mod:`cxr_runner.artifacts.metrics`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Thread

import torch
from torch import Tensor

from cxr_runner.artifacts.metrics import COUNTS, METRICS
from cxr_runner.stats.thresholds import NUM_BINS

COLLAPSED_SHARE = 0.99  # of images with the same logit


@dataclass(frozen=True)
class Answers:
    """What a model answers to the images of a split, as torchmetrics wants it.

    Attributes:
        logits: float [images], on the CPU.
        labels: int64 [images], 0 or 1, both present.
        batch_size: batch size of the evaluation.
    """

    logits: Tensor
    labels: Tensor
    batch_size: int

    @cached_property
    def decisions(self) -> Tensor:
        """int64 [images], 1 for positive."""
        return decide(self.logits).long()

    @cached_property
    def probabilities(self) -> Tensor:
        """float64 [images]."""
        return self.logits.double().sigmoid()

    @cached_property
    def ranks(self) -> Tensor:
        """float64 [images] in (0, 1], in the order of the logits, equal where these are."""
        ranks: Tensor = torch.unique(self.logits, return_inverse=True)[1]
        return (ranks.double() + 1) / len(self.logits)

    @cached_property
    def counts(self) -> dict[str, int]:
        """The confusion matrix and the number of images, by the names of :data:`COUNTS`."""
        from torchmetrics.functional.classification import binary_stat_scores

        tp, fp, tn, fn, _ = map(int, binary_stat_scores(self.decisions, self.labels))
        return {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "n": len(self.labels)}


def _accuracy(answers: Answers) -> float:
    return (answers.counts["tp"] + answers.counts["tn"]) / answers.counts["n"]


def _accuracy_batch_mean(answers: Answers) -> float:
    """The mean over batches of the accuracy of each, the study's; a short last batch weighs as much as a full one."""
    correct = (answers.decisions == answers.labels).double()
    return torch.stack([batch.mean() for batch in torch.split(correct, answers.batch_size)]).mean().item()


def _by_torchmetrics(name: str, given: str, **settings: object) -> Callable[[Answers], float]:
    """Return a formula of torchmetrics.

    Args:
        name: name of a function of ``torchmetrics.functional.classification``; it gives 0 where nothing is predicted.
        given: the attribute of :class:`Answers` that it gets, with the labels.
        settings: further arguments.
    """

    def compute(answers: Answers) -> float:
        from torchmetrics.functional import classification

        return float(getattr(classification, name)(getattr(answers, given), answers.labels, **settings))

    return compute


FORMULAS: dict[str, Callable[[Answers], float]] = {
    "accuracy": _accuracy,
    "accuracy_batch_mean": _accuracy_batch_mean,
    "precision": _by_torchmetrics("binary_precision", "decisions"),
    "recall": _by_torchmetrics("binary_recall", "decisions"),
    "specificity": _by_torchmetrics("binary_specificity", "decisions"),
    "f1": _by_torchmetrics("binary_f1_score", "decisions"),
    "auroc": _by_torchmetrics("binary_auroc", "ranks"),
    "auprc": _by_torchmetrics("binary_average_precision", "ranks"),
    "brier": lambda answers: (answers.probabilities - answers.labels).square().mean().item(),
    "ece": _by_torchmetrics("binary_calibration_error", "probabilities", n_bins=NUM_BINS, norm="l1"),
}


def compute_metrics(logits: Tensor, labels: Tensor, batch_size: int) -> dict[str, float | int]:
    """Compute the metrics of one split.

    Args:
        logits: float [images], on the CPU.
        labels: int [images], 0 or 1, both present.
        batch_size: batch size of the evaluation, for ``accuracy_batch_mean``.

    Returns:
        Every metric of :data:`METRICS` and every count of :data:`COUNTS`, by key.
    """
    answers = Answers(logits, labels.long(), batch_size)
    metrics = {metric.key: FORMULAS[metric.key](answers) for metric in METRICS}
    return metrics | {key: answers.counts[key] for key in COUNTS}


def compute_metric(key: str, logits: Tensor, labels: Tensor, batch_size: int) -> float:
    """Compute one metric of :data:`METRICS`; arguments as of :func:`compute_metrics`."""
    return FORMULAS[key](Answers(logits, labels.long(), batch_size))


def import_torchmetrics_in_background() -> None:
    """Import torchmetrics, which takes as long again as torch, while the training runs that it comes after."""

    def load() -> None:
        import torchmetrics.functional.classification  # noqa: F401

    Thread(target=load, name="import torchmetrics", daemon=True).start()


def decide(logits: Tensor) -> Tensor:
    """Return the decisions, bool, shape as ``logits``."""
    return logits > 0


def is_collapsed(logits: Tensor) -> bool:
    """Whether a model answers (at least 99 % of) all images with one and the same logit, up to rounding.

    The allowance is for networks whose last unit is dead but for a stray image or two.
    """
    same = (logits - logits.median()).abs() <= 1e-6 * (1 + logits.abs().max())
    return bool(same.double().mean() >= COLLAPSED_SHARE)

"""The one training loop: order of batches, epochs, evaluation, schedules, early stopping, checkpoints.

The loop owns what a reader expects of training; a backend owns the arithmetic and knows neither files nor metrics.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.config import EarlyStoppingConfig, ScheduleConfig
from cxr_runner.errors import RunFailedError
from cxr_runner.metrics import compute_metrics, decide


class Backend(Protocol):
    """What the loop asks of the arithmetic."""

    name: str

    def step(self, rows: Tensor, targets: Tensor, lr: float, seed: int) -> tuple[Tensor, Tensor]:
        """Train on one batch; return its mean loss and its logits before the update, both on the device."""

    def logits(self, rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits of images, float [rows], on the CPU."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights on the CPU under the plain names of the module; may take a pass over the images."""

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of what is trained, on the CPU."""

    def restore(self, snapshot: dict[str, Tensor]) -> None:
        """Go back to a snapshot."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on bit for bit."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


@dataclass(frozen=True)
class Subset:
    """The images of one split.

    Attributes:
        rows: int64 [images], rows of the store.
        labels: float32 [images], 0 or 1.
    """

    rows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrainSettings:
    """What the loop has to know of a run.

    Attributes:
        epochs: the most epochs that are trained.
        batch_size: images a step; the last batch of an epoch may be smaller.
        seed: of the order of batches.
        lr: the learning rate that the schedule starts from.
        schedule: how the learning rate changes.
        early_stopping: when to stop, and whose weights to end with.
        pos_weight: weight of the positive class in the losses; None for 1.
    """

    epochs: int
    batch_size: int
    seed: int
    lr: float
    schedule: ScheduleConfig
    early_stopping: EarlyStoppingConfig
    pos_weight: float | None


@dataclass(frozen=True)
class Epoch:
    """One row of a run's history. Training figures are means over the epoch's images, each before its update."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float


@dataclass
class Best:
    """The best epoch so far by the early-stopping metric."""

    epoch: int = 0
    score: float = -math.inf
    snapshot: dict[str, Tensor] | None = None


@dataclass
class Trainer:
    """One run's training; :meth:`run_epoch` until it is :attr:`finished`, then :meth:`finish`."""

    backend: Backend
    train: Subset
    val: Subset
    settings: TrainSettings
    history: list[Epoch] = field(default_factory=list)
    best: Best = field(default_factory=Best)

    @property
    def num_batches(self) -> int:
        """Number of steps an epoch."""
        return math.ceil(len(self.train.rows) / self.settings.batch_size)

    @property
    def stopped_early(self) -> bool:
        """Whether training ended before its last epoch, for want of improvement."""
        patience = self.settings.early_stopping.patience
        waited = patience is not None and len(self.history) - self.best.epoch >= patience
        return waited and len(self.history) < self.settings.epochs

    @property
    def finished(self) -> bool:
        """Whether there is no epoch left to train."""
        return len(self.history) >= self.settings.epochs or self.stopped_early

    def run_epoch(self, on_batch: Callable[[], None] = lambda: None) -> Epoch:
        """Train one epoch and evaluate on the validation split.

        Args:
            on_batch: called after every step.

        Raises:
            RunFailedError: a loss is not finite.
        """
        start = time.perf_counter()
        number = len(self.history) + 1
        train_loss, train_accuracy, lr = self._train_epoch(number, on_batch)
        logits = self.backend.logits(self.val.rows, self.settings.batch_size)
        val_loss = bce_loss(logits, self.val.labels, self.settings.pos_weight)
        self._check_finite(number, lr, train_loss, val_loss)
        epoch = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=accuracy(logits, self.val.labels),
            lr=lr,
            seconds=time.perf_counter() - start,
        )
        self.history.append(epoch)
        self._update_best(epoch, logits)
        return epoch

    def finish(self) -> None:
        """Put the best epoch's weights back where the user asked for them."""
        if self.best.snapshot is not None:
            self.backend.restore(self.best.snapshot)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on bit for bit: plain values and tensors."""
        history = [asdict(epoch) for epoch in self.history]
        best = {"epoch": self.best.epoch, "score": self.best.score, "snapshot": self.best.snapshot}
        return {"history": history, "best": best, "backend": self.backend.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best = Best(**state["best"])
        self.backend.load_state_dict(state["backend"])

    def _train_epoch(self, number: int, on_batch: Callable[[], None]) -> tuple[float, float, float]:
        """Return the mean loss and accuracy over the epoch's images and the last step's learning rate."""
        settings, num_images = self.settings, len(self.train.rows)
        order = batch_order(settings.seed, number, num_images)
        losses, corrects, sizes = [], [], []
        lr = settings.lr
        for index, chosen in enumerate(torch.split(order, settings.batch_size)):
            step = (number - 1) * self.num_batches + index
            lr = learning_rate(settings, step, self.num_batches)
            targets = self.train.labels[chosen]
            # The 1 tells this seed from that of the order: trailing zeros do not count in a seed sequence.
            seed = derive_seed(settings.seed, number, index, 1)
            loss, logits = self.backend.step(self.train.rows[chosen], targets, lr, seed)
            losses.append(loss)
            corrects.append((decide(logits) == targets.to(logits.device).bool()).sum())
            sizes.append(len(chosen))
            on_batch()
        weights = torch.tensor(sizes, dtype=torch.float64) / num_images
        mean_loss = torch.stack(losses).cpu().double() @ weights
        return mean_loss.item(), torch.stack(corrects).sum().item() / num_images, lr

    def _check_finite(self, number: int, lr: float, train_loss: float, val_loss: float) -> None:
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise RunFailedError(
                f"the loss is not finite in epoch {number} (train {train_loss}, val {val_loss}); "
                f"try a smaller optimizer.lr (now {lr:g}) or optimizer.grad_clip=1"
            )

    def _update_best(self, epoch: Epoch, logits: Tensor) -> None:
        config = self.settings.early_stopping
        score = self._score(epoch, logits)
        if score > self.best.score + config.min_delta:
            snapshot = self.backend.snapshot() if config.restore_best else None
            self.best = Best(epoch.epoch, score, snapshot)

    def _score(self, epoch: Epoch, logits: Tensor) -> float:
        """Return the early-stopping metric, larger is better."""
        match self.settings.early_stopping.metric:
            case "val_loss":
                return -epoch.val_loss
            case "val_accuracy":
                return epoch.val_accuracy
            case "val_f1":
                return compute_metrics(logits, self.val.labels, self.settings.batch_size)["f1"]
            case "val_auroc":
                return compute_metrics(logits, self.val.labels, self.settings.batch_size)["auroc"]


def derive_seed(*parts: int) -> int:
    """Return a 63-bit seed that depends on all parts; runs resume without any saved random state."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def batch_order(seed: int, epoch: int, num_images: int) -> Tensor:
    """Return the order in which an epoch (counted from 1) visits the images: int64 [images], a permutation."""
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch))
    return torch.randperm(num_images, generator=generator)


def learning_rate(settings: TrainSettings, step: int, num_batches: int) -> float:
    """Return the learning rate of a step.

    Args:
        settings: the learning rate to start from, the schedule and the number of epochs.
        step: counted from 0 over the whole run.
        num_batches: steps an epoch.
    """
    schedule, warmup = settings.schedule, settings.schedule.warmup_epochs * num_batches
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    match schedule.name:
        case "constant":
            return settings.lr
        case "cosine":
            progress = (step - warmup) / (settings.epochs * num_batches - warmup)
            return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            return settings.lr * schedule.gamma ** ((step - warmup) // num_batches // schedule.step_epochs)


def bce_loss(logits: Tensor, labels: Tensor, pos_weight: float | None) -> float:
    """Return the mean weighted binary cross entropy of all images (``BCEWithLogitsLoss``), in float64."""
    weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
    return binary_cross_entropy_with_logits(logits.double(), labels.double(), pos_weight=weight).item()


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of right decisions over all images."""
    return (decide(logits) == labels.bool()).double().mean().item()

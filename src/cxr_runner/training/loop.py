"""The one training loop: order of batches, epochs, evaluation, schedules, early stopping, state.

The loop owns what a reader expects of training; a backend owns the arithmetic and knows neither files nor metrics.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.base.errors import DivergedError, RunFailedError
from cxr_runner.config.schema import EarlyStoppingConfig, ScheduleConfig
from cxr_runner.stats.scores import auroc, f1
from cxr_runner.training.backend import Backend, EpochPlan, derive_seed
from cxr_runner.training.formulas import decide

OnBatch = Callable[[int], None]


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
        seed: seed of the order of batches.
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
    """One member's training: :func:`train_epoch` until it is :attr:`finished`, then :meth:`finish`.

    Attributes:
        backend: backend of the stack that the member belongs to.
        train: the training images, those of all members of the stack.
        val: the validation images.
        settings: settings of this member.
        member: its number in the stack.
        history: one row an epoch.
        best: the best epoch so far.
        failure: why training cannot go on; None while it can.
        val_logits: of the validation images at the end of the last epoch, float [images].
    """

    backend: Backend
    train: Subset
    val: Subset
    settings: TrainSettings
    member: int = 0
    history: list[Epoch] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    failure: RunFailedError | None = None
    val_logits: Tensor = field(default_factory=lambda: torch.empty(0))

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
        return len(self.history) >= self.settings.epochs or self.stopped_early or self.failure is not None

    def finish(self) -> None:
        """Put the best epoch's weights back where the user asked for them."""
        if self.best.snapshot is not None:
            self.backend.restore(self.member, self.best.snapshot)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on bit for bit: plain values and tensors."""
        history = [vars(epoch) for epoch in self.history]  # asdict() would copy every number of every epoch
        best = {"epoch": self.best.epoch, "score": self.best.score, "snapshot": self.best.snapshot}
        return {"history": history, "best": best, "backend": self.backend.state_dict(self.member)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best = Best(**state["best"])
        self.backend.load_state_dict(self.member, state["backend"])

    def end_epoch(self, train_loss: float, train_accuracy: float, logits: Tensor, seconds: float) -> None:
        """Write an epoch down; a loss that is not finite is a failure.

        Args:
            train_loss: mean over the epoch's images, each before its update.
            train_accuracy: likewise.
            logits: of the validation images at its end, float [images].
            seconds: time that it took.
        """
        number = len(self.history) + 1
        lr = learning_rate(self.settings, number * self.num_batches - 1, self.num_batches)
        val_loss = bce_loss(logits, self.val.labels, self.settings.pos_weight)
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            self.failure = DivergedError(
                f"the loss is not finite in epoch {number} (train {train_loss:g}, val {val_loss:g}); "
                f"try a smaller optimizer.lr (now {lr:g}) or optimizer.grad_clip=1"
            )
            return
        epoch = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=share_correct(logits, self.val.labels),
            lr=lr,
            seconds=seconds,
        )
        self.history.append(epoch)
        self.val_logits = logits
        self._update_best(epoch, logits)

    def _update_best(self, epoch: Epoch, logits: Tensor) -> None:
        config = self.settings.early_stopping
        score = self._score(epoch, logits)
        if score > self.best.score + config.min_delta:
            snapshot = self.backend.snapshot(self.member) if config.restore_best else None
            self.best = Best(epoch.epoch, score, snapshot)

    def _score(self, epoch: Epoch, logits: Tensor) -> float:
        """Return the early-stopping metric, larger is better."""
        match self.settings.early_stopping.metric:
            case "val_loss":
                return -epoch.val_loss
            case "val_accuracy":
                return epoch.val_accuracy
            case "val_f1":
                return float(f1(decide(logits).numpy(), self.val.labels.numpy()))
            case "val_auroc":
                return float(auroc(logits.numpy(), self.val.labels.numpy()))


def train_epoch(trainers: Sequence[Trainer], on_batch: OnBatch = lambda num_members: None) -> None:
    """Train the next epoch of members of one stack, each in its order, and evaluate them.

    Args:
        trainers: unfinished members; they need not be at the same epoch.
        on_batch: called after every step with the number of members.
    """
    start = time.perf_counter()
    first, members = trainers[0], [trainer.member for trainer in trainers]
    with first.backend.epoch(members, _plan_epoch(trainers)) as plan:
        losses, accuracies = _take_steps(trainers, plan, on_batch)
        val_logits = first.backend.logits(members, first.val.rows, first.settings.batch_size)
        seconds = (time.perf_counter() - start) / len(trainers)  # a share for each
        for trainer, loss, accuracy, logits in zip(trainers, losses, accuracies, val_logits, strict=True):
            trainer.end_epoch(loss, accuracy, logits, seconds)


def _plan_epoch(trainers: Sequence[Trainer]) -> EpochPlan:
    """Return what each member's next epoch is: its order of the images, and its learning rates."""
    train, num_batches = trainers[0].train, trainers[0].num_batches
    done = [len(trainer.history) for trainer in trainers]
    order = torch.stack(
        [
            batch_order(trainer.settings.seed, number + 1, len(train.rows))
            for trainer, number in zip(trainers, done, strict=True)
        ]
    )
    lrs = [
        [
            learning_rate(trainer.settings, number * num_batches + step, num_batches)
            for trainer, number in zip(trainers, done, strict=True)
        ]
        for step in range(num_batches)
    ]
    return EpochPlan(train.rows[order], train.labels[order], trainers[0].settings.batch_size, lrs)


def _take_steps(trainers: Sequence[Trainer], plan: EpochPlan, on_batch: OnBatch) -> tuple[list[float], list[float]]:
    """Take the steps of an epoch.

    Args:
        trainers: m members.
        plan: of their epochs.
        on_batch: called after every step.

    Returns:
        The mean losses and the accuracies, over the epoch's images, each before its update.
    """
    backend, members, num_images = trainers[0].backend, [trainer.member for trainer in trainers], plan.rows.shape[1]
    # Kept in two tensors: many small ones, allocated between a step's activations and outliving them, would break up
    # the memory that these leave, so that the next step's had to take more.
    losses = logits = torch.empty(0)
    for step, lrs in enumerate(plan.lrs):
        batch = slice(step * plan.batch_size, (step + 1) * plan.batch_size)
        # The 1 tells these keys from those of the orders: trailing zeros do not count in a seed sequence.
        keys = [(trainer.settings.seed, len(trainer.history) + 1, step, 1) for trainer in trainers]
        step_losses, step_logits = backend.step(members, plan.rows[:, batch], plan.targets[:, batch], lrs, keys)
        if step == 0:
            losses = step_losses.new_empty(len(plan.lrs), len(members))
            logits = step_logits.new_empty(plan.rows.shape)
        losses[step] = step_losses
        logits[:, batch] = step_logits
        on_batch(len(members))
    sizes = torch.full((len(plan.lrs),), plan.batch_size, dtype=torch.float64)
    sizes[-1] = num_images - plan.batch_size * (len(plan.lrs) - 1)
    mean_losses = sizes / num_images @ losses.cpu().double()
    correct = decide(logits).cpu() == plan.targets.cpu().bool()
    return mean_losses.tolist(), correct.double().mean(dim=1).tolist()


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


def share_correct(logits: Tensor, labels: Tensor) -> float:
    """Return the share of right decisions over all images."""
    return (decide(logits) == labels.bool()).double().mean().item()

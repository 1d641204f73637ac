"""Logistic regression for the training loop: every step is the optimum of one penalty, the largest first.

An epoch of the loop is one step, its batch all training images, and the penalty has the learning rate's part. What is
left is what SGD in Gram space leaves, so that everything behind it knows one kind of run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cxr_runner.base.errors import DivergedError
from cxr_runner.config.schema import EarlyStoppingConfig, LogisticConfig, ScheduleConfig, SGDConfig
from cxr_runner.models.logistic import Logistic
from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.gram.newton import Point, Problem, minimise
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend
from cxr_runner.training.loop import TrainSettings

NUM_PENALTIES = 13  # of a path: two a decade, from 0.1 to 1e-7 times the variance of the training images
_LARGEST, _RATIO = 0.1, 10**-0.5
_NO_SGD = SGDConfig("sgd", lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0, grad_clip=None)


class ConvexBackend(GramBackend):
    """Solves logistic regression for several members, each with its own weight of the positive class."""

    def __init__(self, space: GramSpace, models: Sequence[Logistic], pos_weights: Sequence[float | None]) -> None:
        """Centre the inner products of the training images.

        Args:
            space: the images.
            models: the members.
            pos_weights: weight of the positive class in the loss of each member; None for 1.
        """
        super().__init__(space, models, [_NO_SGD] * len(models), pos_weights)
        train = space.gram[: space.num_train, : space.num_train]
        means = train.mean(dim=0)
        self.centred = train - means
        self.centred -= means[:, None]
        self.centred += means.mean()

    @property
    def variance(self) -> float:
        """Mean squared distance of the training images from their mean."""
        return float(self.centred.diagonal().mean())

    @contextmanager
    def epoch(self, members: Sequence[int], plan: EpochPlan) -> Iterator[EpochPlan]:
        """Compute without gradients, on all threads."""
        with torch.inference_mode():
            yield plan

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Take members to the optimum of a penalty each; see :class:`~cxr_runner.training.backend.Backend`.

        Args:
            members: members of the stack.
            rows: all training images, in any order.
            targets: their labels.
            lrs: the penalties.
            keys: not needed, nothing is random.

        Returns:
            The mean losses, without the penalty, and the logits, both at the optimum; nan for a member whose penalty
            cannot be solved.
        """
        solved: dict[tuple[float, float], tuple[Problem, Point]] = {}  # members that differ in their seed are alike
        positions = self.space.positions(rows)
        losses, logits = [], []
        for member, places, labels, l2 in zip(members, positions, targets, lrs, strict=True):
            weight = float(self.pos_weights[member])
            if (weight, l2) not in solved:
                solved[weight, l2] = self._solve(member, places, labels, weight, l2)
            problem, point = solved[weight, l2]
            self._take(member, point)
            losses.append(problem.losses(point.logits).mean())
            logits.append(point.logits[places.to(self.space.device)])
        return torch.stack(losses), torch.stack(logits)

    def _solve(self, member: int, places: Tensor, labels: Tensor, weight: float, l2: float) -> tuple[Problem, Point]:
        ordered = torch.empty(len(places), dtype=torch.float64)
        ordered[places] = labels.double().cpu()
        truth = ordered.to(self.space.device)
        problem = Problem(self.centred, truth, torch.where(truth == 1, weight, 1.0), l2)
        alpha = self._coordinates(member).clone()
        intercept = self.rest[member, 0] + self._moved(alpha)
        try:
            return problem, minimise(problem, alpha, intercept)
        except DivergedError:  # for the training loop to see, since the other members go on
            nowhere = torch.full_like(alpha, torch.nan)
            return problem, Point(nowhere, nowhere[0], nowhere)

    def _take(self, member: int, point: Point) -> None:
        self._coordinates(member).copy_(point.alpha)
        self.rest[member, 0] = point.intercept - self._moved(point.alpha)

    def _coordinates(self, member: int) -> Tensor:
        return self._unpadded(self.first.coordinates)[member, :, 0]

    def _moved(self, alpha: Tensor) -> Tensor:
        """Return the logit of the mean training image but for the intercept: what centring takes away."""
        train = self.space.gram[: self.space.num_train, : self.space.num_train]
        return (train @ alpha).mean()


def convex_settings(config: LogisticConfig, variance: float, num_train: int, pos_weight: float | None) -> TrainSettings:
    """Return a path of penalties as the training loop wants it.

    Args:
        config: configuration of the model.
        variance: mean squared distance of the training images from their mean; a path is relative to it, so that it
            means the same at every size of the images.
        num_train: number of training images.
        pos_weight: weight of the positive class in the loss; None for 1.
    """
    is_path = config.l2 == "path"
    return TrainSettings(
        epochs=NUM_PENALTIES if is_path else 1,
        batch_size=num_train,
        seed=0,  # of an order that changes nothing
        lr=_LARGEST * variance if config.l2 == "path" else config.l2,
        schedule=ScheduleConfig("step" if is_path else "constant", warmup_epochs=0, step_epochs=1, gamma=_RATIO),
        early_stopping=EarlyStoppingConfig(config.path_metric, patience=None, min_delta=0.0, restore_best=True),
        pos_weight=pos_weight,
        remedy="a larger model.l2",
    )

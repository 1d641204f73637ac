"""Gram space on a GPU: the steps of an epoch are recorded once as a CUDA graph, and each epoch is one launch.

A step is some thirty small kernels, and starting them one by one takes longer than what they compute. Members are
computed in groups of a fixed size, the last one filled up, so that every kernel has the same shape and a member the
same bits whatever its company.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.devices import recorded
from cxr_runner.training.gram.fetching import Request
from cxr_runner.training.gram.head import cross_entropy
from cxr_runner.training.gram.steps import GramBackend

_GROUP = 32  # members


@dataclass
class _Epoch:
    """What recorded steps read and write, always in the same place; float64 where nothing is said.

    Attributes:
        positions: int64 [slots, images], where the images stand in the Gram matrix, in the order of each member.
        targets: [slots, images], 0 or 1.
        lrs: [steps, slots]; 0 for members that are not trained.
        losses: [steps, slots].
        logits: [slots, images], before the updates.
        batch_size: images a step.
        trained: int64 [members], the slots of those that the epoch trains, in their order.
        launches: by the number of a group, what trains it.
        step: the next one to be handed out.
    """

    positions: Tensor
    targets: Tensor
    lrs: Tensor
    losses: Tensor
    logits: Tensor
    batch_size: int
    trained: Tensor
    launches: dict[int, Callable[[], None]] = field(default_factory=dict)
    step: int = 0

    @classmethod
    def like(cls, plan: EpochPlan, num_slots: int, device: torch.device) -> "_Epoch":
        """Make room for epochs of one shape."""
        num_steps, num_images = len(plan.lrs), plan.rows.shape[1]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(
            positions=torch.arange(num_images, device=device).repeat(num_slots, 1),
            targets=zeros(num_slots, num_images),
            lrs=zeros(num_steps, num_slots),
            losses=zeros(num_steps, num_slots),
            logits=zeros(num_slots, num_images),
            batch_size=plan.batch_size,
            trained=torch.arange(num_slots, device=device),
        )

    def batch(self, step: int) -> slice:
        """Return which images are in the batch of a step."""
        return slice(step * self.batch_size, (step + 1) * self.batch_size)


class GraphBackend(GramBackend):
    """:class:`GramBackend` with whole epochs as CUDA graphs."""

    members_at_once = _GROUP
    _epoch: _Epoch | None = None

    @contextmanager
    def epoch(self, members: Sequence[int], plan: EpochPlan) -> Iterator[EpochPlan]:
        """Train the epoch; steps hand out what it gave. See :class:`~cxr_runner.training.backend.Backend`."""
        with torch.inference_mode():
            if self._epoch is None:
                self._epoch = _Epoch.like(plan, len(self.rest), self.space.device)
            epoch = self._epoch
            assert (len(epoch.lrs), epoch.batch_size) == (len(plan.lrs), plan.batch_size), "a stack has one batch size"
            index = epoch.trained = torch.tensor(members, device=self.space.device)
            epoch.positions[index] = self.space.positions(plan.rows).to(self.space.device)
            epoch.targets[index] = plan.targets.to(self.space.device, torch.float64)
            epoch.lrs.zero_()[:, index] = torch.tensor(plan.lrs, dtype=torch.float64, device=self.space.device)
            with self._others_keep_their_velocities(members):
                for number, group in _groups(members):
                    self._launch(epoch, number, group)
            epoch.step = 0
            yield plan

    def look_ahead(self, members: Sequence[int], batch_size: int) -> list[Request]:
        """Ask for nothing: all steps have been taken when the epoch began."""
        return []

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Return what the next step of the epoch gave; see :class:`~cxr_runner.training.backend.Backend`."""
        epoch = self._epoch
        assert epoch is not None
        step, epoch.step = epoch.step, epoch.step + 1
        logits = epoch.logits[:, epoch.batch(step)]
        return epoch.losses[step].index_select(0, epoch.trained), logits.index_select(0, epoch.trained)

    @contextmanager
    def _others_keep_their_velocities(self, members: Sequence[int]) -> Iterator[None]:
        """Put velocities of members that are not trained back: a learning rate of 0 holds only their values."""
        others = sorted(set(range(len(self.rest))).difference(members))
        index = torch.tensor(others, dtype=torch.int64, device=self.space.device)
        velocities = [] if self.rates.plain else [*self.first.velocities.values(), self.rest_velocity]
        before = [velocity[index] for velocity in velocities]
        yield
        for velocity, kept in zip(velocities, before, strict=True):
            velocity[index] = kept

    def _launch(self, epoch: _Epoch, number: int, group: slice) -> None:
        """Train a group for an epoch."""
        if number not in epoch.launches:

            def take_steps() -> None:
                for step in range(len(epoch.lrs)):
                    self._take_step(epoch, group, step)

            epoch.launches[number] = recorded(take_steps, self.space.device)
        epoch.launches[number]()

    def _take_step(self, epoch: _Epoch, group: slice, step: int) -> None:
        """Train a group on a batch: gradients of the whole batch, then one step of SGD."""
        first, head, batch = self.first, self.head, epoch.batch(step)
        positions, rest = epoch.positions[group, batch], head.unflatten(self.rest[group])
        num_members, num_images = positions.shape
        gram = self.space.gram.index_select(0, positions.flatten()).view(num_members, num_images, -1)
        places = positions[:, :, None].expand(-1, -1, first.num_outputs)
        starts = first.starts[group].gather(1, places)
        outputs = torch.bmm(gram, first.coordinates[group])[:, :, : first.num_outputs]
        outputs = outputs + first.decay[group, None, None] * starts
        logits, inputs = head.forward(outputs, rest)
        losses, slopes = cross_entropy(logits, epoch.targets[group, batch], self.pos_weights[group])
        back, gradients = head.backward(slopes, inputs, rest)
        epoch.losses[step, group], epoch.logits[group, batch] = losses, logits
        self._move(group, places, back, gradients, epoch.lrs[step, group])

    def _move(self, group: slice, places: Tensor, back: Tensor, gradients: Tensor, lrs: Tensor) -> None:
        """Take a step of SGD.

        Args:
            group: its members.
            places: int64 [g, batch, outputs], where in the coordinates the batch's images stand; none twice.
            back: gradients of the first layer's outputs, float64 [g, batch, outputs].
            gradients: of all other parameters, float64 [g, numbers].
            lrs: float64 [g].
        """
        first, rates = self.first, self.rates.of(group)
        coordinates = first.coordinates[group]
        if self.rates.plain:
            coordinates[:, :, : first.num_outputs].scatter_add_(1, places, -lrs[:, None, None] * back)
            self.rest[group] -= lrs[:, None] * gradients
            return
        slopes = torch.zeros_like(coordinates).scatter_(1, places, back)
        velocity = first.velocities["coordinates"][group]
        rates.advance(coordinates.flatten(1), velocity.flatten(1), slopes.flatten(1), lrs)
        decay, decay_velocity = first.decay[group, None], first.velocities["decay"][group, None]
        rates.advance(decay, decay_velocity, torch.zeros_like(decay), lrs)
        rates.advance(self.rest[group], self.rest_velocity[group], gradients, lrs)

    @torch.no_grad()
    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return logits of images, float64 [m, rows], on the CPU; the batch size makes no difference."""
        positions = self.space.positions(rows)

        def answer(group: slice) -> Tensor:
            rest = self.head.unflatten(self.rest[group])
            return self.head.forward(self._group_outputs(group, positions), rest)[0].cpu()

        return _by_groups(members, answer)

    def first_outputs(self, members: Sequence[int], positions: Tensor) -> Tensor:
        """Return the first layers' outputs for the same images; see :class:`GramBackend`."""
        return _by_groups(members, lambda group: self._group_outputs(group, positions))

    def _group_outputs(self, group: slice, positions: Tensor) -> Tensor:
        """Return them for a whole group, by one product of a fixed width."""
        gram, places = self.space.rows_of(positions), positions.to(self.space.device)
        side_by_side = self.first.coordinates[group].permute(1, 0, 2).flatten(1)
        outputs = (gram @ side_by_side).view(len(gram), _GROUP, -1).permute(1, 0, 2)
        outputs = outputs + self.first.decay[group, None, None] * self.first.starts[group, places]
        return outputs[:, :, : self.first.num_outputs]


def _by_groups(members: Sequence[int], compute: Callable[[slice], Tensor]) -> Tensor:
    """Compute something for whole groups, and return that of the members: [m, ...]."""
    found = {number: compute(group) for number, group in _groups(members)}
    return torch.stack([found[member // _GROUP][member % _GROUP] for member in members])


def _groups(members: Sequence[int]) -> list[tuple[int, slice]]:
    """Return the groups that members are in: their numbers, and their slots."""
    return [
        (number, slice(number * _GROUP, (number + 1) * _GROUP)) for number in sorted({m // _GROUP for m in members})
    ]

"""What the training loop asks of Gram space: steps, outputs and finished models of several members at once.

Members have the same shapes; each has its own initial weights, order of batches, learning rate, momentum, weight decay
and class weight. A member's numbers do not depend on the other members of the stack.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.config.schema import SGDConfig
from cxr_runner.models.classifier import LinearHead
from cxr_runner.models.linear import Linear, first_weight
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.devices import on_one_thread
from cxr_runner.training.gram.fetching import Request
from cxr_runner.training.gram.head import Head, cross_entropy
from cxr_runner.training.gram.layer import SpanLayer
from cxr_runner.training.gram.member_diagnosis import diagnose_member
from cxr_runner.training.gram.rates import Rates
from cxr_runner.training.gram.space import FirstLayer, GramSpace

Parameters = dict[str, Tensor]


class GramBackend:
    """Trains members of one shape, linear layers and ReLU, by SGD in the span of their training images.

    The trained tensors have the members as their first dimension.
    """

    name = "gram"
    members_at_once = 1  # the tensors are filled up to a multiple of it

    def __init__(
        self,
        space: GramSpace,
        models: Sequence[Linear | LinearReLU | LinearHead],
        optimizers: Sequence[SGDConfig],
        pos_weights: Sequence[float | None],
    ) -> None:
        """Prepare the coordinates; the models themselves stay as they are.

        Args:
            space: the images.
            models: the members with their initial weights.
            optimizers: optimizer of each member, plain SGD without clipping; ``nesterov`` is the same for all.
            pos_weights: weight of the positive class in the loss of each member; None for 1.
        """
        self.space, stacks = space, [model.layer_stack for model in models]
        self.rates = Rates(
            momentum=self._filled_up(self._per_member([optimizer.momentum for optimizer in optimizers])),
            weight_decay=self._filled_up(self._per_member([optimizer.weight_decay for optimizer in optimizers])),
            nesterov=optimizers[0].nesterov,
        )
        self.start_weights = [first_weight(model) for model in models]  # not copied: members may share them
        distinct = {weight.data_ptr(): weight for weight in self.start_weights}
        start_of = {place: space.start(weight) for place, weight in distinct.items()}
        starts = torch.stack([start_of[weight.data_ptr()] for weight in self.start_weights])
        self.first = SpanLayer(space, self._filled_up(starts), self.rates)
        self.head = Head.of(stacks[0])
        states = [stack.state_dict() for stack in stacks]
        initial = {name: torch.stack([state[name] for state in states]) for name in self.head.shapes if name != "bias"}
        initial["bias"] = torch.stack([state["1.bias"] for state in states])
        self.rest = self._filled_up(self.head.flatten(initial).to(space.device, torch.float64))  # all other parameters
        self.rest_velocity = torch.zeros_like(self.rest)
        pos_weight_numbers = [1.0 if weight is None else weight for weight in pos_weights]
        self.pos_weights = self._filled_up(self._per_member(pos_weight_numbers))
        self.ends_in_relu = isinstance(stacks[0][-1], nn.ReLU)
        self.num_silent = [0] * len(models)  # training images in a row for which a member's last ReLU was 0
        self.moving: list[int] = []  # which members, of those that :meth:`step` is called for, can still change
        self.done, self.order = 0, torch.empty(0)

    @contextmanager
    def epoch(self, members: Sequence[int], plan: EpochPlan) -> Iterator[EpochPlan]:
        """Look ahead at an epoch; see :class:`~cxr_runner.training.backend.Backend`.

        Torch's threads are kept out of it: what they could share is too small.
        """
        with on_one_thread(), torch.inference_mode():
            self.done, self.order = 0, self.space.positions(plan.rows)
            self.first.window = None  # what an interrupted epoch may have left
            yield plan

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Train members on a batch each; see :class:`~cxr_runner.training.backend.Backend`.

        Nothing here is random, so the keys are not needed.
        """
        self.space.fetching.serve(self.look_ahead(members, rows.shape[1]))
        self.done += rows.shape[1]
        targets = targets.to(self.space.device, torch.float64)
        if len(self.moving) == len(members):
            return self._step(members, targets, self._per_member(lrs))
        logits = torch.zeros_like(targets)
        losses, _ = cross_entropy(logits, targets, self.pos_weights[member_index(members)])
        if self.moving:
            moving = [members[slot] for slot in self.moving]
            moving_lrs = self._per_member([lrs[slot] for slot in self.moving])
            losses[self.moving], logits[self.moving] = self._step(moving, targets[self.moving], moving_lrs)
        return losses, logits

    def look_ahead(self, members: Sequence[int], batch_size: int) -> list[Request]:
        """Open a window on the coming batches of the members that can still change, where none is open.

        Returns:
            What is to be fetched before the next step.
        """
        if self.first.window is not None:
            return []
        self.moving = [slot for slot, member in enumerate(members) if not self._is_dead(member)]
        if not self.moving:
            return []
        ahead = slice(self.done, self.done + SpanLayer.images_ahead(batch_size))
        moving = [members[slot] for slot in self.moving]
        return self.first.open_window(moving, self.order[self.moving, ahead], batch_size)

    def _is_dead(self, member: int) -> bool:
        """Whether a member is what it is for good: its last ReLU has been 0 for every training image in turn.

        Then all its gradients are 0 and, without momentum and decay, it will never move again: steps are not computed.
        """
        return self.rates.plain and self.num_silent[member] >= 2 * self.space.num_train

    def _step(self, members: Sequence[int], targets: Tensor, lrs: Tensor) -> tuple[Tensor, Tensor]:
        index, rates = member_index(members), self.rates
        rest = self.head.unflatten(self.rest[index])
        logits, inputs = self.head.forward(self.first.next_outputs(), rest)
        losses, slopes = cross_entropy(logits, targets, self.pos_weights[index])
        back, gradients = self.head.backward(slopes, inputs, rest)
        self.first.move(back, lrs)
        if rates.plain:
            self.rest[index] -= lrs[:, None] * gradients
        else:
            values, velocity = self.rest[index].clone(), self.rest_velocity[index].clone()
            rates.of(index).advance(values, velocity, gradients, lrs)
            self.rest[index], self.rest_velocity[index] = values, velocity
        if rates.plain and self.ends_in_relu:
            for member, silent in zip(members, (logits == 0).all(dim=1).tolist(), strict=True):
                self.num_silent[member] = self.num_silent[member] + targets.shape[1] if silent else 0
        return losses, logits

    @torch.no_grad()
    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return logits of images, float64 [m, rows], on the CPU; the batch size makes no difference."""
        outputs = self.first_outputs(members, self.space.positions(rows))
        return self.head.forward(outputs, self.head.unflatten(self.rest[member_index(members)]))[0].cpu()

    def first_outputs(self, members: Sequence[int], positions: Tensor) -> Tensor:
        """Return the first layers' outputs for the same images, without the bias: float64 [m, images, outputs].

        Args:
            members: m of the stack.
            positions: int64 [images], where the images stand in the Gram matrix.
        """
        return self.first.outputs_of(members, positions)

    @torch.no_grad()
    def diagnose(self, members: Sequence[int], rows: Tensor, targets: Tensor, batch_size: int) -> list[dict[str, Any]]:
        """Look at units and gradients of members; see :class:`~cxr_runner.training.backend.Backend`."""
        positions = self.space.positions(rows)
        outputs = self.first_outputs(members, positions).cpu()  # small from here on
        among = self.space.rows_of(positions)[:, positions.to(self.space.device)].cpu()
        index = member_index(members)
        each = zip(outputs, self.rest[index].cpu(), self.pos_weights[index].cpu(), strict=True)
        return [diagnose_member(self.head, *given, targets.double(), among) for given in each]

    def weights(self, members: Sequence[int]) -> list[Parameters]:
        """Materialise models in one pass over the training images. Returns float32 weights under their plain names."""
        return self.with_first(members, self.space.materialise(self.first_layers(members), torch.float32))

    @torch.no_grad()
    def first_layers(self, members: Sequence[int]) -> list[FirstLayer]:
        """Return where the first layers of members stand."""
        decays, coordinates = self.first.decay.tolist(), self._unpadded(self.first.coordinates)
        return [FirstLayer(self.start_weights[one], decays[one], coordinates[one].mT) for one in members]

    @torch.no_grad()
    def with_first(self, members: Sequence[int], first: Sequence[Tensor]) -> list[Parameters]:
        """Put materialised first layers and all other weights together: float32, under their plain names."""
        rest = self.head.unflatten(self.rest[member_index(members)].cpu().float())
        rest["1.bias"] = rest.pop("bias")
        return [
            {"layer_stack.1.weight": weight}
            | {f"layer_stack.{name}": value[slot].clone() for name, value in rest.items()}
            for slot, weight in enumerate(first)
        ]

    def snapshot(self, member: int) -> Parameters:
        """Return a copy of what is trained of a member, on the CPU."""
        trained = {"coordinates": self._unpadded(self.first.coordinates), "decay": self.first.decay, "rest": self.rest}
        with on_one_thread():  # so small, that several would only wait for each other
            return {name: value[member].cpu().clone() for name, value in trained.items()}

    def restore(self, member: int, snapshot: Parameters) -> None:
        """Take a member back to a snapshot."""
        self.num_silent[member] = 0
        self._unpadded(self.first.coordinates)[member] = snapshot["coordinates"]
        self.first.decay[member] = snapshot["decay"]
        self.rest[member] = snapshot["rest"]

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything that a member needs to go on bit for bit, whatever the other members are."""
        velocities = self._velocities() if self.rates.momentum[member] else {}
        velocity = {name: value[member].cpu().clone() for name, value in velocities.items()}
        return {"trained": self.snapshot(member), "velocity": velocity}

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on with a member from where :meth:`state_dict` was taken."""
        self.restore(member, state["trained"])
        for name, value in state["velocity"].items():
            self._velocities()[name][member] = value

    def _velocities(self) -> Parameters:
        first = self.first.velocities
        return {
            "coordinates": self._unpadded(first["coordinates"]),
            "decay": first["decay"],
            "rest": self.rest_velocity,
        }

    def _unpadded(self, coordinates: Tensor) -> Tensor:
        """Return a view of coordinates without those that only fill up, which stay 0."""
        return coordinates[:, : self.space.num_train, : self.first.num_outputs]

    def _filled_up(self, values: Tensor) -> Tensor:
        """Repeat the last member, whom nobody trains there, as often as :attr:`members_at_once` asks for."""
        missing = -len(values) % self.members_at_once
        return torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])

    def _per_member(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.space.device)


def member_index(members: Sequence[int]) -> slice | Tensor:
    """Return an index of members, a slice where possible: it gives views instead of copies."""
    if list(members) == list(range(members[0], members[-1] + 1)):
        return slice(members[0], members[-1] + 1)
    return torch.tensor(members)

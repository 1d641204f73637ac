"""Members of several shapes as one stack: each shape is a backend, and what all of them look at is fetched once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend, Parameters


@dataclass(frozen=True)
class _Share:
    """Which of some members a backend trains.

    Attributes:
        backend: the backend.
        slots: which of them, ascending.
        members: their numbers there.
        index: the slots, int64 [m], where the backend computes: a GPU waits for an index that comes from the CPU.
    """

    backend: GramBackend
    slots: list[int]
    members: list[int]
    index: Tensor


class MixedBackend:
    """Trains members of several shapes, each by the backend of its shape."""

    name = "gram"

    def __init__(self, space: GramSpace, backends: Sequence[GramBackend], places: dict[int, tuple[int, int]]) -> None:
        """Put backends together.

        Args:
            space: the images of all of them.
            backends: one for each shape.
            places: for each member the number of its backend, and its number there.
        """
        self.space, self.backends, self.places = space, backends, places
        self._last: tuple[list[int], list[_Share]] | None = None

    @contextmanager
    def epoch(self, members: Sequence[int], plan: EpochPlan) -> Iterator[EpochPlan]:
        """Begin an epoch of every shape; see :class:`~cxr_runner.training.backend.Backend`."""
        with ExitStack() as epochs:
            for share in self._shares(members):
                lrs = [[rates[slot] for slot in share.slots] for rates in plan.lrs]
                own = replace(plan, rows=plan.rows[share.slots], targets=plan.targets[share.slots], lrs=lrs)
                epochs.enter_context(share.backend.epoch(share.members, own))
            yield plan

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Train members on a batch each; see :class:`~cxr_runner.training.backend.Backend`."""
        shares = self._shares(members)
        requests = [one for share in shares for one in share.backend.look_ahead(share.members, rows.shape[1])]
        self.space.fetching.serve(requests)
        losses = torch.empty(len(members), dtype=torch.float64, device=self.space.device)
        logits = torch.empty(targets.shape, dtype=torch.float64, device=self.space.device)
        for share in shares:
            slots = share.slots
            own_lrs, own_keys = [lrs[slot] for slot in slots], [keys[slot] for slot in slots]
            own_losses, own_logits = share.backend.step(share.members, rows[slots], targets[slots], own_lrs, own_keys)
            losses.index_copy_(0, share.index, own_losses)
            logits.index_copy_(0, share.index, own_logits)
        return losses, logits

    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return logits of images, float64 [m, rows], on the CPU; see :class:`GramBackend`."""
        logits = torch.empty(len(members), len(rows), dtype=torch.float64)
        for share in self._shares(members):
            logits[share.slots] = share.backend.logits(share.members, rows, batch_size)
        return logits

    def diagnose(self, members: Sequence[int], rows: Tensor, targets: Tensor, batch_size: int) -> list[dict[str, Any]]:
        """Look at units and gradients of members; see :class:`GramBackend`."""
        diagnoses: dict[int, dict[str, Any]] = {}
        for share in self._shares(members):
            own = share.backend.diagnose(share.members, rows, targets, batch_size)
            diagnoses.update(zip(share.slots, own, strict=True))
        return [diagnoses[slot] for slot in range(len(members))]

    def weights(self, members: Sequence[int]) -> list[Parameters]:
        """Materialise models in one pass over the training images; see :class:`GramBackend`."""
        shares = self._shares(members)
        layers = [layer for share in shares for layer in share.backend.first_layers(share.members)]
        first = iter(self.space.materialise(layers, torch.float32))
        weights: dict[int, Parameters] = {}
        for share in shares:
            own = share.backend.with_first(share.members, [next(first) for _ in share.members])
            weights.update(zip(share.slots, own, strict=True))
        return [weights[slot] for slot in range(len(members))]

    def snapshot(self, member: int) -> Parameters:
        """Return a copy of what is trained of a member, on the CPU."""
        number, own = self.places[member]
        return self.backends[number].snapshot(own)

    def restore(self, member: int, snapshot: Parameters) -> None:
        """Take a member back to a snapshot."""
        number, own = self.places[member]
        self.backends[number].restore(own, snapshot)

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything that a member needs to go on bit for bit, whatever the other members are."""
        number, own = self.places[member]
        return self.backends[number].state_dict(own)

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on with a member from where :meth:`state_dict` was taken."""
        number, own = self.places[member]
        self.backends[number].load_state_dict(own, state)

    def _shares(self, members: Sequence[int]) -> list[_Share]:
        if self._last is not None and self._last[0] == members:  # every step of an epoch asks for the same
            return self._last[1]
        device = self.space.device
        slots: list[list[int]] = [[] for _ in self.backends]
        for slot, member in enumerate(members):
            slots[self.places[member][0]].append(slot)
        shares = [
            _Share(backend, own, [self.places[members[slot]][1] for slot in own], torch.tensor(own, device=device))
            for backend, own in zip(self.backends, slots, strict=True)
            if own
        ]
        self._last = list(members), shares
        return shares

"""Gram space on a CPU, compiled for it: whole epochs in C++, in which members that see the same images share them.

In Python a step is some thirty calls on a few numbers each, which take longer than what they compute.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.devices import on_one_thread
from cxr_runner.training.gram.mixed import MixedBackend
from cxr_runner.training.gram.native_epoch import NativeImages, NativeLayer, NativeMember, load_native_epoch


@dataclass
class _Epoch:
    """What the steps of an epoch gave, to be handed out.

    Attributes:
        losses: float64 [m, steps].
        logits: float64 [m, images], before the updates.
        batch_size: images a step.
        step: the next one.
    """

    losses: Tensor
    logits: Tensor
    batch_size: int
    step: int = 0


class NativeBackend(MixedBackend):
    """:class:`MixedBackend` with whole epochs in C++, of one shape or several."""

    _epoch: _Epoch | None = None

    @contextmanager
    def epoch(self, members: Sequence[int], plan: EpochPlan) -> Iterator[EpochPlan]:
        """Train the epoch; steps hand out what it gave. See :class:`~cxr_runner.training.backend.Backend`."""
        with on_one_thread(), torch.inference_mode():
            self._epoch = self._train(members, plan)
            yield plan

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Return what the next step of the epoch gave; see :class:`~cxr_runner.training.backend.Backend`."""
        epoch = self._epoch
        assert epoch is not None
        step, epoch.step = epoch.step, epoch.step + 1
        return epoch.losses[:, step], epoch.logits[:, step * epoch.batch_size : (step + 1) * epoch.batch_size]

    def _train(self, members: Sequence[int], plan: EpochPlan) -> _Epoch:
        positions, targets = self.space.positions(plan.rows), plan.targets.float().contiguous()
        lrs = torch.tensor(plan.lrs, dtype=torch.float64).T.contiguous()
        epoch = _Epoch(torch.empty_like(lrs), torch.empty(plan.rows.shape, dtype=torch.float64), plan.batch_size)
        natives = [self._describe(member) for member in members]
        for slot, native in enumerate(natives):
            native.lrs, native.targets = lrs[slot].data_ptr(), targets[slot].data_ptr()
            native.losses, native.logits = epoch.losses[slot].data_ptr(), epoch.logits[slot].data_ptr()
        orders = [order.numpy().tobytes() for order in positions]

        def train(group: list[int]) -> None:
            images = NativeImages(self.space.gram, self.space.num_train, positions[group[0]])
            load_native_epoch().train(images, plan.batch_size, [natives[slot] for slot in group])

        self._share_out(train, orders, natives)
        for member, native in zip(members, natives, strict=True):
            number, own = self.places[member]
            self.backends[number].num_silent[own] = native.silent
        return epoch

    @torch.no_grad()
    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return logits of images, float64 [m, rows], on the CPU; the batch size makes no difference."""
        logits = torch.empty(len(members), len(rows), dtype=torch.float64)
        images = NativeImages(self.space.gram, self.space.num_train, self.space.positions(rows))
        natives = [self._describe(member) for member in members]
        for native, own in zip(natives, logits, strict=True):
            native.logits = own.data_ptr()

        def answer(group: list[int]) -> None:
            load_native_epoch().answer(images, [natives[slot] for slot in group])

        self._share_out(answer, [b""] * len(members), natives)
        return logits

    def _share_out(
        self, work: Callable[[list[int]], None], orders: Sequence[bytes], natives: Sequence[NativeMember]
    ) -> None:
        """Call a function, on all cores, for members that see the same images in the same order, by their slots."""
        shares = cut_evenly(orders, [native.outputs for native in natives], len(self.space.fetching.buffers))

        def work_on_share(number: int, buffer: Tensor) -> None:
            for _, group in groupby(shares[number], key=orders.__getitem__):
                work(list(group))

        self.space.fetching.share_out(work_on_share, len(shares))

    def _describe(self, member: int) -> NativeMember:
        """Return what the library has to know of a member, but for what an epoch is."""
        number, own = self.places[member]
        backend = self.backends[number]
        first, rates, layers = backend.first, backend.rates, self._layers[number]
        tensors = {
            "coordinates": first.coordinates[own],
            "decay": first.decay[own],
            "rest": backend.rest[own],
            "starts": first.starts[own],
        }
        if rates.momentum[own]:
            velocities = {f"{name}_velocity": value[own] for name, value in first.velocities.items()}
            tensors |= velocities | {"rest_velocity": backend.rest_velocity[own]}
        return NativeMember(
            **{name: tensor.data_ptr() for name, tensor in tensors.items()},
            layers=ctypes.addressof(layers),
            momentum=float(rates.momentum[own]),
            weight_decay=float(rates.weight_decay[own]),
            pos_weight=float(backend.pos_weights[own]),
            silent=backend.num_silent[own],
            outputs=first.num_outputs,
            width=first.width,
            num_layers=len(layers),
            num_rest=backend.rest.shape[1],
            nesterov=rates.nesterov,
            counts_silent=backend.ends_in_relu and rates.plain,
        )

    @cached_property
    def _layers(self) -> list[Any]:
        """The layers behind the first of each backend, as the library wants them."""
        return [_native_layers(backend.head.layers) for backend in self.backends]


def _native_layers(layers: Sequence[nn.Module]) -> Any:
    sizes = [(layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else (0, 0) for layer in layers]
    return (NativeLayer * len(sizes))(*(NativeLayer(*pair) for pair in sizes))


def cut_evenly(keys: Sequence[bytes], costs: Sequence[float], most: int) -> list[list[int]]:
    """Sort things by their keys and cut them into shares of about the same cost.

    Args:
        keys: one for each thing; those with the same stand side by side.
        costs: likewise, all above 0.
        most: number of shares, if there are as many things.

    Returns:
        The numbers of the things in each share; none is empty.
    """
    shares: list[list[int]] = [[] for _ in range(most)]
    total, done = sum(costs), 0.0
    for thing in sorted(range(len(keys)), key=keys.__getitem__):
        middle = done + costs[thing] / 2
        shares[int(middle / total * most)].append(thing)
        done += costs[thing]
    return [share for share in shares if share]

"""The first layers of several members in the span of the training images, and SGD on them, some batches at a time.

``W = c W0 + A X``, and the layer's outputs are ``z = c (X W0^T) + K A^T``; see :mod:`cxr_runner.training.gram`. The
order of an epoch's images is known beforehand, so the products ``K A^T`` of a few batches to come, a *window*, are
formed at once: the rows of K are fetched once, and one product of many rows is quicker than several thin ones. What the
steps within the window change is put right through the inner products of the window's images among each other.

Momentum, Nesterov and weight decay are linear: within a window, A and its velocity V are sums of A and V at its
beginning and of the slopes since, each times a number. Steps move these numbers, the *coefficients*, and the sums are
formed when the window ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cxr_runner.training.gram.fetching import ROWS_AT_ONCE, Request
from cxr_runner.training.gram.rates import Rates

if TYPE_CHECKING:  # a layer is handed its space
    from cxr_runner.training.gram.space import GramSpace

_TILE = 12  # the kernels of MKL take so many columns of float64 at once; 10 take longer than 12


@dataclass
class _Window:
    """Some batches ahead of members, and what their steps have changed so far.

    Attributes:
        members: m of the stack.
        positions: int64 [m, images], where the window's images stand in the Gram matrix, one batch after the other.
        batch_size: of each batch but perhaps the last.
        products: ``K A^T + c X W0^T`` of the window's beginning, float64 [m, images, width].
        speeds: the same of the velocities; None where nobody has one.
        inner: by member, inner products of the images, float64 [images, images]; empty where there is one batch only.
        slopes: gradients of the layer's outputs so far, float64 [m, images, width]; see ``coefficients``.
        scaled: buffer for slopes times their coefficients.
        coefficients: of A, its velocity and the slopes of each batch in A, float64 [m, 2 + batches]; empty, as the two
            others that they need, where no member has momentum or decay.
        speed_coefficients: likewise in the velocity.
        step: how many batches are done.
    """

    members: Sequence[int]
    positions: Tensor
    batch_size: int
    products: Tensor
    speeds: Tensor | None
    inner: list[Tensor]
    slopes: Tensor
    scaled: Tensor
    coefficients: Tensor
    speed_coefficients: Tensor
    step: int = 0

    @property
    def rows(self) -> slice:
        """Which of the images are the next batch."""
        start = self.step * self.batch_size
        return slice(start, min(start + self.batch_size, self.positions.shape[1]))

    @property
    def num_steps(self) -> int:
        """How many batches there are."""
        return -(-self.positions.shape[1] // self.batch_size)

    @property
    def index(self) -> Tensor:
        """The members as an index."""
        return torch.tensor(self.members)

    def scale_slopes(self, coefficients: Tensor, num_images: int) -> Tensor:
        """Return the slopes of the first images times the coefficients of their batches: [m, images, width]."""
        spread = coefficients[:, 2:].repeat_interleave(self.batch_size, dim=1)[:, :num_images, None]
        return torch.mul(self.slopes[:, :num_images], spread, out=self.scaled[:, :num_images])


class SpanLayer:
    """The first layers of a stack, trained in their coordinates.

    Attributes:
        coordinates: A^T, float64 [members, coordinates, width]; the width is the number of outputs, rounded up.
        decay: c, float64 [members].
        velocities: velocities of both, under their names; empty where no member has momentum or decay.
    """

    def __init__(self, space: "GramSpace", starts: Tensor, rates: Rates) -> None:
        """Begin at the initial weights.

        Args:
            space: the images.
            starts: ``X W0^T``, float64 [members, images, outputs], on the device.
            rates: momentum, decay and kind of SGD of the members.
        """
        num_members, _, self.num_outputs = starts.shape
        self.space, self.rates, self.plain = space, rates, rates.plain
        self.width = -(-self.num_outputs // _TILE) * _TILE
        self.starts = torch.nn.functional.pad(starts, (0, self.width - self.num_outputs))
        self.coordinates = starts.new_zeros(num_members, space.num_coordinates, self.width)
        self.decay = starts.new_ones(num_members)
        trained = {"coordinates": self.coordinates, "decay": self.decay}
        self.velocities = {} if self.plain else {name: torch.zeros_like(value) for name, value in trained.items()}
        self.window: _Window | None = None

    @staticmethod
    def images_ahead(batch_size: int) -> int:
        """Return how many images a window holds: whole batches, one at least."""
        return max(1, ROWS_AT_ONCE // batch_size) * batch_size

    def open_window(self, members: Sequence[int], positions: Tensor, batch_size: int) -> list[Request]:
        """Look ahead at some batches; the window is open once the requests have been served.

        Args:
            members: m of them.
            positions: int64 [m, images], as many as :meth:`images_ahead` or fewer, of one batch after the other.
            batch_size: of each batch but perhaps the last.
        """
        assert self.window is None, "the steps of one window come before the next"
        num_members, num_images = positions.shape
        num_batches, side = -(-num_images // batch_size), self.images_ahead(batch_size)
        assert num_images <= side
        new, moving = self.coordinates.new_zeros, bool(self.rates.momentum.any())
        num_coefficients = 0 if self.plain else 2 + num_batches
        # Of one size throughout, so that all members lie at multiples of 64 bytes, where products have the same bits.
        window = self.window = _Window(
            members=members,
            positions=positions.to(self.space.device),
            batch_size=batch_size,
            products=new(num_members, side, self.width),
            speeds=new(num_members, side, self.width) if moving else None,
            inner=[new(0)] * num_members,
            slopes=new(0) if self.plain else new(num_members, side, self.width),
            scaled=new(num_members, side, self.width),
            coefficients=new(num_members, num_coefficients),
            speed_coefficients=new(num_members, num_coefficients),
        )
        if not self.plain:
            window.coefficients[:, 0] = window.speed_coefficients[:, 1] = 1.0
        return [
            Request(
                positions=window.positions[slot],
                use=partial(self._look_ahead, window, slot),
                take_inner=partial(window.inner.__setitem__, slot) if num_batches > 1 else None,
            )
            for slot in range(num_members)
        ]

    def _look_ahead(self, window: _Window, slot: int, rows: slice, fetched: Tensor) -> None:
        """Form the products of a member with some of the images that it will see."""
        member = window.members[slot]
        starts = self.starts[member].index_select(0, window.positions[slot, rows])
        self._multiply(fetched, self.coordinates[member], self.decay[member] * starts, window.products[slot, rows])
        if window.speeds is not None:
            decayed = self.velocities["decay"][member] * starts
            self._multiply(fetched, self.velocities["coordinates"][member], decayed, window.speeds[slot, rows])

    @staticmethod
    def _multiply(gram: Tensor, coordinates: Tensor, starts: Tensor, out: Tensor) -> None:
        torch.mm(gram, coordinates, out=out[: len(gram)])
        out[: len(gram)] += starts

    def next_outputs(self) -> Tensor:
        """Return the outputs for the window's next batch, without the bias: float64 [m, batch, outputs]."""
        window = self.window
        assert window is not None
        rows = window.rows
        if self.plain:
            outputs = window.products[:, rows]
        else:
            outputs = window.coefficients[:, 0, None, None] * window.products[:, rows]
            if window.speeds is not None:
                outputs += window.coefficients[:, 1, None, None] * window.speeds[:, rows]
        if window.step:
            scaled = window.scaled if self.plain else window.scale_slopes(window.coefficients, rows.start)
            for slot in range(len(window.members)):  # not as one product, whose bits depend on their number
                outputs[slot].addmm_(window.inner[slot][rows, : rows.start], scaled[slot, : rows.start])
        return outputs[:, :, : self.num_outputs]

    def move(self, slopes: Tensor, lrs: Tensor) -> None:
        """Take a step; the last one of a window closes it.

        Args:
            slopes: gradients of the losses with respect to the outputs, float64 [m, batch, outputs].
            lrs: float64 [m].
        """
        window = self.window
        assert window is not None
        rows = window.rows
        if self.plain:
            torch.mul(slopes, -lrs[:, None, None], out=window.scaled[:, rows, : self.num_outputs])
        else:
            window.slopes[:, rows, : self.num_outputs] = slopes
            unit = torch.zeros_like(window.coefficients)
            unit[:, 2 + window.step] = 1.0
            self.rates.of(window.index).advance(window.coefficients, window.speed_coefficients, unit, lrs)
        window.step += 1
        if window.step == window.num_steps:
            self._close_window(window)

    def _close_window(self, window: _Window) -> None:
        """Form the sums that the coefficients stand for."""
        self.window = None
        index, num_images = window.index[:, None], window.positions.shape[1]
        if self.plain:
            self.coordinates[index, window.positions] += window.scaled[:, :num_images]
            return
        self.space.fetching.share_out(lambda slot, _: self._sum_up(window, slot), len(window.members))
        self.coordinates[index, window.positions] += window.scale_slopes(window.coefficients, num_images)
        velocity = self.velocities["coordinates"]
        velocity[index, window.positions] += window.scale_slopes(window.speed_coefficients, num_images)

    def _sum_up(self, window: _Window, slot: int) -> None:
        """Replace a member's A and c, and their velocities, by sums of both."""
        member = window.members[slot]
        (in_value, in_value_speed), (in_speed, in_speed_speed) = (
            coefficients[slot, :2].tolist() for coefficients in (window.coefficients, window.speed_coefficients)
        )
        for values, name in ((self.coordinates, "coordinates"), (self.decay, "decay")):
            value, velocity = values[member], self.velocities[name][member]
            before = value.clone()
            value.mul_(in_value).add_(velocity, alpha=in_value_speed)
            velocity.mul_(in_speed_speed).add_(before, alpha=in_speed)

    @torch.no_grad()
    def outputs_of(self, members: Sequence[int], positions: Tensor) -> Tensor:
        """Return the outputs for any images, without the bias: float64 [m, images, outputs].

        Args:
            members: m of them.
            positions: int64 [images].
        """
        outputs = self.coordinates.new_empty(len(members), len(positions), self.width)
        rows, positions = self.space.rows_of(positions), positions.to(self.space.device)

        def multiply(slot: int, _: Tensor) -> None:
            member = members[slot]
            starts = self.starts[member].index_select(0, positions)
            self._multiply(rows, self.coordinates[member], self.decay[member] * starts, outputs[slot])

        self.space.fetching.share_out(multiply, len(members))
        return outputs[:, :, : self.num_outputs]

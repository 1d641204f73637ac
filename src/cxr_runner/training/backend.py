"""What the training loop asks of the arithmetic; the pixel and the Gram engine answer."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

Key = tuple[int, ...]  # whose parts make a seed


@dataclass(frozen=True)
class EpochPlan:
    """What the steps of an epoch will be given, known before the first one.

    Attributes:
        rows: int64 [m, images], rows of the store in the order of each member.
        targets: float32 [m, images], 0 or 1.
        batch_size: images a step; the last batch may be smaller.
        lrs: m learning rates for each step.
    """

    rows: Tensor
    targets: Tensor
    batch_size: int
    lrs: Sequence[Sequence[float]]


class Backend(Protocol):
    """What the loop asks of the arithmetic of a stack of members: models on the same data, in batches of one size."""

    name: str

    def epoch(self, members: Sequence[int], plan: EpochPlan) -> AbstractContextManager[EpochPlan]:
        """Return a context for all steps of an epoch, which gives the plan, perhaps on the device.

        Args:
            members: m of the stack, ascending.
            plan: what their steps will be given, in this order.
        """

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Train members on a batch each.

        Args:
            members: m of the stack, ascending.
            rows: int64 [m, batch], rows of the store.
            targets: float32 [m, batch], 0 or 1.
            lrs: m learning rates.
            keys: m keys of this step's random draws; see :func:`derive_seed`.

        Returns:
            The mean loss of each batch, [m], and the logits before the update, [m, batch], both on the device.
        """

    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits that members give the same images, float [m, rows], on the CPU."""

    def diagnose(self, members: Sequence[int], rows: Tensor, targets: Tensor, batch_size: int) -> list[dict[str, Any]]:
        """Look at units and gradients of members as they are; see :func:`~cxr_runner.training.diagnosis.diagnose`.

        Args:
            members: m of the stack.
            rows: int64 [images], a few training images.
            targets: float32 [images], 0 or 1.
            batch_size: of training.
        """

    def weights(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return weights on the CPU under the plain names of the module; may take a pass over the images."""

    def snapshot(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is trained of a member, on the CPU."""

    def restore(self, member: int, snapshot: dict[str, Tensor]) -> None:
        """Take a member back to a snapshot."""

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything that a member needs to go on bit for bit, untouched by what comes next."""

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on with a member from a state."""


def derive_seed(*parts: int) -> int:
    """Return a 63-bit seed that depends on all parts; runs resume without any saved random state."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)

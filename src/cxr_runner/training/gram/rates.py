"""SGD's rule on values of several members at once, each with its rates."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True)
class Rates:
    """How each member moves; float64 [members] each.

    Attributes:
        momentum: momentum; 0 for none.
        weight_decay: weight decay; 0 for none.
        nesterov: whether all members take Nesterov's step.
    """

    momentum: Tensor
    weight_decay: Tensor
    nesterov: bool

    @cached_property
    def plain(self) -> bool:
        """Whether no member has momentum or decay."""
        return not (self.momentum.any() or self.weight_decay.any())

    def of(self, index: slice | Tensor) -> "Rates":
        """Return those of some members."""
        return Rates(self.momentum[index], self.weight_decay[index], self.nesterov)

    def advance(self, values: Tensor, velocity: Tensor, slopes: Tensor, lrs: Tensor) -> None:
        """Take a step of SGD in place, as ``torch.optim.SGD`` takes it.

        Args:
            values: float64 [members, any].
            velocity: velocities of the values, of their shape.
            slopes: gradients of the losses, of their shape.
            lrs: float64 [members].
        """
        momentum, decay = self.momentum[:, None], self.weight_decay[:, None]
        slopes = slopes + decay * values
        velocity.mul_(momentum).add_(slopes)
        values -= lrs[:, None] * (slopes + momentum * velocity if self.nesterov else velocity)

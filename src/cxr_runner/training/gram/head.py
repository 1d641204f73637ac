"""The layers behind the first, of several members at once: small, so that their derivatives are written out.

Automatic differentiation would take longer than the arithmetic. What is computed for all members together is
computed element by element or summed within a member, so that a member's numbers do not depend on the other members.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad


@dataclass(frozen=True)
class Head:
    """The shapes of the layers behind the first; ReLU and linear layers, and the bias of the first.

    Attributes:
        layers: layers, in order.
        shapes: shapes of the parameters by name: ``bias`` is the first layer's, the others are called as in the module.
    """

    layers: tuple[nn.Module, ...]
    shapes: dict[str, torch.Size]

    @classmethod
    def of(cls, layer_stack: nn.Sequential) -> "Head":
        """Describe the head of a model."""
        state = layer_stack.state_dict()
        shapes = {name: value.shape for name, value in state.items() if name not in ("1.weight", "1.bias")}
        return cls(tuple(layer_stack[2:]), {"bias": state["1.bias"].shape} | shapes)

    def flatten(self, parameters: dict[str, Tensor]) -> Tensor:
        """Put parameters, float [members, ...] each, side by side: float [members, numbers]."""
        return torch.cat([parameters[name].flatten(1) for name in self.shapes], dim=1)

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of the parameters by name."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        parts: Sequence[Tensor] = flat.split(sizes, dim=1)  # type: ignore[no-untyped-call]
        return {
            name: part.view(len(flat), *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def forward(self, outputs: Tensor, parameters: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Compute logits.

        Args:
            outputs: outputs of the first layer, without its bias: float64 [members, images, outputs].
            parameters: parameters, by name.

        Returns:
            The logits, float64 [members, images], and what went into each layer, for :meth:`backward`.
        """
        values, inputs = outputs + parameters["bias"][:, None], []
        for number, layer in enumerate(self.layers, start=2):
            inputs.append(values)
            if isinstance(layer, nn.ReLU):
                values = values.clamp(min=0)
            else:
                weight, bias = parameters[f"{number}.weight"], parameters[f"{number}.bias"]
                # Not bmm, whose last bits depend on where in memory a member happens to lie.
                values = (values[:, :, None, :] * weight[:, None]).sum(dim=3) + bias[:, None]
        return values.squeeze(2), inputs

    def backward(
        self, slopes: Tensor, inputs: Sequence[Tensor], parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Compute gradients.

        Args:
            slopes: of the losses with respect to the logits, float64 [members, images].
            inputs: as :meth:`forward` returned them.
            parameters: parameters, by name.

        Returns:
            Those with respect to the first layer's outputs, float64 [members, images, outputs], and those of the
            parameters, flat.
        """
        back, gradients = slopes[:, :, None], {}
        for number in reversed(range(len(self.layers))):
            values = inputs[number]
            if isinstance(self.layers[number], nn.ReLU):
                back = back * (values > 0)
            else:
                name = str(number + 2)
                gradients[f"{name}.weight"] = (back[:, :, :, None] * values[:, :, None, :]).sum(dim=1)
                gradients[f"{name}.bias"] = back.sum(dim=1)
                back = (back[:, :, :, None] * parameters[f"{name}.weight"][:, None]).sum(dim=2)
        gradients["bias"] = back.sum(dim=1)
        return back, self.flatten(gradients)


def cross_entropy(logits: Tensor, targets: Tensor, pos_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the weighted binary cross entropy, ``BCEWithLogitsLoss``, and its derivative.

    Args:
        logits: float64 [members, images].
        targets: float64 [members, images], 0 or 1.
        pos_weights: float64 [members], weights of the positive class.

    Returns:
        The mean loss of each member, float64 [members], and the derivatives with respect to the logits,
        float64 [members, images].
    """
    num_images = logits.shape[1]
    # A processor takes several numbers at once, and rounds exp and log of those left over differently: none are.
    if num_images % 32:
        logits, targets = (pad(values, (0, -num_images % 32)) for values in (logits, targets))
    signs = 2 * targets - 1
    weights = signs * (targets * (pos_weights[:, None] - 1) + 1)
    margins = signs * logits
    losses = -weights * signs * logsigmoid(margins)
    slopes = weights * (-margins).sigmoid() / -num_images
    return losses[:, :num_images].mean(dim=1), slopes[:, :num_images]

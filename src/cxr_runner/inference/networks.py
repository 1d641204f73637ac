"""The networks of several runs as one: an ensemble, whose logit is the mean of its members'."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cxr_runner.inference.model_parts import MemberNetwork
from cxr_runner.models.linear import Linear


class Ensemble(nn.Module):
    """Maps images, float [batch, 1, side, side] in [0, 1], to the mean logit of its members, float [batch]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits, float [batch]."""
        return self.member_logits(images).mean(dim=1)

    def member_logits(self, images: Tensor) -> Tensor:
        """Return the logits of all members, float [batch, members]."""
        raise NotImplementedError


class Networks(Ensemble):
    """Members of any kind, one after the other."""

    def __init__(self, networks: Sequence[nn.Module], bf16: Sequence[bool]) -> None:
        """Take over the networks.

        Args:
            networks: each maps images to logits, float [batch].
            bf16: which of them compute in bf16, as they did in training.
        """
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.bf16 = tuple(bf16)

    def member_logits(self, images: Tensor) -> Tensor:
        """Return the logits of all members, float [batch, members]."""
        return torch.stack([self._logits(number, images) for number in range(len(self.networks))], dim=1)

    def _logits(self, number: int, images: Tensor) -> Tensor:
        network = self.networks[number]
        if not self.bf16[number]:
            return torch.as_tensor(network(images))
        with torch.autocast(images.device.type, torch.bfloat16):
            return torch.as_tensor(network(images)).float()


class LinearMaps(Ensemble):
    """Members that are purely linear: each is one map from the pixels to a number, however many layers it has."""

    weight: Tensor
    bias: Tensor

    def __init__(self, networks: Sequence[Linear]) -> None:
        """Multiply the layers of each network, in float64."""
        super().__init__()
        maps = [collapse(network) for network in networks]
        self.register_buffer("weight", torch.stack([weight for weight, _ in maps]).float())
        self.register_buffer("bias", torch.stack([bias for _, bias in maps]).float())

    def member_logits(self, images: Tensor) -> Tensor:
        """Return the logits of all members, float [batch, members]."""
        return images.flatten(1) @ self.weight.T + self.bias


def collapse(network: Linear) -> tuple[Tensor, Tensor]:
    """Return the one linear map that a purely linear network is.

    Returns:
        Weights, float64 [pixels], and bias, float64 [].
    """
    layers = [layer for layer in network.layer_stack if isinstance(layer, nn.Linear)]
    weight, bias = layers[0].weight.detach().double(), layers[0].bias.detach().double()
    for layer in layers[1:]:
        following = layer.weight.detach().double()
        weight, bias = following @ weight, following @ bias + layer.bias.detach().double()
    return weight.squeeze(0), bias.squeeze(0)


def join(members: Sequence[MemberNetwork]) -> Ensemble:
    """Return networks as one; purely linear ones as the maps that they are.

    Args:
        members: at least one.
    """
    linear = [one.network for one in members if isinstance(one.network, Linear) and not one.bf16]
    if len(linear) == len(members) > 1:
        return LinearMaps(linear)
    return Networks([one.network for one in members], [one.bf16 for one in members])

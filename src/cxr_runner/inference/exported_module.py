"""A model as one plain module for other programs: images in, logit and probability out."""

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cxr_runner.artifacts.operating_file import ModelPoint
from cxr_runner.inference.networks import LinearMaps, collapse
from cxr_runner.models.linear import Linear, WideLinear

if TYPE_CHECKING:  # it is handed the model
    from cxr_runner.inference.loaded_model import LoadedModel


INPUT, OUTPUTS = "image", ("logit", "probability")


class ExportedModule(nn.Module):
    """Maps images to logits and probabilities; several networks are averaged."""

    def __init__(self, networks: list[nn.Module], point: ModelPoint) -> None:
        """Take over the networks.

        Args:
            networks: each maps images to logits, float32 [batch].
            point: calibration of the probabilities.
        """
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.slope, self.intercept = point.slope, point.intercept

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map images, float32 [batch, 1, side, side] in [0, 1], to logits and probabilities, float32 [batch] each."""
        logit = self.networks[0](image)
        for network in list(self.networks)[1:]:
            logit = logit + network(image)
        logit = logit / len(self.networks)
        return logit, torch.sigmoid(self.slope * logit + self.intercept)


class LinearMap(nn.Module):
    """One linear map from the pixels to a logit."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Take over weights, float64 [pixels], and a bias, float64 []."""
        super().__init__()
        self.register_buffer("weight", weight.float()[:, None])
        self.register_buffer("bias", bias.float()[None])

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float32 [batch]."""
        return (image.flatten(1) @ self.weight + self.bias).squeeze(1)


def make_exported(model: "LoadedModel") -> ExportedModule:
    """Return a model as a plain module, on the CPU and in float32.

    Purely linear networks, one or several, are one linear map, multiplied in float64.
    """
    networks = [member.network for member in model.members]
    if isinstance(model.ensemble, LinearMaps) or all(isinstance(network, Linear) for network in networks):
        maps = [collapse(network) for network in networks if isinstance(network, Linear)]
        weight, bias = (torch.stack(parts).mean(dim=0) for parts in zip(*maps, strict=True))
        return ExportedModule([LinearMap(weight.cpu(), bias.cpu())], model.point).eval()
    return ExportedModule([_plain(network) for network in networks], model.point).eval()


def _plain(network: nn.Module) -> nn.Module:
    """Return a copy whose layers are those of torch alone: how a wide layer computes on a CPU is no part of it."""
    copied = deepcopy(network).cpu()
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, WideLinear):
                layer = nn.Linear(child.in_features, child.out_features)
                layer.load_state_dict(child.state_dict())
                setattr(module, name, layer)
    return copied.eval()

"""Optimizers by the name that a configuration gives them."""

import torch
from torch import nn

from cxr_runner.config.schema import AnyOptimizerConfig, SGDConfig


def build_optimizer(config: AnyOptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build a torch optimizer over all parameters of a model, fused where torch offers it."""
    parameters = list(model.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    if isinstance(config, SGDConfig):
        return torch.optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=fused,
        )
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)

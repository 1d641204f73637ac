"""Optimizers by the name that a configuration gives them."""

from dataclasses import asdict
from inspect import signature

import torch
from torch import nn

from cxr_runner.config.schema import AnyOptimizerConfig

# By their names in lower case: another one needs a file in conf/optimizer and a variant of the schema, no more.
_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
}
_NOT_FOR_TORCH = ("name", "grad_clip")  # keys of a configuration that are no arguments of a torch optimizer


def build_optimizer(config: AnyOptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build a torch optimizer over all parameters of a model, fused where torch offers it.

    Args:
        config: name of the optimizer, and its arguments under the names that torch gives them.
        model: model whose parameters are trained.

    Raises:
        KeyError: torch has no optimizer of that name.
    """
    kind = _OPTIMIZERS[config.name]
    parameters = list(model.parameters())
    arguments = {key: value for key, value in asdict(config).items() if key not in _NOT_FOR_TORCH}
    if "fused" in signature(kind).parameters:
        arguments["fused"] = parameters[0].device.type in ("cpu", "cuda")
    return kind(parameters, **arguments)

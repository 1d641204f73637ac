"""Builds and describes models.

Every model maps images, float [batch, 1, side, side] in [0, 1], to logits, float [batch].
"""

from itertools import pairwise

import torch
from torch import nn

from cxr_runner.base.errors import UserError, user_path
from cxr_runner.config.schema import AnyModelConfig, CNNConfig, LinearConfig, LinearReLUConfig, ResNet18Config
from cxr_runner.models.backbones import ResNet18, load_backbone
from cxr_runner.models.cnn import CNN
from cxr_runner.models.linear import Linear, LinearReLU


def build_model(config: AnyModelConfig, image_size: int, seed: int) -> nn.Module:
    """Build a model with PyTorch's default initial weights, drawn on the CPU whatever the device will be.

    Args:
        config: configuration of the model.
        image_size: side of the square images, in pixels.
        seed: seed of the initial weights; the CPU's global random state does not change.

    Raises:
        UserError: the file of weights cannot be used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = _build(config, image_size)
        except (MemoryError, RuntimeError):  # torch raises a plain RuntimeError when memory runs out
            valid = f"at data.image_size={image_size} the model does not fit into this machine's memory"
            raise UserError.for_key("model", config.name, valid) from None
    if isinstance(config, ResNet18Config) and config.weights is not None:
        assert isinstance(model, ResNet18)
        load_backbone(model, user_path("model.weights", config.weights))
    return model


def rectified_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers whose outputs go straight into a ReLU: those that can have dead units."""
    if isinstance(model, LinearReLU):
        layers = list(model.layer_stack.named_children())
        return [
            f"layer_stack.{name}"
            for (name, layer), (_, following) in pairwise(layers)
            if isinstance(layer, nn.Linear) and isinstance(following, nn.ReLU)
        ]
    if isinstance(model, CNN):
        return [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    return []  # in ResNet-18 batch norm stands between them


def describe_model(config: AnyModelConfig, model: nn.Module) -> str:
    """Return the model's name, shape and number of parameters, in a few words."""
    match config:
        case CNNConfig():
            shape = f", {config.hidden} filters {config.kernel_size}x{config.kernel_size}"
        case LinearConfig() | LinearReLUConfig():
            shape = f", {config.layers} layers, {config.hidden} hidden units"
        case ResNet18Config():
            shape = f", weights from {config.weights}" if config.weights else ", random weights"
    return f"{config.name}{shape}, {sum(p.numel() for p in model.parameters()):,} parameters"


def _build(config: AnyModelConfig, image_size: int) -> nn.Module:
    match config:
        case LinearConfig():
            return Linear(image_size, config.layers, config.hidden)
        case LinearReLUConfig():
            return LinearReLU(image_size, config.layers, config.hidden, config.output_relu)
        case CNNConfig():
            return CNN(image_size, config.hidden, config.kernel_size)
        case ResNet18Config():
            return ResNet18()

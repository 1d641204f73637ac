"""Which kernels compute a model on a CPU: torch's, or those that were compiled for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import CNNConfig, LogisticConfig, RunConfig
from cxr_runner.config.validation import native_obstacle
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.native.compiler import CompilerError
from cxr_runner.training.devices import lacks_bf16, num_processes
from cxr_runner.training.gram.native_epoch import load_native_epoch

_FEW_IMAGES = 500  # of training, with which the study's 50 epochs take half a second by torch's kernels


@dataclass(frozen=True)
class Kernels:
    """What computes a model.

    Attributes:
        name: ``native`` or ``torch``.
        reason: why, in a phrase.
    """

    name: Literal["native", "torch"]
    reason: str


def choose_kernels(
    config: RunConfig, engine: str, device: torch.device, models: Sequence[nn.Module], num_train: int
) -> Kernels | None:
    """Choose the kernels of a run, and compile them where that was not done before.

    Args:
        config: its configuration, checked.
        engine: ``pixel`` or ``gram``.
        device: where it will compute.
        models: its models.
        num_train: number of training images.

    Returns:
        None where there is nothing to choose: for models without kernels of their own, in Gram space where steps are so
        few that they take less time than compiling, and on a GPU.

    Raises:
        UserError: those that the configuration asks for are not to be had.
    """
    obstacle = _obstacle(config, engine, device)
    not_worth_it = engine == "gram" and config.kernels == "auto" and num_train < _FEW_IMAGES
    if obstacle is None and config.kernels != "torch" and not not_worth_it:
        obstacle = _compile(engine, models)
    if config.kernels == "native" and obstacle is not None:
        raise UserError.for_key("kernels", "native", f"not possible here: {obstacle}; auto and torch are")
    if device.type != "cpu" or _has_none(config, engine) or not_worth_it:
        return None
    if config.kernels == "torch":
        return Kernels("torch", "asked for")
    return Kernels("native", "compiled for this CPU") if obstacle is None else Kernels("torch", obstacle)


def bf16_slowness(config: RunConfig, device: torch.device) -> str | None:
    """Say where bf16 takes longer than float32, in a phrase; None where it does not, and where it was not asked for."""
    if config.precision != "bf16":
        return None
    if lacks_bf16(device):
        return "on this CPU, which has no instructions for it"
    is_cnn = isinstance(config.model, CNNConfig)
    if is_cnn and device.type == "cpu" and native_obstacle(replace(config, precision="float32")) is None:
        return "on a CPU with a C++ compiler (kernels=native)"
    return None


def _has_none(config: RunConfig, engine: str) -> bool:
    """Whether a run has but one way to be computed on a CPU."""
    if engine == "gram":
        return isinstance(config.model, LogisticConfig)
    return not isinstance(config.model, CNNConfig)


def _obstacle(config: RunConfig, engine: str, device: torch.device) -> str | None:
    if device.type != "cpu":
        return f"they are for a CPU, and not for {device}"
    if num_processes() > 1:
        return "several processes share a model"
    if engine == "pixel" and not isinstance(config.model, CNNConfig):
        return f"model={config.model.name} has none for pixels, on which it trains here"
    return native_obstacle(config)


def _compile(engine: str, models: Sequence[nn.Module]) -> str | None:
    """Compile what the models need; return why not, in a phrase."""
    try:
        if engine == "gram":
            load_native_epoch()
            return None
        for model in models:
            if isinstance(model, Classifier):
                model.compile_kernels()
    except CompilerError as error:
        return str(error)
    return None

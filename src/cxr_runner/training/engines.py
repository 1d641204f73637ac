"""Which backend trains a run, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from cxr_runner.base.errors import UserError
from cxr_runner.base.machine import memory_bytes
from cxr_runner.config.schema import CustomConfig, LogisticConfig, RunConfig, SGDConfig
from cxr_runner.config.validation import gram_obstacle, is_frozen
from cxr_runner.models.classifier import LinearHead, trained_part
from cxr_runner.models.linear import Linear
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.models.logistic import Logistic
from cxr_runner.training.augment import Augment
from cxr_runner.training.backend import Backend
from cxr_runner.training.devices import num_processes
from cxr_runner.training.gram.convex import ConvexBackend
from cxr_runner.training.gram.graph_steps import GraphBackend
from cxr_runner.training.gram.mixed import MixedBackend
from cxr_runner.training.gram.native_steps import NativeBackend
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend
from cxr_runner.training.kernels import Kernels
from cxr_runner.training.pixel import PixelBackend, PixelFeed, images_at_once

if TYPE_CHECKING:  # a backend is handed images, it opens none
    from cxr_runner.data.dataset import Dataset

_MEMORY_SHARE = 0.25  # of the memory there is that the Gram matrix may take; of what is free would vary


@dataclass(frozen=True)
class Choice:
    """The backend of a run.

    Attributes:
        engine: ``pixel`` or ``gram``.
        reason: why, in a phrase.
    """

    engine: Literal["pixel", "gram"]
    reason: str


def choose_engine(config: RunConfig, dataset: "Dataset", device: torch.device) -> Choice:
    """Choose the backend; the same configuration and data give the same choice on machines of enough memory.

    Args:
        config: configuration of the run, checked.
        dataset: its images.
        device: where it will compute.

    Raises:
        UserError: the engine asked for cannot compute there.
    """
    if isinstance(config.model, CustomConfig) and num_processes() > 1:
        raise UserError.for_key("model", "custom", "trains in one process; torchrun is for the models of this package")
    if isinstance(config.model, LogisticConfig):
        return _only_gram("model", "logistic", "solved to the optimum", len(dataset.images), device)
    if is_frozen(config.model):
        reason = "exact, on features that are computed once"
        return _only_gram("model.freeze", "backbone", reason, len(dataset.images), device)
    if config.engine == "gram" and device.type == "mps":
        raise UserError.for_key("engine", "gram", "device=mps has no float64; add device=cpu")
    if config.engine != "auto":
        return Choice(config.engine, "asked for")
    obstacle = gram_obstacle(config)
    if obstacle is None and device.type == "mps":
        obstacle = "mps has no float64"
    num_stored, num_pixels = len(dataset.images), config.data.image_size**2
    if obstacle is None and num_pixels <= num_stored:
        obstacle = f"{num_pixels:,} pixels are no more than {num_stored:,} images"
    if obstacle is None:
        obstacle = _lack_of_memory(8 * num_stored**2, device)
    if obstacle is not None:
        return Choice("pixel", obstacle)
    return Choice("gram", f"exact, and faster with {num_pixels:,} pixels against {num_stored:,} images")


def _only_gram(key: str, value: str, reason: str, num_stored: int, device: torch.device) -> Choice:
    """Return the engine of what trains in Gram space or not at all."""
    lack = "device=mps has no float64; add device=cpu" if device.type == "mps" else None
    if lack := lack or _lack_of_memory(8 * num_stored**2, device):
        raise UserError.for_key(key, value, lack)
    return Choice("gram", reason)


def _lack_of_memory(num_bytes: int, device: torch.device) -> str | None:
    """Say which memory is too small for a Gram matrix: the CPU's, where there are two for a while, or the GPU's."""
    if 2 * num_bytes > _MEMORY_SHARE * memory_bytes():
        return f"the Gram matrix would take {2 * num_bytes / 1e9:.0f} GB of memory"
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        if num_bytes > _MEMORY_SHARE * total:
            return f"the Gram matrix would take {num_bytes / 1e9:.0f} of the {total / 1e9:.0f} GB of {device}"
    return None


def build_backend(
    configs: Sequence[RunConfig],
    dataset: "Dataset",
    models: Sequence[nn.Module],
    pos_weights: Sequence[float | None],
    device: torch.device,
    space: GramSpace | None,
    kernels: Kernels | None,
) -> Backend:
    """Build the backend that trains a stack of models.

    Args:
        configs: configurations of the runs; they differ only in what the members of a stack may differ in.
        dataset: their images.
        models: with their initial weights.
        pos_weights: weights of the positive class in the losses, resolved; None for 1.
        device: where to compute.
        space: the images in Gram space; None for the pixel engine, which trains one model at a time.
        kernels: what computes the models, where there is a choice.
    """
    native = kernels is not None and kernels.name == "native"
    if space is None:
        ((config,), (model,), (pos_weight,)) = configs, models, pos_weights
        if num_processes() > 1:
            # Here, because one process does without torch.distributed.
            from cxr_runner.training.distributed import LeadingBackend

            return LeadingBackend(config, dataset, pos_weight, device)
        augment = Augment(config.augment) if config.augment.enabled else None
        feed = PixelFeed(dataset.images, device)
        at_once = images_at_once(config, device)
        return PixelBackend(model, feed, config.optimizer, pos_weight, config.precision, augment, at_once, native)
    logistic = [model for model in models if isinstance(model, Logistic)]
    if logistic:
        return ConvexBackend(space, logistic, pos_weights)
    parts = [trained_part(model) for model in models]
    linear = [part for part in parts if isinstance(part, Linear | LinearReLU | LinearHead)]
    optimizers = [config.optimizer for config in configs if isinstance(config.optimizer, SGDConfig)]
    assert len(linear) == len(optimizers) == len(configs), "gram_obstacle() lets no others through"
    kind = GraphBackend if device.type == "cuda" else GramBackend
    return build_gram_backend(kind, space, linear, optimizers, pos_weights, native=native)


def build_gram_backend(
    kind: type[GramBackend],
    space: GramSpace,
    models: Sequence[Linear | LinearReLU | LinearHead],
    optimizers: Sequence[SGDConfig],
    pos_weights: Sequence[float | None],
    *,
    native: bool = False,
) -> GramBackend | MixedBackend:
    """Build the backend of members, which may have several shapes.

    Args:
        kind: the backend of one shape.
        space: the images.
        models: the members with their initial weights.
        optimizers: optimizer of each member.
        pos_weights: weight of the positive class in the loss of each member; None for 1.
        native: whether epochs are computed by kernels that were compiled for this CPU.
    """
    alike: dict[object, list[int]] = {}
    for member, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        alike.setdefault(_shape(model, optimizer), []).append(member)
    backends = [
        kind(
            space,
            [models[member] for member in group],
            [optimizers[member] for member in group],
            [pos_weights[member] for member in group],
        )
        for group in alike.values()
    ]
    groups = enumerate(alike.values())
    places = {member: (number, own) for number, group in groups for own, member in enumerate(group)}
    if native:
        return NativeBackend(space, backends, places)
    return MixedBackend(space, backends, places) if len(backends) > 1 else backends[0]


def _shape(model: Linear | LinearReLU | LinearHead, optimizer: SGDConfig) -> object:
    """Return what the members of a :class:`GramBackend` have in common; plain steps are quicker among themselves."""
    plain = not (optimizer.momentum or optimizer.weight_decay)
    return type(model), tuple(value.shape for value in model.state_dict().values()), optimizer.nesterov, plain

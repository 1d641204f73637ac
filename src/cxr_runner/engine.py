"""Which backend trains a run, and why."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cxr_runner.augment import Augment
from cxr_runner.backend import Backend
from cxr_runner.config import CNNConfig, LinearConfig, LinearReLUConfig, RunConfig, SGDConfig, gram_obstacle
from cxr_runner.dataset import Dataset
from cxr_runner.devices import moved, num_processes
from cxr_runner.errors import UserError
from cxr_runner.gram.backend import GramBackend
from cxr_runner.gram.space import GramSpace
from cxr_runner.machine import memory_bytes
from cxr_runner.models import Linear, LinearReLU
from cxr_runner.pixel import PixelBackend, PixelFeed

NUM_SAMPLE = 64  # images, of those that are looked at to check a model
_CNN_PIXELS_AT_ONCE = 8 * 640**2
_DIAGNOSED_AT_ONCE = 8
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


def choose_engine(config: RunConfig, dataset: Dataset, device: torch.device) -> Choice:
    """Choose the backend; the same configuration and data give the same choice on machines of enough memory.

    Args:
        config: of the run, checked.
        dataset: its images.
        device: where it will compute.

    Raises:
        UserError: the engine asked for cannot compute there.
    """
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
    dataset: Dataset,
    models: Sequence[nn.Module],
    pos_weights: Sequence[float | None],
    device: torch.device,
    space: GramSpace | None,
) -> Backend:
    """Build the backend that trains a stack of models.

    Args:
        configs: of the runs; they differ only in what the members of a stack may differ in.
        dataset: their images.
        models: with their initial weights.
        pos_weights: weights of the positive class in the losses, resolved; None for 1.
        device: where to compute.
        space: the images in Gram space; None for the pixel engine, which trains one model at a time.
    """
    if space is None:
        ((config,), (model,), (pos_weight,)) = configs, models, pos_weights
        if num_processes() > 1:
            from cxr_runner.ranks import LeadingBackend  # torch.distributed, which one process does without

            return LeadingBackend(config, dataset, pos_weight, device)
        augment = Augment(config.augment) if config.augment.enabled else None
        feed = PixelFeed(dataset.images, device)
        at_once = images_at_once(config, device)
        return PixelBackend(model, feed, config.optimizer, pos_weight, config.precision, augment, at_once)
    linear = [model for model in models if isinstance(model, Linear | LinearReLU)]
    optimizers = [config.optimizer for config in configs if isinstance(config.optimizer, SGDConfig)]
    assert len(linear) == len(optimizers) == len(configs), "gram_obstacle() lets no others through"
    return GramBackend(space, linear, optimizers, pos_weights)


def spread_out(num_images: int) -> Tensor:
    """Return which of many images stand for all: int64 [at most 64], evenly spread."""
    return torch.linspace(0, num_images - 1, min(NUM_SAMPLE, num_images)).long()


def sample_images(dataset: Dataset, rows: Tensor, device: torch.device) -> Tensor:
    """Return a few images as float32 [rows, 1, side, side] on the device, without moving all the others there."""
    return PixelFeed(dataset.images, torch.device("cpu")).batch(rows).to(device)


@torch.no_grad()
def largest_disagreements(
    models: Sequence[nn.Module], dataset: Dataset, rows: Tensor, logits: Tensor, device: torch.device
) -> list[float]:
    """Return for each model the largest difference between logits and those that it computes from the pixels.

    Of many images, :func:`spread_out` ones are compared: weights that are wrong are wrong for all.

    Args:
        models: with the weights that the runs leave.
        dataset: its images.
        rows: int64 [images], rows of the store.
        logits: float [models, images], as the engine computed them, on the CPU.
        device: where to compute.
    """
    chosen = spread_out(len(rows))
    images = sample_images(dataset, rows[chosen], device)
    differences = []
    for model, own_logits in zip(models, logits[:, chosen], strict=True):
        with moved(model.eval(), device):
            differences.append((model(images).cpu() - own_logits).abs().amax().item())
    return differences


def images_at_once(config: RunConfig, device: torch.device) -> int:
    """Return how many images a model computes at once in training.

    A CNN on a CPU is faster with few, whose activations stay near, and takes a fraction of the memory.
    """
    if isinstance(config.model, CNNConfig) and device.type == "cpu":
        return max(1, _CNN_PIXELS_AT_ONCE // config.data.image_size**2)
    return sys.maxsize


def diagnosed_at_once(config: RunConfig, device: torch.device) -> int:
    """Return how many images a diagnosis computes at once.

    Few, because it has no way out where a GPU's memory ends; but all of linear models, whose activations are next to
    nothing and whose weights every piece passes over.
    """
    if isinstance(config.model, LinearConfig | LinearReLUConfig):
        return NUM_SAMPLE
    return min(_DIAGNOSED_AT_ONCE, config.batch_size, images_at_once(config, device))

"""Which backend trains a run, and why."""

import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cxr_runner.augment import Augment
from cxr_runner.config import RunConfig, SGDConfig, gram_obstacle
from cxr_runner.dataset import Dataset
from cxr_runner.errors import UserError
from cxr_runner.gram import GramBackend
from cxr_runner.gram_matrix import open_gram_matrix
from cxr_runner.models import Linear, LinearReLU
from cxr_runner.pixel import PixelBackend, PixelFeed
from cxr_runner.progress import Reporter
from cxr_runner.train import Backend

_MEMORY_SHARE = 0.25  # of the machine's memory that the Gram matrix may take


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
    needed = 2 * 8 * num_stored**2
    if obstacle is None and needed > _MEMORY_SHARE * _memory_bytes():
        obstacle = f"the Gram matrix would take {needed / 1e9:.0f} GB of memory"
    if obstacle is not None:
        return Choice("pixel", obstacle)
    return Choice("gram", f"exact, and faster with {num_pixels:,} pixels against {num_stored:,} images")


def build_backend(
    engine: str,
    config: RunConfig,
    dataset: Dataset,
    model: nn.Module,
    pos_weight: float | None,
    device: torch.device,
    reporter: Reporter,
) -> Backend:
    """Build the backend that trains a model.

    Args:
        engine: ``pixel`` or ``gram``.
        config: of the run.
        dataset: its images.
        model: with its initial weights.
        pos_weight: weight of the positive class in the loss, resolved; None for 1.
        device: where to compute.
        reporter: shown the progress of building the Gram matrix.
    """
    if engine == "pixel":
        augment = Augment(config.augment) if config.augment.enabled else None
        feed = PixelFeed(dataset.images, device)
        return PixelBackend(model, feed, config.optimizer, pos_weight, config.precision, augment)
    assert isinstance(model, Linear | LinearReLU)
    assert isinstance(config.optimizer, SGDConfig)
    gram = open_gram_matrix(dataset.images, dataset.store, reporter)
    rows = torch.tensor(dataset.table.index.to_numpy())
    train_rows = torch.tensor(dataset.rows("train"))
    return GramBackend(model, dataset.images, gram, rows, train_rows, config.optimizer, pos_weight, device)


@torch.no_grad()
def largest_disagreement(
    model: nn.Module, dataset: Dataset, rows: Tensor, logits: Tensor, device: torch.device
) -> float:
    """Return the largest difference between logits and those that an ordinary model computes from the pixels.

    Args:
        model: with the weights that the run leaves.
        dataset: its images.
        rows: int64 [images], rows of the store.
        logits: float [images], as the engine computed them.
        device: where to compute.
    """
    feed, model = PixelFeed(dataset.images, device), model.to(device).eval()
    batches = [model(feed.batch(batch)).cpu() for batch in rows.split(64)]  # type: ignore[no-untyped-call]
    return (torch.cat(batches) - logits).abs().max().item()


def _memory_bytes() -> float:
    """Return the machine's memory; infinity where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return float("inf")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

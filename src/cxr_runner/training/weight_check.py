"""Whether finished weights give, on pixels, the logits that an engine computed without them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cxr_runner.models.classifier import Classifier, trained_part
from cxr_runner.training.devices import moved
from cxr_runner.training.diagnosis import spread_out
from cxr_runner.training.pixel import PixelFeed

if TYPE_CHECKING:  # a backend is handed images, it opens none
    from cxr_runner.data.dataset import Dataset


@torch.no_grad()
def largest_disagreements(
    models: Sequence[nn.Module], dataset: "Dataset", rows: Tensor, logits: Tensor, device: torch.device
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
    feed = PixelFeed(dataset.images, torch.device("cpu"))  # of which a GPU gets a few images alone
    models, images = _parts_that_are_trained(models, feed.batch(rows[chosen]).to(device))
    differences = []
    for model, engine_logits in zip(models, logits[:, chosen], strict=True):
        with moved(model.eval(), device):
            differences.append((model(images).cpu() - engine_logits).abs().amax().item())
    return differences


def _parts_that_are_trained(models: Sequence[nn.Module], images: Tensor) -> tuple[Sequence[nn.Module], Tensor]:
    """Return frozen models as their last layers, and images as what goes into these; other models as they are.

    The layers before are the same ones in all of them.

    Args:
        models: of one shape.
        images: float32 [images, 1, side, side], on the device.
    """
    first = models[0]
    if not isinstance(first, Classifier) or not first.frozen:
        return models, images
    with moved(first.eval(), images.device):
        return [trained_part(model) for model in models], first.features(images)

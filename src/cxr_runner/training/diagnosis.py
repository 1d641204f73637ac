"""Why a run collapsed: units that are dead, and gradients that have vanished, at the start and at the end of training.

A ReLU whose input is never positive gives 0 for every image and passes no gradient back: a dead unit, which plain SGD
cannot revive. Where the last one is dead, or a whole layer, the model answers every image alike. Source: Lu et al.,
"Dying ReLU and initialization: theory and numerical examples", Communications in Computational Physics 28 (2020).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.config.schema import LinearConfig, LinearReLUConfig, LogisticConfig, RunConfig
from cxr_runner.models.build import rectified_layers
from cxr_runner.models.classifier import Classifier, trained_part
from cxr_runner.training.devices import moved
from cxr_runner.training.loop import Subset
from cxr_runner.training.pixel import PixelFeed, images_at_once

if TYPE_CHECKING:  # a backend is handed images, it opens none
    from cxr_runner.data.dataset import Dataset

NUM_SAMPLE = 64  # images, of those that are looked at to check a model
_DIAGNOSED_AT_ONCE = 8


def diagnose_all(
    models: Sequence[nn.Module],
    pos_weights: Sequence[float | None],
    train: Subset,
    config: RunConfig,
    dataset: "Dataset",
    device: torch.device,
) -> list[dict[str, Any]]:
    """Diagnose models of one shape on a few training images, as :func:`diagnose` does; they stay as they are.

    Args:
        models: the models.
        pos_weights: weights of the positive class in their losses; None for 1.
        train: the training images.
        config: configuration of one of the runs.
        dataset: the images.
        device: where to compute.
    """
    chosen = spread_out(len(train.rows))
    images, labels = sample_images(dataset, train.rows[chosen], device), train.labels[chosen]
    at_once = diagnosed_at_once(config, device)
    models, images = _parts_that_are_trained(models, images, at_once)
    diagnoses = []
    for model, pos_weight in zip(models, pos_weights, strict=True):
        with moved(model, device):
            diagnoses.append(diagnose(model, rectified_layers(model), images, labels, pos_weight, at_once))
    return diagnoses


def diagnose(
    model: nn.Module,
    rectified: Sequence[str],
    images: Tensor,
    targets: Tensor,
    pos_weight: float | None,
    at_once: int,
) -> dict[str, Any]:
    """Look at a model's units and gradients; the model stays as it is.

    Args:
        model: maps images to logits, float [images].
        rectified: names of its layers that a ReLU follows directly; units are their outputs or channels.
        images: float32 [images, 1, side, side], on the model's device.
        targets: float32 [images], 0 or 1.
        pos_weight: weight of the positive class in the loss; None for 1.
        at_once: number of images computed at a time; the model is in eval mode, where pieces add up to the whole.

    Returns:
        ``dead_units``: by layer, the share of units that are 0 for all images; ``gradient_norms``: by parameter, the
        Euclidean norm of the gradient of the mean loss over the images; None where it is not finite.
    """
    highest: dict[str, Tensor] = {}  # output of each unit or channel over all images so far

    def watch(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, outputs: Tensor) -> None:
            now = outputs.detach().transpose(0, 1).flatten(1).amax(dim=1)
            highest[name] = torch.maximum(highest[name], now) if name in highest else now

        return look

    hooks = [model.get_submodule(name).register_forward_hook(watch(name)) for name in rectified]
    training = model.training
    model.eval()
    try:
        gradients = _mean_gradients(model, images, targets.to(images.device), pos_weight, at_once)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    # On the CPU, because MPS has no float64.
    dead = {name: (values.cpu() <= 0).double().mean().item() for name, values in highest.items()}
    norms = {
        name: torch.linalg.vector_norm(gradient.cpu(), dtype=torch.float64).item()
        for name, gradient in gradients.items()
    }
    finite = {name: norm if math.isfinite(norm) else None for name, norm in norms.items()}
    return {"dead_units": dead, "gradient_norms": finite}


def _mean_gradients(
    model: nn.Module, images: Tensor, targets: Tensor, pos_weight: float | None, at_once: int
) -> dict[str, Tensor]:
    """Return by parameter the gradient of the mean loss, computed a few images at a time."""
    weight = None if pos_weight is None else torch.tensor(pos_weight, device=images.device)
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for start in range(0, len(images), at_once):
        batch = slice(start, start + at_once)
        logits = model(images[batch])
        loss = binary_cross_entropy_with_logits(logits, targets[batch], pos_weight=weight, reduction="sum")
        gradients = torch.autograd.grad(loss / len(images), list(parameters.values()), allow_unused=True)
        for sum_so_far, gradient in zip(total.values(), gradients, strict=True):
            if gradient is not None:
                sum_so_far += gradient
    return total


def explain_collapse(start: dict[str, Any], end: dict[str, Any]) -> str:
    """Say in one sentence why a run collapsed, as far as its diagnosis tells.

    Args:
        start: as :func:`diagnose` returned it before training.
        end: likewise, after it.
    """
    for name, share in end["dead_units"].items():
        if share == 1:
            when = "from the start" if start["dead_units"].get(name) == 1 else "by the end of training"
            return f"every unit of layer {name} was dead {when}: no gradient reaches the layers before it"
    norms = [norm for norm in end["gradient_norms"].values() if norm is not None]
    if norms and max(norms) < 1e-6:
        return "all gradients have vanished, though no layer is dead as a whole"
    return "no dead layer and no vanished gradient: the outputs are equal for another reason"


def spread_out(num_images: int) -> Tensor:
    """Return which of many images stand for all: int64 [at most 64], evenly spread."""
    return torch.linspace(0, num_images - 1, min(NUM_SAMPLE, num_images)).long()


def sample_images(dataset: "Dataset", rows: Tensor, device: torch.device) -> Tensor:
    """Return a few images as float32 [rows, 1, side, side] on the device, without moving all the others there."""
    return PixelFeed(dataset.images, torch.device("cpu")).batch(rows).to(device)


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
    images = sample_images(dataset, rows[chosen], device)
    models, images = _parts_that_are_trained(models, images, len(images))
    differences = []
    for model, engine_logits in zip(models, logits[:, chosen], strict=True):
        with moved(model.eval(), device):
            differences.append((model(images).cpu() - engine_logits).abs().amax().item())
    return differences


def _parts_that_are_trained(
    models: Sequence[nn.Module], images: Tensor, at_once: int
) -> tuple[Sequence[nn.Module], Tensor]:
    """Return frozen models as their last layers, and images as what goes into these; other models as they are.

    The layers before are the same ones in all of them.

    Args:
        models: of one shape.
        images: float32 [images, 1, side, side], on the device.
        at_once: number of images computed at a time.
    """
    first = models[0]
    if not isinstance(first, Classifier) or not first.frozen:
        return models, images
    with moved(first.eval(), images.device):
        pieces = [first.features(piece) for piece in images.split(at_once)]  # type: ignore[no-untyped-call]
    return [trained_part(model) for model in models], torch.cat(pieces)


def diagnosed_at_once(config: RunConfig, device: torch.device) -> int:
    """Return how many images a diagnosis computes at once.

    Few, because nothing catches it where the memory of a GPU does not suffice; but all of a linear model's, whose
    activations take next to no memory and whose weights are read once for every piece.
    """
    if isinstance(config.model, LinearConfig | LinearReLUConfig | LogisticConfig):
        return NUM_SAMPLE
    return min(_DIAGNOSED_AT_ONCE, config.batch_size, images_at_once(config, device))

"""Why a run collapsed: units that are dead, and gradients that have vanished, at the start and at the end of training.

A ReLU whose input is never positive gives 0 for every image and passes no gradient back: a dead unit, which plain SGD
cannot revive. Where the last one is dead, or a whole layer, the model answers every image alike. Source: Lu et al.,
"Dying ReLU and initialization: theory and numerical examples", Communications in Computational Physics 28 (2020).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

NUM_SAMPLE = 64  # images, of those that are looked at to check a model


def diagnose(
    model: nn.Module,
    rectified: Sequence[str],
    images: Tensor,
    targets: Tensor,
    pos_weight: Tensor | None,
    at_once: int,
) -> dict[str, Any]:
    """Look at a model's units and gradients; the model stays as it is.

    Args:
        model: maps images to logits, float [images].
        rectified: names of its layers that a ReLU follows directly; units are their outputs or channels.
        images: float32 [images, 1, side, side], on the model's device.
        targets: float32 [images], 0 or 1.
        pos_weight: weight of the positive class in the loss, float [], on that device; None for 1.
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
    dead = {name: dead_share(values.cpu()) for name, values in highest.items()}
    norms = {
        name: torch.linalg.vector_norm(gradient.cpu(), dtype=torch.float64).item()
        for name, gradient in gradients.items()
    }
    return describe_diagnosis(dead, norms)


def dead_share(highest: Tensor) -> float:
    """Return the share of units that are dead, by the highest input of each one's ReLU: float [units], on the CPU."""
    return (highest <= 0).double().mean().item()


def describe_diagnosis(dead_units: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, Any]:
    """Return a diagnosis ready for JSON, which has no numbers that are not finite."""
    finite = {name: norm if math.isfinite(norm) else None for name, norm in gradient_norms.items()}
    return {"dead_units": dead_units, "gradient_norms": finite}


def _mean_gradients(
    model: nn.Module, images: Tensor, targets: Tensor, pos_weight: Tensor | None, at_once: int
) -> dict[str, Tensor]:
    """Return by parameter the gradient of the mean loss, computed a few images at a time."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for start in range(0, len(images), at_once):
        batch = slice(start, start + at_once)
        logits = model(images[batch])
        loss = binary_cross_entropy_with_logits(logits, targets[batch], pos_weight=pos_weight, reduction="sum")
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

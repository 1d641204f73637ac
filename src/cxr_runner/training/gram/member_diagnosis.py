"""Dead units and gradients of a member, from what its first layer gives for a few images and their inner products.

With images X and gradients S of the first layer's outputs, the gradient of its weights is ``S^T X``, and the square of
its norm the trace of ``S^T (X X^T) S``: no pixel is looked at, nor a weight of the first layer.
"""

from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.training.diagnosis import dead_share, describe_diagnosis
from cxr_runner.training.gram.head import Head, cross_entropy

_NUMBERS_AT_ONCE = 2**24  # float64, of a layer times some images: 0.1 GB


def diagnose_member(
    head: Head, outputs: Tensor, rest: Tensor, pos_weight: Tensor, targets: Tensor, among: Tensor
) -> dict[str, Any]:
    """Diagnose a member; see :func:`~cxr_runner.training.diagnosis.diagnose`. All is float64, on the CPU.

    Args:
        head: its layers behind the first.
        outputs: of its first layer, without the bias, [images, outputs].
        rest: all its parameters but the first weights, flat.
        pos_weight: weight of the positive class in its loss, [].
        targets: [images], 0 or 1.
        among: inner products of the images, [images, images].
    """
    parameters, gradients, slopes = head.unflatten(rest[None]), torch.zeros_like(rest), torch.empty_like(outputs)
    highest: dict[str, Tensor] = {}  # input of each unit's ReLU, over all images so far
    at_once = _NUMBERS_AT_ONCE // max(shape.numel() for shape in head.shapes.values())
    for images in torch.split(torch.arange(len(outputs)), max(1, at_once)):
        logits, inputs = head.forward(outputs[None, images], parameters)
        of_logits = cross_entropy(logits, targets[None, images], pos_weight[None])[1] * (len(images) / len(outputs))
        of_outputs, of_parameters = head.backward(of_logits, inputs, parameters)
        slopes[images] = of_outputs[0]
        gradients += of_parameters[0]
        for number, (layer, values) in enumerate(zip(head.layers, inputs, strict=True), start=1):
            if isinstance(layer, nn.ReLU):
                name, now = f"layer_stack.{number}", values[0].amax(dim=0)
                highest[name] = torch.maximum(highest.get(name, now), now)
    norms = {"layer_stack.1.weight": (slopes * (among @ slopes)).sum().clamp(min=0).sqrt().item()}
    for name, (values,) in head.unflatten(gradients[None]).items():
        norms[f"layer_stack.{'1.bias' if name == 'bias' else name}"] = values.norm().item()
    return describe_diagnosis({name: dead_share(values) for name, values in highest.items()}, norms)

"""Convolutions of few channels, whose weight gradients take another way on a GPU."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

_FEW = 16  # channels: Triton's products are 16 wide at least


class FewChannels(nn.Conv2d):
    """A ``Conv2d`` that keeps the size of an image, for few channels.

    Its numbers are torch's but for rounding. Where runs have to be repeatable, on a GPU and in float32, its weight
    gradient is :func:`~cxr_runner.models.weight_gradient.weight_gradient`, faster than what cuDNN offers then.
    """

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        """Build the layer.

        Args:
            inputs: number of input channels.
            outputs: number of output channels, the filters.
            side: side of the filters, odd.
        """
        super().__init__(inputs, outputs, side, padding=side // 2)

    def _get_name(self) -> str:
        return "Conv2d"  # to whoever reads a description of the layers

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float [batch, inputs, height, width], to float [batch, outputs, height, width]."""
        if torch.is_grad_enabled() and max(self.weight.shape[:2]) <= _FEW and has_own_weight_gradient(images):
            result: Tensor = _OwnWeightGradient.apply(images, self.weight, self.bias)
            return result
        return super().forward(images)


def has_own_weight_gradient(images: Tensor) -> bool:
    """Whether weight gradients for such images are computed here and not by cuDNN."""
    repeatable = torch.backends.cudnn.deterministic and not torch.is_autocast_enabled(images.device.type)
    return images.is_cuda and images.dtype == torch.float32 and repeatable and _has_triton()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None  # torch for Windows comes without


class _OwnWeightGradient(torch.autograd.Function):
    """A convolution whose weight gradient is computed here."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        context.save_for_backward(images, weight)
        return nn.functional.conv2d(images, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        from cxr_runner.models.weight_gradient import weight_gradient

        ((images, weight), (slope,)) = context.saved_tensors, slopes
        side, back = weight.shape[2], None
        if context.needs_input_grad[0]:
            back = conv2d_input(images.shape, weight, slope, padding=side // 2)  # type: ignore[no-untyped-call]
        return back, weight_gradient(images, slope, side), slope.sum(dim=(0, 2, 3))

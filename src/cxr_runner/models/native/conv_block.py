"""A block conv-ReLU-conv-maxpool-ReLU on a CPU, forward and backward, by ``conv_block.cpp``."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from cxr_runner.models.native.compiler import CompilerError, load_library

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int


class _Weights(ctypes.Structure):
    """Addresses of the weights, in the orders that ``conv_block.cpp`` wants them in."""

    _fields_ = tuple(
        (name, _POINTER)
        for name in ("first", "first_bias", "second", "second_bias", "first_mirrored", "second_mirrored")
    )


def conv_block(images: Tensor, first: Tensor, first_bias: Tensor, second: Tensor, second_bias: Tensor) -> Tensor:
    """Convolve twice with a ReLU between, take the largest of every 2x2 pixels, and apply a ReLU; differentiable.

    The numbers are those of torch but for rounding. Those of an image depend neither on the images beside it nor on the
    number of threads; gradients of weights are added up image by image.

    Args:
        images: float32 [batch, inputs, height, width], on the CPU.
        first: weights of the first convolution, float32 [filters, inputs, side, side], side odd; images are padded with
            zeros so that they keep their size.
        first_bias: float32 [filters].
        second: weights of the second convolution, float32 [filters, filters, side, side].
        second_bias: float32 [filters].

    Returns:
        float32 [batch, filters, height // 2, width // 2].

    Raises:
        CompilerError: it cannot be compiled; see :func:`load_conv_block`.
        TypeError: numbers are of another type, or on a GPU; the library would read whatever lies there.
    """
    tensors = (images, first, first_bias, second, second_bias)
    if any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in tensors):
        raise TypeError("images and weights must be float32, on the CPU")
    if torch.is_grad_enabled():
        result: Tensor = _ConvBlock.apply(images, first, first_bias, second, second_bias)
        return result
    return _forward(images.contiguous(), (first, first_bias, second, second_bias), None)


@cache
def load_conv_block(inputs: int, filters: int, side: int) -> ctypes.CDLL:
    """Compile the block for one shape, unless that was done before, and try it against torch.

    Args:
        inputs: number of input channels.
        filters: number of output channels of both convolutions.
        side: side of the filters, odd.

    Raises:
        CompilerError: there is no compiler, it refuses, or what comes out computes something else.
    """
    source = Path(__file__).with_suffix(".cpp")
    library = load_library(source, {"INPUTS": inputs, "FILTERS": filters, "SIDE": side})
    sizes = [_INT, _INT, _INT, _INT]  # batch, height, width, threads
    library.forward.argtypes = [_POINTER, ctypes.POINTER(_Weights), _POINTER, _POINTER, *sizes]
    library.backward.argtypes = [_POINTER] * 3 + [ctypes.POINTER(_Weights), _POINTER, _POINTER, *sizes]
    library.forward.restype = library.backward.restype = None
    _try(library, inputs, filters, side)
    return library


class _ConvBlock(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor, *weights: Tensor) -> Tensor:
        images, filters = images.contiguous(), len(weights[0])
        pooled = (len(images), filters, images.shape[2] // 2, images.shape[3] // 2)
        which = torch.empty(pooled, dtype=torch.uint8)
        context.save_for_backward(images, which, *weights)
        return _forward(images, weights, which)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        images, which, *weights = context.saved_tensors
        return _backward(images, slopes[0].contiguous(), which, tuple(weights), context.needs_input_grad[0])


def _forward(images: Tensor, weights: tuple[Tensor, ...], which: Tensor | None, library: Any = None) -> Tensor:
    """Return what comes out; ``which`` is filled with the corner of every 2x2 pixels that was the largest."""
    (batch, inputs, height, width), (filters, _, side, _) = images.shape, weights[0].shape
    library = library or load_conv_block(inputs, filters, side)
    pooled = torch.empty(batch, filters, height // 2, width // 2)
    kept, addresses = _arranged(weights)
    sizes = batch, height, width, torch.get_num_threads()
    library.forward(images.data_ptr(), addresses, pooled.data_ptr(), _address(which), *sizes)
    del kept  # not before: the library reads them
    return pooled


def _backward(
    images: Tensor,
    slopes: Tensor,
    which: Tensor,
    weights: tuple[Tensor, ...],
    back_to_images: bool,
    library: Any = None,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the images, where they are wanted, and of the weights."""
    (batch, inputs, height, width), (filters, _, side, _) = images.shape, weights[0].shape
    library = library or load_conv_block(inputs, filters, side)
    back = torch.empty_like(images) if back_to_images else None
    counts = [weight.numel() for weight in weights]
    of_images = torch.empty(batch, sum(counts))
    kept, addresses = _arranged(weights)
    sizes = batch, height, width, torch.get_num_threads()
    library.backward(
        images.data_ptr(), slopes.data_ptr(), which.data_ptr(), addresses, _address(back), of_images.data_ptr(), *sizes
    )
    del kept
    gradients = torch.split(of_images.sum(dim=0), counts)
    shaped = (gradient.view(weight.shape) for gradient, weight in zip(gradients, weights, strict=True))
    return back, *shaped


def _arranged(weights: tuple[Tensor, ...]) -> tuple[list[Tensor], Any]:
    """Return copies of the weights as the library reads them, and their addresses."""
    first, first_bias, second, second_bias = (weight.detach() for weight in weights)
    kept = [first.permute(1, 2, 3, 0), first_bias, second.permute(1, 2, 3, 0), second_bias]
    kept += [weight.flip(2, 3).permute(0, 2, 3, 1) for weight in (first, second)]
    kept = [tensor.contiguous() for tensor in kept]
    return kept, ctypes.byref(_Weights(*(tensor.data_ptr() for tensor in kept)))


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _try(library: Any, inputs: int, filters: int, side: int) -> None:
    """Compare a library with torch, by small whole numbers, which leave nothing to round; compilers err in silence."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(2, inputs, 7, 38), (filters, inputs, side, side), (filters,), (filters, filters, side, side), (filters,)]
    images, *weights = (torch.randint(-2, 3, shape, generator=draw).float() for shape in shapes)
    slopes, which = (
        torch.randint(-2, 3, (2, filters, 3, 19), generator=draw).float(),
        torch.empty(2, filters, 3, 19, dtype=torch.uint8),
    )
    pooled = _forward(images, tuple(weights), which, library)
    ours = [pooled, *_backward(images, slopes, which, tuple(weights), True, library)]
    with torch.enable_grad():
        asked = [tensor.double().requires_grad_() for tensor in (images, *weights)]
        pixels, first, first_bias, second, second_bias = asked
        hidden = conv2d(pixels, first, first_bias, padding=side // 2).relu()
        expected = max_pool2d(conv2d(hidden, second, second_bias, padding=side // 2), 2).relu()
        theirs = [expected, *torch.autograd.grad(expected, asked, slopes.double())]
    if not all(one is not None and torch.equal(one.double(), other) for one, other in zip(ours, theirs, strict=True)):
        raise CompilerError("what was compiled does not compute what torch does")

"""Pictures of what a network looks at: its linear map, integrated gradients, Grad-CAM and the local map of an image."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

STEPS = 64  # of integrated gradients
_AT_ONCE = 16  # images of a path that are computed together
_LINEAR = (nn.Flatten, nn.Linear, nn.Identity, nn.Dropout)  # a network of these alone may be one linear map

Picture = NDArray[np.float64]


class PixelMap(NamedTuple):
    """A network that is one linear map: weights, float64 [side, side], and bias."""

    weight: Picture
    bias: float


class Attribution(NamedTuple):
    """What adds up to a logit.

    Attributes:
        picture: float64 [side, side], what each pixel adds to the logit.
        start: logit of the image that it begins at.
        error: by how much the sum of both misses the logit.
    """

    picture: Picture
    start: float
    error: float


def linear_map(network: nn.Module, side: int) -> PixelMap | None:
    """Return the linear map that a network is, however many layers it has; None where it is none.

    Args:
        network: maps images, float [batch, 1, side, side], to logits, float [batch].
        side: side of the images, in pixels.
    """
    if not all(isinstance(layer, _LINEAR) for layer in network.modules() if not list(layer.children())):
        return None
    double = copy.deepcopy(network).double().cpu().eval()
    black = torch.zeros(1, 1, side, side, dtype=torch.float64)
    weight, bias = _gradient(double, black)[0, 0], float(double(black).detach())
    # What a forward method does between its layers shows in numbers alone.
    tried = torch.rand(4, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = (tried[:, 0] * weight).sum(dim=(1, 2)) + bias
        if not torch.allclose(double(tried), expected, rtol=1e-9, atol=1e-9):
            return None
    return PixelMap(weight.numpy(), bias)


def integrated_gradients(
    network: nn.Module, image: NDArray[np.floating], start: NDArray[np.floating], steps: int = STEPS
) -> Attribution:
    """Share out the difference between the logits of two images among the pixels.

    The gradient is averaged over the straight line between them, at the middles of equal steps.

    Args:
        network: maps images, float32 [batch, 1, side, side], to logits, float32 [batch].
        image: float [side, side], from 0 to 1.
        start: the image that the line begins at, likewise.
        steps: on the line.

    Source:
        Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
    """
    end, begin = (torch.from_numpy(np.asarray(one, np.float32))[None, None] for one in (image, start))
    shares = (torch.arange(steps, dtype=torch.float32) + 0.5) / steps
    total = torch.zeros(end.shape[2:], dtype=torch.float64)
    for some in shares.split(_AT_ONCE):  # type: ignore[no-untyped-call]
        points = begin + some[:, None, None, None] * (end - begin)
        total += _gradient(network, points).double().sum(dim=(0, 1))
    picture = (total / steps * (end - begin)[0, 0].double()).numpy()
    with torch.no_grad():
        logit, first = (float(network(one)) for one in (end, begin))
    return Attribution(picture, first, float(picture.sum()) + first - logit)


def local_map(network: nn.Module, image: NDArray[np.floating]) -> Picture:
    """Return the gradient of the logit: of a piecewise linear network, the weights that this image meets.

    Args:
        network: maps images, float32 [batch, 1, side, side], to logits, float32 [batch].
        image: float [side, side], from 0 to 1.

    Returns:
        float64 [side, side].
    """
    return _gradient(network, torch.from_numpy(np.asarray(image, np.float32))[None, None])[0, 0].double().numpy()


def grad_cam(network: nn.Module, image: NDArray[np.floating], *, positive: bool) -> Picture | None:
    """Return where the last convolution sees what speaks for a class; None of a network without convolutions.

    Args:
        network: maps images, float32 [batch, 1, side, side], to logits, float32 [batch].
        image: float [side, side], from 0 to 1.
        positive: whether what raises the logit is meant, or what lowers it.

    Returns:
        float64 [side, side], at least 0.

    Source:
        Selvaraju et al., Grad-CAM, ICCV 2017. Of the outputs of the layer as they leave it.
    """
    given = torch.from_numpy(np.asarray(image, np.float32))[None, None].requires_grad_()
    with _last_convolution(network) as seen, torch.enable_grad():
        logit = network(given).sum()
        if not seen:
            return None
        outputs, before = seen[-1]
        (slopes,) = torch.autograd.grad(logit if positive else -logit, before)
    weighted = (slopes.mean(dim=(2, 3), keepdim=True) * outputs).sum(dim=1, keepdim=True).clamp(min=0)
    large = interpolate(weighted, size=given.shape[2:], mode="bilinear", align_corners=False)
    return large[0, 0].double().numpy()


@contextmanager
def _last_convolution(network: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect the outputs of convolutions as they run: a copy of each, and the one that gradients are asked of."""
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, __: object, outputs: Tensor) -> Tensor:
        seen[:] = [(outputs.detach().clone(), outputs)]
        return outputs.clone()  # which the network may overwrite

    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    handles = [layer.register_forward_hook(keep) for layer in convolutions]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _gradient(network: nn.Module, images: Tensor) -> Tensor:
    with torch.enable_grad():
        given = images.clone().requires_grad_()
        (slopes,) = torch.autograd.grad(network(given).sum(), given)
    return slopes.detach()

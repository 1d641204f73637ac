"""Epochs and answers of members that see the same images, on a CPU, by ``native_epoch.cpp``."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from cxr_runner.models.native.compiler import CompilerError, load_library

_POINTER, _INT32, _INT64, _DOUBLE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
_ADDRESSES = (
    *("coordinates", "coordinates_velocity", "decay", "decay_velocity", "rest", "rest_velocity"),
    *("starts", "lrs", "targets", "losses", "logits", "layers"),
)
_TRIAL = {"lr": 0.001, "momentum": 0.9, "weight_decay": 0.1, "pos_weight": 0.5}  # of what is compiled


class NativeLayer(ctypes.Structure):
    """A layer behind the first: a linear one, or a ReLU, whose sizes are 0."""

    _fields_ = (("inputs", _INT32), ("outputs", _INT32))


class NativeMember(ctypes.Structure):
    """A member as the library sees it; ``Member`` in ``native_epoch.cpp`` says what is what.

    It holds addresses of tensors, which have to outlive it.
    """

    _fields_ = (
        *((name, _POINTER) for name in _ADDRESSES),
        *((name, _DOUBLE) for name in ("momentum", "weight_decay", "pos_weight")),
        ("silent", _INT64),
        *((name, _INT32) for name in ("outputs", "width", "num_layers", "num_rest", "nesterov", "counts_silent")),
    )


@dataclass(frozen=True)
class NativeImages:
    """Images that members see.

    Attributes:
        gram: K, float64 [images, at least num_train], on the CPU.
        num_train: number of its columns, those of the training images.
        positions: int64 [some images], where they stand in K, in their order.
    """

    gram: Tensor
    num_train: int
    positions: Tensor


class NativeEpoch:
    """The library: epochs and answers of members, in which it leaves what changes where their addresses point."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Say what the functions of the library take."""
        images = (_POINTER, _INT64, ctypes.c_int, _POINTER, ctypes.c_int)
        self._answer, self._train_epoch = library.answer, library.train_epoch
        self._answer.argtypes = (*images, _POINTER, ctypes.c_int)
        self._train_epoch.argtypes = (*images, ctypes.c_int, _POINTER, ctypes.c_int)
        self._answer.restype = self._train_epoch.restype = None

    def train(self, images: NativeImages, batch_size: int, members: Sequence[NativeMember]) -> None:
        """Train members for an epoch, in batches of the images in their order."""
        array = (NativeMember * len(members))(*members)
        self._train_epoch(*_addresses(images), batch_size, array, len(members))
        for member, trained in zip(members, array, strict=True):
            member.silent = trained.silent

    def answer(self, images: NativeImages, members: Sequence[NativeMember]) -> None:
        """Have members give their logits of images."""
        self._answer(*_addresses(images), (NativeMember * len(members))(*members), len(members))


def _addresses(images: NativeImages) -> tuple[int, ...]:
    gram, positions = images.gram, images.positions
    return gram.data_ptr(), gram.stride(0), images.num_train, positions.data_ptr(), len(positions)


@cache
def load_native_epoch() -> NativeEpoch:
    """Compile the library, unless that was done before, and try it against torch.

    Raises:
        CompilerError: there is no compiler, it refuses, or what comes out computes something else.
    """
    native = NativeEpoch(load_library(Path(__file__).with_suffix(".cpp"), {}))
    _try(native)
    return native


@torch.inference_mode(mode=False)
def _try(native: NativeEpoch) -> None:
    """Train a small model for an epoch and compare it with one trained by autograd; compilers err in silence."""
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    # More images than a window holds, and more than one block of columns, with some over.
    images, weight, bias, last_weight, last_bias = random(300, 320), random(3, 320), random(3), random(1, 3), random(1)
    order, targets = torch.randperm(300, generator=draw), (random(300) > 0).float()
    layers, rest = (NativeLayer * 2)(NativeLayer(0, 0), NativeLayer(3, 1)), (bias, last_weight, last_bias)
    tensors = {
        "coordinates": torch.zeros(300, 4, dtype=torch.float64),
        "decay": torch.ones(1, dtype=torch.float64),
        "rest": _flat(rest),
        "starts": pad(images @ weight.T, (0, 1)),
        "lrs": torch.full((5,), _TRIAL["lr"], dtype=torch.float64),
        "targets": targets[order],
        "losses": random(5),
        "logits": random(300),
    }
    tensors |= {f"{name}_velocity": torch.zeros_like(tensors[name]) for name in ("coordinates", "decay", "rest")}
    member = NativeMember(
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
        layers=ctypes.addressof(layers),
        **{name: _TRIAL[name] for name in ("momentum", "weight_decay", "pos_weight")},
        outputs=3,
        width=4,
        num_layers=2,
        num_rest=len(tensors["rest"]),
    )
    seen = NativeImages(images @ images.T, 300, order)
    native.train(seen, 60, [member])
    native.answer(seen, [member])
    losses, trained = _train_by_autograd(images[order], targets[order].double(), 60, [weight, *rest])
    first = tensors["decay"] * weight + tensors["coordinates"][:, :3].T @ images
    ours = tensors["losses"], tensors["logits"], first, tensors["rest"]
    theirs = losses, _logits(images[order], trained), trained[0], _flat(trained[1:])
    if not all(torch.allclose(one, other, rtol=1e-9, atol=1e-12) for one, other in zip(ours, theirs, strict=True)):
        raise CompilerError("what was compiled does not compute what torch does")


@torch.enable_grad()
def _train_by_autograd(
    images: Tensor, targets: Tensor, batch_size: int, trained: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """Train the small model for an epoch by SGD as ``torch.optim`` takes it. Returns losses, and what was trained."""
    velocity, losses = [torch.zeros_like(value) for value in trained], []
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        trained = [value.detach().requires_grad_() for value in trained]
        logits, pos_weight = _logits(images[batch], trained), targets.new_tensor(_TRIAL["pos_weight"])
        losses.append(binary_cross_entropy_with_logits(logits, targets[batch], pos_weight=pos_weight))
        for value, slope, speed in zip(trained, torch.autograd.grad(losses[-1], trained), velocity, strict=True):
            speed.mul_(_TRIAL["momentum"]).add_(slope + _TRIAL["weight_decay"] * value.detach())
        trained = [value.detach() - _TRIAL["lr"] * speed for value, speed in zip(trained, velocity, strict=True)]
    return torch.stack(losses).detach(), trained


def _logits(images: Tensor, trained: Sequence[Tensor]) -> Tensor:
    """Return what a ReLU between two linear layers makes of images."""
    hidden = (images @ trained[0].T + trained[1]).relu()
    return (hidden @ trained[2].T + trained[3]).squeeze(1)


def _flat(values: Sequence[Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in values])

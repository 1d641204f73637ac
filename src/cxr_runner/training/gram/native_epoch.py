"""Epochs and answers of members that see the same images, on a CPU, by ``native_epoch.cpp``."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.models.native.compiler import CompilerError, load_library

_POINTER, _INT32, _INT64, _DOUBLE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
_ADDRESSES = (
    *("coordinates", "coordinates_velocity", "decay", "decay_velocity", "rest", "rest_velocity"),
    *("starts", "lrs", "targets", "losses", "logits", "layers"),
)


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
@torch.enable_grad()
def _try(native: NativeEpoch) -> None:
    """Take three steps of a small model, and compare them with those of autograd; compilers err in silence."""
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    images, weight, bias, last_weight, last_bias = random(40, 50), random(3, 50), random(3), random(1, 3), random(1)
    order, targets, lr, pos_weight = torch.randperm(40, generator=draw), (random(40) > 0).float(), 0.01, 0.5
    layers = (NativeLayer * 2)(NativeLayer(0, 0), NativeLayer(3, 1))
    tensors = {
        "coordinates": torch.zeros(40, 3, dtype=torch.float64),
        "decay": torch.ones(1, dtype=torch.float64),
        "rest": torch.cat([bias, last_weight.flatten(), last_bias]),
        "starts": images @ weight.T,
        "lrs": torch.full((3,), lr, dtype=torch.float64),
        "targets": targets[order],
        "losses": random(3),
        "logits": random(40),
    }
    addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    sizes = {"outputs": 3, "width": 3, "num_layers": 2, "num_rest": len(tensors["rest"])}
    member = NativeMember(**addresses, **sizes, layers=ctypes.addressof(layers), pos_weight=pos_weight)
    gram = images @ images.T
    native.train(NativeImages(gram, 40, order), 17, [member])

    trained, expected = [weight, bias, last_weight, last_bias], []
    for batch in torch.split(order, 17):
        trained = [value.detach().requires_grad_() for value in trained]
        hidden = (images[batch] @ trained[0].T + trained[1]).relu()
        logits = (hidden @ trained[2].T + trained[3]).squeeze(1)
        weights = torch.tensor(pos_weight, dtype=torch.float64)
        loss = binary_cross_entropy_with_logits(logits, targets[batch].double(), pos_weight=weights)
        slopes = torch.autograd.grad(loss, trained)
        trained = [value - lr * slope for value, slope in zip(trained, slopes, strict=True)]
        expected.append(logits)
    moved = images @ (trained[0] - weight).T
    right = [
        torch.allclose(tensors["logits"], torch.cat(expected)),
        torch.allclose(gram @ tensors["coordinates"], moved),
    ]
    native.answer(NativeImages(gram, 40, order), [member])
    hidden = (images[order] @ trained[0].T + trained[1]).relu()
    right.append(torch.allclose(tensors["logits"], (hidden @ trained[2].T + trained[3]).squeeze(1)))
    if not all(right):
        raise CompilerError("what was compiled does not compute what torch does")

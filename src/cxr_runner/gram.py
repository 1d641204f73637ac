"""The Gram-space backend: exact SGD on a wide first layer without touching the pixels.

Every SGD gradient of the first layer's weights is a combination of training images, so at all times
``W = c W0 + A X``, with X the training images, A [hidden, images] and a scalar c that only weight decay moves.
Instead of W, A and c are trained:

- forward: ``z = c (X W0^T)[batch] + K[batch] A^T + b`` with ``K = X_all X_train^T``, computed once per store;
- backward: ``A[:, batch]`` receives ``delta^T``, which is the whole gradient of W in these coordinates; momentum,
  Nesterov and weight decay act on A and c exactly as they act on W.

A step costs batch x images x hidden instead of batch x pixels x hidden. K has large entries that nearly cancel, so
everything is float64. At the end W is materialised, and the run leaves an ordinary model.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.config import SGDConfig
from cxr_runner.models import Linear, LinearReLU
from cxr_runner.pixel import build_optimizer

_PIXELS_AT_ONCE = 8192


class GramBackend:
    """Trains one :class:`Linear` or :class:`LinearReLU` by SGD in the span of its training images."""

    name = "gram"

    def __init__(
        self,
        model: Linear | LinearReLU,
        images: NDArray[np.uint8],
        gram: NDArray[np.float64],
        rows: Tensor,
        train_rows: Tensor,
        optimizer: SGDConfig,
        pos_weight: float | None,
        device: torch.device,
    ) -> None:
        """Prepare the coordinates; the model itself stays as it is.

        Args:
            model: with its initial weights.
            images: uint8 [stored images, side, side].
            gram: float64 [stored images, stored images], inner products of raw pixels.
            rows: int64, the rows of the store that logits will be asked for.
            train_rows: int64, those of the training split, a part of ``rows``.
            optimizer: plain SGD without clipping.
            pos_weight: weight of the positive class in the loss; None for 1.
            device: where to compute; it must know float64.
        """
        self.device = device
        self.pixels = torch.from_numpy(images.reshape(len(images), -1))
        self.train_rows = train_rows
        first = model.layer_stack[1]
        assert isinstance(first, nn.Linear)
        self.start_weight = first.weight.detach().double().clone()
        self.place = _positions(rows, len(images))
        self.train_place = _positions(train_rows, len(images))
        products = gram[rows.numpy()[:, None], train_rows.numpy()[None, :]]
        self.gram = torch.from_numpy(products).div_(255.0**2).to(device)
        self.start = _project(self.pixels, rows, self.start_weight).to(device)
        self.coordinates = nn.Parameter(torch.zeros(first.out_features, len(train_rows), dtype=torch.float64))
        self.decay = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.bias = nn.Parameter(first.bias.detach().double().clone())
        self.head = copy.deepcopy(nn.Sequential(*model.layer_stack[2:])).double()
        self.trained = nn.ParameterDict(
            {"coordinates": self.coordinates, "decay": self.decay, "bias": self.bias}
            | {f"head_{name.replace('.', '_')}": value for name, value in self.head.named_parameters()}
        ).to(device)
        self.optimizer = build_optimizer(optimizer, self.trained)
        self.pos_weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64, device=device)

    def step(self, rows: Tensor, targets: Tensor, lr: float, seed: int) -> tuple[Tensor, Tensor]:
        """Train on one batch of training images; see :meth:`PixelBackend.step`. Nothing here is random."""
        with _one_thread():
            return self._step(rows, targets, lr)

    def _step(self, rows: Tensor, targets: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        hidden = self._first_layer(self.place[rows]).requires_grad_()
        logits = self.head(hidden).squeeze(1)
        loss = binary_cross_entropy_with_logits(logits, targets.double().to(self.device), pos_weight=self.pos_weight)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        assert hidden.grad is not None
        places = self.train_place[rows]
        assert (places >= 0).all(), "only training images have a coordinate"
        self.coordinates.grad = torch.zeros_like(self.coordinates)
        self.coordinates.grad[:, places] = hidden.grad.T
        self.bias.grad = hidden.grad.sum(dim=0)
        self.decay.grad = torch.zeros_like(self.decay)
        self.optimizer.step()
        return loss.detach(), logits.detach()

    @torch.no_grad()
    def logits(self, rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits of images, float64 [rows], on the CPU; the batch size makes no difference."""
        with _one_thread():
            logits: Tensor = self.head(self._first_layer(self.place[rows]))
            return logits.squeeze(1).cpu()

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """Materialise the model: one pass over the training images. Returns float32 weights under its plain names."""
        weights = {"layer_stack.1.weight": self._materialise().float()}
        weights["layer_stack.1.bias"] = self.bias.detach().cpu().float()
        for name, value in self.head.state_dict().items():
            index, _, kind = name.partition(".")
            weights[f"layer_stack.{int(index) + 2}.{kind}"] = value.cpu().float()
        return weights

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of what is trained, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.trained.items()}

    def restore(self, snapshot: dict[str, Tensor]) -> None:
        """Go back to a snapshot."""
        with torch.no_grad():
            for name, value in self.trained.items():
                value.copy_(snapshot[name])

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on bit for bit."""
        return {"trained": self.snapshot(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.restore(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _first_layer(self, places: Tensor) -> Tensor:
        """Return the first layer's outputs, float64 [images, hidden]."""
        with torch.no_grad():
            return self.decay * self.start[places] + self.gram[places] @ self.coordinates.T + self.bias

    def _materialise(self) -> Tensor:
        """Return ``W = c W0 + A X``, float64 [hidden, pixels]."""
        coordinates = self.coordinates.detach().cpu() / 255
        weight = self.decay.detach().cpu() * self.start_weight
        for start in range(0, weight.shape[1], _PIXELS_AT_ONCE):
            chunk = self.pixels[self.train_rows, start : start + _PIXELS_AT_ONCE].double()
            weight[:, start : start + _PIXELS_AT_ONCE] += coordinates @ chunk
        return weight


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: a step is too small to share, and on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _positions(rows: Tensor, num_stored: int) -> Tensor:
    """Return for every stored image its place in ``rows``, -1 where it is not there: int64 [stored images]."""
    positions = torch.full((num_stored,), -1)
    positions[rows] = torch.arange(len(rows))
    return positions


def _project(pixels: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """Return ``X W^T`` of images scaled to [0, 1]: float64 [rows, hidden], in one pass over the pixels."""
    total = torch.zeros(len(rows), len(weight), dtype=torch.float64)
    for start in range(0, pixels.shape[1], _PIXELS_AT_ONCE):
        chunk = slice(start, start + _PIXELS_AT_ONCE)
        total += pixels[rows, chunk].double() @ weight[:, chunk].T
    return total / 255

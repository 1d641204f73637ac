"""The pixel backend: an ordinary module and a torch optimizer on batches of uint8 pixels."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from cxr_runner.config.schema import AnyOptimizerConfig, CNNConfig, RunConfig
from cxr_runner.models.build import rectified_layers
from cxr_runner.models.classifier import Classifier
from cxr_runner.models.linear import Linear
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.training.augment import Augment
from cxr_runner.training.backend import EpochPlan, Key, derive_seed
from cxr_runner.training.devices import is_out_of_memory
from cxr_runner.training.diagnosis import diagnose
from cxr_runner.training.optimizers import build_optimizer

_CNN_PIXELS_AT_ONCE = 8 * 640**2
_DIAGNOSED_AT_ONCE = 8  # images
_RESIDENT_SHARE = 0.5  # of the free GPU memory that the images may take; the rest is for activations


class PixelFeed:
    """Turns rows of the store into batches on the device; nothing is decoded or copied as float beforehand."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        """Move the images to the GPU if they fit well, else leave them where they are.

        Args:
            images: uint8 [images, side, side], usually mapped from a file.
            device: where batches are wanted.
        """
        self.device = device
        self.pixels = torch.from_numpy(images)
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what torch keeps of earlier runs would count as taken
            if self.pixels.nbytes < _RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
                self.pixels = self.pixels.to(device)

    def batch(self, rows: Tensor) -> Tensor:
        """Return images as float32 [rows, 1, side, side] in [0, 1], on the device.

        Args:
            rows: int64 [rows].
        """
        # Far quicker than indexing, which copies pixel by pixel.
        chosen = self.pixels.index_select(0, rows.to(self.pixels.device))
        if self.device.type == "cuda" and not chosen.is_cuda:
            chosen = chosen.pin_memory()
        return chosen.to(self.device, non_blocking=True).unsqueeze(1).float().div_(255)


class PixelBackend:
    """Trains one model by plain backpropagation: a stack of one member."""

    name = "pixel"

    def __init__(
        self,
        model: nn.Module,
        feed: PixelFeed,
        optimizer: AnyOptimizerConfig,
        pos_weight: float | None,
        precision: str,
        augment: Augment | None,
        images_at_once: int = sys.maxsize,
        native: bool = False,
    ) -> None:
        """Take over the model, which moves to the feed's device.

        Args:
            model: maps float [batch, 1, side, side] to logits, float [batch].
            feed: gives batches of images.
            optimizer: which optimizer.
            pos_weight: weight of the positive class in the loss; None for 1.
            precision: ``float32`` or ``bf16`` (autocast; weights and loss stay float32).
            augment: changes training batches, or None.
            images_at_once: larger batches are computed in pieces of so many images, which gives the same but for
                rounding, and but for layers that look at the whole batch, such as batch norm.
            native: whether the model is computed by kernels that were compiled for this CPU, which it has.
        """
        self.feed, self.device, self.augment = feed, feed.device, augment
        # Faster on a CPU, and slower on a GPU, by a fifth for few channels; see docs/performance.md.
        known = model if isinstance(model, Classifier) else Classifier()
        convert = self.device.type == "cpu" and known.channels_last and not native
        memory_format = torch.channels_last if convert else torch.contiguous_format
        self.draws = known.draws
        self.model = model.to(self.device).to(memory_format=memory_format)
        self.compute: Callable[[Tensor], Tensor] = known.forward_natively if native else self.model
        self.optimizer = build_optimizer(optimizer, self.model)
        self.grad_clip = optimizer.grad_clip
        self.pos_weight = None if pos_weight is None else torch.tensor(pos_weight, device=self.device)
        self.images_at_once = images_at_once
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")

    def epoch(self, members: Sequence[int], plan: EpochPlan) -> AbstractContextManager[EpochPlan]:
        """Return a context that gives the plan, on the device: no step then waits for a copy."""
        rows, targets = plan.rows.to(self.feed.pixels.device), plan.targets.to(self.device)
        return nullcontext(replace(plan, rows=rows, targets=targets))

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Train on one batch; see :class:`~cxr_runner.training.backend.Backend`, with one member."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = lrs[0]
        images = self.feed.batch(rows[0])
        if self.augment is not None:
            images = self.augment(images, derive_seed(*keys[0]))
        targets = targets[0].to(self.device, non_blocking=True)
        with seeded(derive_seed(*keys[0], 1)) if self.draws else nullcontext():
            loss, logits = self._gradients(images, targets)
        if self.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()
        return loss[None], logits[None]

    def _gradients(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of a batch's mean loss; where memory runs out, from ever smaller pieces of the batch."""
        while True:
            try:
                return self._accumulate(images, targets)
            except Exception as error:
                fitting = min(self.images_at_once, len(images)) // 2
                if fitting == 0 or not is_out_of_memory(error):
                    raise
            self.images_at_once = fitting
            warnings.warn(f"out of memory: batches are now computed {fitting} images at a time", stacklevel=2)
            torch.cuda.empty_cache()

    def _accumulate(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss, float [], and the logits, float [batch], computed in pieces."""
        self.optimizer.zero_grad(set_to_none=True)
        # Allocated before the activations: see _take_steps() of the training loop.
        mean_loss, logits = images.new_zeros(()), images.new_empty(len(images))
        for piece in self._pieces(len(images), len(images)):
            with self.autocast:
                piece_logits = self.compute(images[piece])
            loss = binary_cross_entropy_with_logits(piece_logits.float(), targets[piece], pos_weight=self.pos_weight)
            loss = loss * (len(piece_logits) / len(images))
            mean_loss += loss.detach()
            logits[piece] = piece_logits.detach()
            torch.autograd.backward(loss)
        return mean_loss, logits

    def _pieces(self, num_images: int, batch_size: int) -> list[slice]:
        """Return the parts of a batch, or of many batches, that are computed at once."""
        size = min(batch_size, self.images_at_once)
        return [slice(start, start + size) for start in range(0, num_images, size)]

    @torch.no_grad()
    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits of images, float32 [1, rows], on the CPU."""
        self.model.eval()
        logits = torch.empty(len(rows), device=self.device)
        for piece in self._pieces(len(rows), batch_size):
            with self.autocast:
                logits[piece] = self.compute(self.feed.batch(rows[piece]))
        return logits.cpu()[None]

    def diagnose(self, members: Sequence[int], rows: Tensor, targets: Tensor, batch_size: int) -> list[dict[str, Any]]:
        """Look at units and gradients of the model; see :class:`~cxr_runner.training.backend.Backend`."""
        # Few images at once, because nothing catches it where the memory of a GPU does not suffice; but all of a linear
        # model's, whose activations take next to no memory and whose weights are read once for every piece.
        linear = isinstance(self.model, Linear | LinearReLU)
        at_once = len(rows) if linear else min(_DIAGNOSED_AT_ONCE, batch_size, self.images_at_once)
        images, pos_weight = self.feed.batch(rows), self.pos_weight
        return [diagnose(self.model, rectified_layers(self.model), images, targets, pos_weight, at_once)]

    def weights(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return a copy of the weights on the CPU, under the plain names of the module."""
        return [self.snapshot(member) for member in members]

    def snapshot(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is trained, on the CPU."""
        return {name: value.detach().cpu().clone().contiguous() for name, value in self.model.state_dict().items()}

    def restore(self, member: int, snapshot: dict[str, Tensor]) -> None:
        """Go back to a snapshot."""
        self.model.load_state_dict(snapshot)

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything needed to go on bit for bit, untouched by what comes next."""
        return {"model": self.snapshot(member), "optimizer": deepcopy(self.optimizer.state_dict())}

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.restore(member, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have a model draw the same random numbers each time; the CPU's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def images_at_once(config: RunConfig, device: torch.device) -> int:
    """Return how many images a model computes at once in training.

    A CNN on a CPU is faster with few, whose activations stay near, and takes a fraction of the memory.
    """
    if isinstance(config.model, CNNConfig) and device.type == "cpu":
        return max(1, _CNN_PIXELS_AT_ONCE // config.data.image_size**2)
    return sys.maxsize

"""One run on several devices: ``torchrun`` starts processes; the first one leads, the others help with its batches.

Only the leader reads the command line, trains in the sense of :mod:`cxr_runner.training.loop`, and writes: there is one
run directory whatever the number of processes. Helpers build the same model and compute their shares of every batch;
``DistributedDataParallel`` adds up the gradients, so that the numbers are those of one process but for rounding.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.output import OutputClosedError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.dataset import Dataset, open_images, open_intact, split_images
from cxr_runner.models.build import build_model
from cxr_runner.training.augment import Augment
from cxr_runner.training.backend import EpochPlan, Key
from cxr_runner.training.devices import choose_device, keep_freed_memory, num_processes, set_determinism
from cxr_runner.training.pixel import PixelBackend, PixelFeed

_PATIENCE = timedelta(days=1)  # a helper waits while the leader decodes images or draws figures


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the shares of all processes; torch's ``SyncBatchNorm`` needs a GPU."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalise one share, float [images, channels, height, width]."""
        if not self.training:
            return super().forward(images)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        values, over = images.float(), (0, 2, 3)
        count = _sum_of_all(values.new_tensor(values.numel() / values.shape[1]))
        mean = _sum_of_all(values.sum(over)) / count
        centred = values - mean[:, None, None]
        variance = _sum_of_all(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight / (variance + self.eps).sqrt()
        normal: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normal.to(images.dtype)


class ShareBackend(PixelBackend):
    """Trains one model in step with the other processes: each computes its share of every batch."""

    def __init__(self, config: RunConfig, dataset: Dataset, pos_weight: float | None, device: torch.device) -> None:
        """Build the model; all processes do so at the same time.

        Args:
            config: configuration of the run.
            dataset: its images.
            pos_weight: weight of the positive class in the loss; None for 1.
            device: device of this process.
        """
        set_determinism(config.deterministic)
        model = build_model(config.model, config.data.image_size, config.seed)
        _share_batch_norms(model)
        augment = Augment(config.augment) if config.augment.enabled else None
        feed = PixelFeed(dataset.images, device)
        super().__init__(model, feed, config.optimizer, pos_weight, config.precision, augment)
        self.shared = DistributedDataParallel(self.model)

    def _gradients(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of the whole batch's mean loss; return that loss and all logits, as one process would."""
        rank, count = dist.get_rank(), dist.get_world_size()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            logits = self.shared(images.tensor_split(count)[rank]).float()
        labels = targets.tensor_split(count)[rank]
        loss = binary_cross_entropy_with_logits(logits, labels, pos_weight=self.pos_weight, reduction="sum") / len(
            images
        )
        torch.autograd.backward(loss * count)  # of which DistributedDataParallel takes the mean
        gathered = torch.zeros(len(images) + 1, device=self.device)
        gathered[:-1].tensor_split(count)[rank].copy_(logits.detach())
        gathered[-1] = loss.detach()
        dist.all_reduce(gathered)
        return gathered[-1], gathered[:-1]

    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits of images, float32 [1, rows], on the CPU; each process computes a share of them."""
        gathered = torch.zeros(1, len(rows))
        share = slice(dist.get_rank(), None, dist.get_world_size())
        if len(rows[share]):
            gathered[:, share] = super().logits(members, rows[share], batch_size)
        dist.all_reduce(gathered)
        return gathered


class LeadingBackend:
    """The backend as the leader's training loop sees it: tells the helpers what it does, and does a share itself."""

    name = "pixel"
    lost = False  # whether an error has come between the processes

    def __init__(self, config: RunConfig, dataset: Dataset, pos_weight: float | None, device: torch.device) -> None:
        """Have the model built everywhere; see :class:`ShareBackend`."""
        _tell("build", config, dataset.fingerprint, pos_weight)
        self.share = ShareBackend(config, dataset, pos_weight, device)

    def epoch(self, members: Sequence[int], plan: EpochPlan) -> AbstractContextManager[EpochPlan]:
        """Return a context that does nothing."""
        return nullcontext(plan)

    def step(
        self, members: Sequence[int], rows: Tensor, targets: Tensor, lrs: Sequence[float], keys: Sequence[Key]
    ) -> tuple[Tensor, Tensor]:
        """Train on one batch; see :class:`~cxr_runner.training.backend.Backend`."""
        losses, logits = self._together("step", members, rows, targets, lrs, keys)
        return losses, logits

    def logits(self, members: Sequence[int], rows: Tensor, batch_size: int) -> Tensor:
        """Return the logits of images, float32 [1, rows], on the CPU."""
        logits: Tensor = self._together("logits", members, rows, batch_size)
        return logits

    def diagnose(self, members: Sequence[int], rows: Tensor, targets: Tensor, batch_size: int) -> list[dict[str, Any]]:
        """Look at units and gradients of the model, which is the same everywhere."""
        return self.share.diagnose(members, rows, targets, batch_size)

    def weights(self, members: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return a copy of the weights on the CPU, which are the same everywhere."""
        return self.share.weights(members)

    def snapshot(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is trained, on the CPU."""
        return self.share.snapshot(member)

    def restore(self, member: int, snapshot: dict[str, Tensor]) -> None:
        """Go back to a snapshot, everywhere."""
        self._together("restore", member, snapshot)

    def state_dict(self, member: int) -> dict[str, Any]:
        """Return everything needed to go on bit for bit."""
        return self.share.state_dict(member)

    def load_state_dict(self, member: int, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, everywhere."""
        self._together("load_state_dict", member, state)

    def _together(self, name: str, *arguments: Any) -> Any:
        if LeadingBackend.lost:
            raise RunFailedError("an earlier error has parted the processes; the same command goes on")
        _tell(name, *arguments)
        try:
            return getattr(self.share, name)(*arguments)
        except BaseException:
            LeadingBackend.lost = True  # the helpers wait for a share that will not come, until torchrun ends them
            raise


def help_leader() -> None:
    """Be a helper until the leader has no more work."""
    keep_freed_memory()
    backend: ShareBackend | None = None
    while True:
        name, *arguments = _hear()
        if name == "stop":
            break
        if name == "build":
            backend = None  # the one before goes first: there may not be room for two
            backend = _build(*arguments)
        else:
            getattr(backend, name)(*arguments)
    dist.destroy_process_group()


def dismiss_helpers() -> None:
    """Let the helpers go, as the leader's last deed."""
    if num_processes() > 1:
        _tell("stop")
        dist.destroy_process_group()


def leave() -> NoReturn:
    """End a process of several that has done its work, at once.

    Gloo's threads may still hold tensors; one that lets go of them while the interpreter shuts down aborts the process
    ("terminate called without an active exception"), and torchrun would call a finished run failed.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OutputClosedError, OSError):
            stream.flush()
    os._exit(0)


def _build(config: RunConfig, fingerprint: str, pos_weight: float | None) -> ShareBackend:
    images = open_intact(open_images(config.data, Reporter()), Reporter())
    dataset = split_images(images, config.data, Reporter())
    if dataset.fingerprint != fingerprint:
        raise RunFailedError(f"the images here, {dataset.fingerprint}, are not those of the leader, {fingerprint}")
    device = choose_device("auto" if config.device.startswith("cuda") else config.device)
    return ShareBackend(config, dataset, pos_weight, device)


def _tell(*message: object) -> None:
    """Send all helpers what to do next: the name of a method and its arguments."""
    _join()
    dist.broadcast_object_list([message], src=0)


def _hear() -> tuple[Any, ...]:
    _join()
    messages: list[Any] = [None]
    dist.broadcast_object_list(messages, src=0)
    return tuple(messages[0])


def _join() -> None:
    """Meet the other processes, the first time."""
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)


def _share_batch_norms(module: nn.Module) -> None:
    """Replace every batch norm by a :class:`SharedBatchNorm`."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            _share_batch_norms(child)


class _SumOfAll(torch.autograd.Function):
    """The sum of one tensor over all processes, on each of them; gradients add up likewise."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_of_all(values: Tensor) -> Tensor:
    total: Tensor = _SumOfAll.apply(values)
    return total

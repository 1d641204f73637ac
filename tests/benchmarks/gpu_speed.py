"""How fast is a GPU: each kind of training beside plain eager PyTorch, in one process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import torch

from benchmarks.engines import engine_way
from benchmarks.gpu_steps import Outcome, Step
from benchmarks.measuring import Options, Work
from benchmarks.workloads import eager_way, noise
from cxr_runner.base.progress import Reporter
from cxr_runner.data.dataset import Dataset
from cxr_runner.training.gram.products import StoreProducts
from cxr_runner.training.gram.space import GramSpace

STEPS_AN_EPOCH = 128  # of 4,077 images in batches of 32
CNN = ("model=cnn", "model.hidden=10", "model.kernel_size=3")
PIXELS = {  # by name: the overrides, and the side of the images
    "CNN, 10 filters 3x3, 640x640, float32": (CNN, 640),
    "CNN, 10 filters 3x3, 640x640, bf16": ((*CNN, "precision=bf16"), 640),
    "CNN, 10 filters 3x3, 224x224, float32": (CNN, 224),
    "CNN, 10 filters 3x3, 224x224, bf16": ((*CNN, "precision=bf16"), 224),
    "linear with Adam, 640x640": (("model=linear", "optimizer=adam"), 640),
    "ResNet-18, 224x224": (("model=resnet18",), 224),
}
MEMBERS = (1, 10, 50)


@dataclass
class _Images:
    """Noise of the study's number of images, made when it is first needed."""

    options: Options
    folder: Path

    @cached_property
    def large(self) -> Dataset:
        return noise(60, 32, self.folder) if self.options.quick else noise(5824, 640, self.folder)

    @cached_property
    def small(self) -> Dataset:
        return noise(60, 24, self.folder) if self.options.quick else noise(5824, 224, self.folder)

    def of(self, side: int) -> Dataset:
        return self.large if side == 640 else self.small


def steps(options: Options, folder: Path) -> list[Step]:
    """Return what is measured, the dearest last."""
    images = _Images(options, folder)
    gram = [
        Step(
            "speed",
            f"Gram space, one of {number} members" if number > 1 else "Gram space, alone",
            partial(_gram, number, images),
        )
        for number in MEMBERS
    ]
    pixels = [
        Step("speed", name, partial(_pixels, overrides, side, images)) for name, (overrides, side) in PIXELS.items()
    ]
    return [Step("speed", "Gram matrix of 5,824 images, 640x640, once", partial(_matrix, images)), *gram, *pixels]


def _matrix(images: _Images) -> Outcome:
    dataset = images.large  # made before the clock starts
    start = time.perf_counter()
    products = StoreProducts(dataset.images, dataset.store, torch.device(images.options.device), Reporter())
    GramSpace(products, dataset)
    seconds = time.perf_counter() - start
    return f"computed, checked, written and moved to the device in {seconds:.1f} s", {"seconds": seconds}


def _gram(num_members: int, images: _Images) -> Outcome:
    overrides = ("model=linear", "model.hidden=10", "engine=gram")
    device, num_steps = images.options.device, _num_steps(images.options)
    ours = partial(engine_way, overrides, None, device, num_members, images.large)
    return _compare(ours, partial(eager_way, overrides, images.large, num_steps, device), device)


def _pixels(overrides: tuple[str, ...], side: int, images: _Images) -> Outcome:
    device, num_steps = images.options.device, _num_steps(images.options)
    ours = partial(engine_way, (*overrides, "engine=pixel"), num_steps, device, 1, images.of(side))
    return _compare(ours, partial(eager_way, overrides, images.of(side), num_steps, device), device)


def _num_steps(options: Options) -> int:
    return 1 if options.quick else 16


def _compare(ours: Callable[[], Work], plain: Callable[[], Work], device: str) -> Outcome:
    """Measure one way after the other, each prepared when its turn comes and gone before the next."""
    (seconds, peak), (plain_seconds, plain_peak) = _measure(ours, device), _measure(plain, device)
    figures = {"seconds": seconds, "peak_bytes": peak, "plain_seconds": plain_seconds, "plain_peak_bytes": plain_peak}
    return f"{seconds:.3f} s an epoch, plain {plain_seconds:.3f} s: {plain_seconds / seconds:.2f}x", figures


def _measure(prepare: Callable[[], Work], device: str) -> tuple[float, float]:
    """Return the seconds of an epoch, the median of three turns after one that does not count, and the peak memory."""
    cuda = device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    work, turns = prepare(), []
    for _ in range(4):
        start = time.perf_counter()
        num_steps = work()
        turns.append((time.perf_counter() - start) / num_steps)
    peak = torch.cuda.max_memory_allocated() if cuda else 0
    return STEPS_AN_EPOCH * median(turns[1:]), float(peak)

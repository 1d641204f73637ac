"""The cost model of docs/scaling.md: by what it says that times grow from one size to another, against what they do.

Every part is timed at a small number of images and at twice as many, and at twice the side; the model says by which
factor the time grows. Fixed costs make a measured factor smaller than the model's, caches that overflow make it larger.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.engines import engine_way
from benchmarks.measuring import Figures, Options, Result, middle, peak_bytes, start
from cxr_runner.base.progress import Reporter
from cxr_runner.training.gram.matrix import gram_matrix


@dataclass(frozen=True)
class Size:
    """A size of the problem.

    Attributes:
        images: of all splits together.
        side: of the square images, in pixels.
        hidden: outputs of the first layer.
        batch: images a step.
    """

    images: int
    side: int
    hidden: int = 10
    batch: int = 32

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.side**2

    @property
    def train(self) -> int:
        """Images of the training split."""
        return self.images * 7 // 10

    def store_bytes(self) -> int:
        """Return the size of the store: a byte a pixel."""
        return self.images * self.pixels

    def gram_bytes(self) -> int:
        """Return the size of the Gram matrix: a float64 for every pair of images."""
        return 8 * self.images**2

    def gram_operations(self) -> int:
        """Return the operations of the Gram matrix, of whose two triangles one is computed."""
        return self.images**2 * self.pixels

    def start_operations(self) -> int:
        """Return the operations of a pass over the pixels for one first layer."""
        return 2 * self.images * self.pixels * self.hidden

    def pixel_epoch_operations(self) -> int:
        """Return the operations of an epoch on pixels: the product forward and the gradient of the weights."""
        return 4 * self.train * self.pixels * self.hidden

    def gram_epoch_operations(self) -> int:
        """Return the operations of an epoch in Gram space: forward only, the gradient is no product there."""
        return 2 * self.train**2 * self.hidden


def measure(options: Options) -> list[Result]:
    """Measure every part at three sizes: the base, twice the images, twice the side."""
    base = Size(60, 32) if options.quick else Size(1000, 320)
    sizes = [base, Size(2 * base.images, base.side), Size(base.images, 2 * base.side)]
    measured = [_measure(size, options) for size in sizes]
    results = []
    for part, (first, operations) in measured[0].items():
        figures = []
        for size, parts in zip(sizes, measured, strict=True):
            one, own = parts[part]
            growth = (
                f"takes {own / operations:.2f} times as long by the model, {one.cpu / first.cpu:.2f} measured (CPU)"
            )
            figures.append(replace(one, name=f"{size.images} images of {size.side}x{size.side}", note=growth))
        results.append(Result(f"scaling_{part}", part.replace("_", " "), "synthetic phantom data and noise", figures))
    return results


def _measure(size: Size, options: Options) -> dict[str, tuple[Figures, int]]:
    """Return figures and modelled operations of each part."""
    data = ("data=phantom", f"data.num_images={size.images}", f"data.image_size={size.side}", "model=linear")
    noise = np.random.default_rng(0).integers(0, 256, (size.images, size.side, size.side), dtype=np.uint8)
    pixel = engine_way((*data, "engine=pixel"), None, options.device)
    gram = engine_way((*data, "engine=gram"), None, options.device)
    return {
        "gram_matrix": (
            _time(lambda: gram_matrix(noise, Reporter(), torch.device(options.device)), options),
            size.gram_operations(),
        ),
        "start": (_time(lambda: _start(noise, size), options), size.start_operations()),
        "epoch_on_pixels": (_time(pixel, options), size.pixel_epoch_operations()),
        "epoch_in_gram_space": (_time(gram, options), size.gram_epoch_operations()),
    }


def _start(images: np.ndarray, size: Size) -> None:
    pixels, weight = torch.from_numpy(images.reshape(len(images), -1)), torch.zeros(size.hidden, size.pixels)
    for first in range(0, size.pixels, 8192):
        chunk = slice(first, first + 8192)
        pixels[:, chunk].double() @ weight[:, chunk].double().T


def _time(work: Callable[[], object], options: Options) -> Figures:
    """Return the medians of several turns, after one that does not count."""
    turns = []
    for _ in range(1 + options.rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        turns.append(Figures("", time.perf_counter() - wall, time.process_time() - cpu, peak_bytes()))
    return middle(turns[1:])


if __name__ == "__main__":
    start(measure)

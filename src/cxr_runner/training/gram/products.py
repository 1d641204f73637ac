"""Products of a store's images, whatever the split: the Gram matrix, and the starts of first layers.

Both are kept beside the store, and every split of its images takes its part of them.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_runner.base.checksums import append_checksum, digest, has_checksum
from cxr_runner.base.files import replacing
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.progress import Reporter
from cxr_runner.training.devices import on_one_thread
from cxr_runner.training.gram.exact import WholeNumbers, num_exact_bits, steps_of_rows, to_whole_numbers
from cxr_runner.training.gram.matrix import open_gram_matrix

if TYPE_CHECKING:  # it is handed layers
    from cxr_runner.training.gram.space import FirstLayer

_PIXELS_AT_ONCE = 8192  # of all images: 50 MB for 6,000 images, 400 MB as float64
_PIXELS_OF_A_CORE = 2048  # at once, on a CPU: 12 MB
_BITS_OF_START = 26  # of each part of a weight: products with 640x640 pixels are exact
_BITS_FOR_FLOAT32 = 30  # of coordinates, four digits of int8; the weights will have 24
_OUTPUTS_AT_ONCE = 256  # starts are computed for so many outputs in one pass: 0.4 GB of weights at 640x640


class StoreProducts:
    """The images of a store, known by their inner products among each other and with first layers.

    Attributes:
        matrix: float64 [stored images, stored images], inner products of raw pixels, mapped from a file.
        pixels: uint8 [stored images, pixels], mapped from a file.
        store: the store's folder for what is computed from its images.
        device: where training computes.
    """

    unit = 255.0

    def __init__(
        self,
        images: NDArray[np.uint8],
        store: Path,
        device: torch.device,
        reporter: Reporter,
        *,
        pixel_engine: bool = True,
    ) -> None:
        """Open the Gram matrix of a store, building it first where it is missing.

        Args:
            images: uint8 [stored images, side, side].
            store: the store's folder for what is computed from its images.
            device: where to train; it must know float64.
            reporter: shown the progress of a build.
            pixel_engine: whether what is trained can be trained on pixels instead, see :func:`open_gram_matrix`.
        """
        self.matrix = torch.from_numpy(open_gram_matrix(images, store, reporter, device, pixel_engine=pixel_engine))
        self.pixels = torch.from_numpy(images.reshape(len(images), -1))
        self.store, self.device, self.reporter = store, device, reporter
        self._starts: dict[str, Tensor] = {}  # raw, float64 [stored images, outputs], by the digest of W0

    def prepare_starts(self, weights: Iterable[Tensor]) -> None:
        """Compute the starts of several first layers in as few passes over the pixels as memory allows.

        Args:
            weights: float32 [outputs, pixels] each, on the CPU.
        """
        missing: dict[str, Tensor] = {}
        for weight in filter(torch.any, weights):
            key = _digest(weight)
            if key not in self._starts and not self._load_start(key, len(weight)):
                missing[key] = weight
            if sum(map(len, missing.values())) >= _OUTPUTS_AT_ONCE:
                self._compute_starts(missing)
                missing = {}
        if missing:
            self._compute_starts(missing)

    def start(self, weight: Tensor) -> Tensor:
        """Return ``X W0^T`` of raw pixels: float64 [stored images, outputs], on the CPU.

        Raw pixels are whole numbers, and weights are taken apart into two: up to 724x724 pixels all sums are exact in
        float64, so that a start depends neither on what it was computed together with nor on the device.

        Args:
            weight: float32 [outputs, pixels], on the CPU.
        """
        if not weight.any():  # logistic regression begins there
            return torch.zeros(len(self.pixels), len(weight), dtype=torch.float64)
        key = _digest(weight)
        if key not in self._starts:
            self.prepare_starts([weight])
        return self._starts[key]

    def materialise(self, rows: Tensor, layers: Sequence["FirstLayer"], dtype: torch.dtype) -> list[Tensor]:
        """Return ``W = c W0 + A X`` of several layers in one pass: [outputs, pixels] each, on the CPU.

        Coordinates are rounded to thirty bits of the largest of their output, a few more for float64, so that the
        product is exact and a layer gets the same weights whatever the others are; float32, in which weights are kept,
        is coarser.

        Args:
            rows: int64 [images], those that X stands for.
            layers: of any numbers of outputs.
            dtype: of the result, which is computed in float64.
        """
        outputs = torch.cat([layer.coordinates[:, : len(rows)] for layer in layers])
        moved = outputs.any(dim=1).nonzero().squeeze(1)  # a member that was dead from the start has not moved
        num_bits = min(num_exact_bits(len(rows)), _BITS_FOR_FLOAT32 if dtype == torch.float32 else math.inf)
        numbers, steps = to_whole_numbers(outputs[moved], int(num_bits))
        factor, scale = WholeNumbers(numbers), steps / self.unit
        moved, sizes = moved.cpu(), [len(layer.start_weight) for layer in layers]
        weights = [torch.empty(layer.start_weight.shape, dtype=dtype) for layer in layers]

        def fill(chunk: slice, pixels: Tensor) -> None:
            product = torch.zeros(len(outputs), pixels.shape[1], dtype=torch.float64)
            product[moved] = factor.times(pixels).mul_(scale).cpu()
            for layer, weight, change in zip(layers, weights, torch.split(product, sizes), strict=True):
                weight[:, chunk] = change.add_(layer.start_weight[:, chunk].double().mul_(layer.decay))

        self.share_out(fill, rows)
        return weights

    def share_out(self, work: Callable[[slice, Tensor], None], rows: Tensor) -> None:
        """Call a function for all pixels of some images, a slice of them at a time; on a CPU on all its cores at once.

        Args:
            work: is given the slice and the raw pixels, uint8 [rows, some pixels] on the device.
            rows: int64 [rows], the images.
        """
        images, chosen = self.pixels.numpy(), rows.numpy()  # NumPy gathers rows twice as fast as torch

        def do(chunk: slice) -> None:
            work(chunk, torch.from_numpy(images[chosen, chunk]).to(self.device))

        if self.device.type != "cpu":
            deque(map(do, self._chunks(_PIXELS_AT_ONCE)), maxlen=0)
            return
        with on_one_thread() as number, ThreadPoolExecutor(number, "", torch.set_num_threads, (1,)) as pool:
            deque(pool.map(do, self._chunks(_PIXELS_OF_A_CORE)), maxlen=0)

    def _chunks(self, size: int) -> Iterator[slice]:
        return (slice(start, start + size) for start in range(0, self.pixels.shape[1], size))

    def _project(self, weight: Tensor) -> Tensor:
        """Return raw pixels times weights: float64 [stored images, outputs], on the CPU."""
        high, low = torch.zeros(2, len(weight), len(self.pixels), dtype=torch.float64, device=self.device)
        steps = steps_of_rows(weight, _BITS_OF_START)
        with self.reporter.steps("starts of first layers", -(-self.pixels.shape[1] // _PIXELS_AT_ONCE)) as advance:
            for chunk in self._chunks(_PIXELS_AT_ONCE):
                pixels = self.pixels[:, chunk].contiguous().to(self.device)
                numbers = (weight[:, chunk] / steps).to(self.device)
                high += WholeNumbers(numbers.round()).times(pixels.T)
                # Of the 24 bits of a float32, those below the step: PyTorch draws weights by a fused multiplication and
                # addition where the processor has one, which leaves small weights with finer bits than large ones.
                rest = ((numbers - numbers.round()) * 2**_BITS_OF_START).round()
                if rest.any():
                    low += WholeNumbers(rest).times(pixels.T)
                advance()
        start: Tensor = ((high + low / 2**_BITS_OF_START).cpu() * steps).T
        return start

    def _compute_starts(self, weights: dict[str, Tensor]) -> None:
        """Compute starts by the digest of their weights and keep them.

        Layers drawn from the same seed share their first rows whatever their width: these are computed once.
        """
        rows = {_digest(row): row for weight in weights.values() for row in weight}
        columns = dict(zip(rows, self._project(torch.stack(list(rows.values()))).T, strict=True))
        for key, weight in weights.items():
            self._starts[key] = torch.stack([columns[_digest(row)] for row in weight], dim=1)
        self._keep_starts(weights)

    def _load_start(self, key: str, num_outputs: int) -> bool:
        """Read a start from beside the store; False where there is none, or not what was written."""
        with suppress(OSError, ValueError, EOFError):
            if not has_checksum(self._path(key), key):
                return False
            start = np.load(self._path(key))
            if start.dtype == np.float64 and start.shape == (len(self.pixels), num_outputs):
                self._starts[key] = torch.from_numpy(start)
                return True
        return False

    def _keep_starts(self, keys: Iterable[str]) -> None:
        """Write starts beside the store; where that cannot be, the next process computes them again."""
        with suppress(OSError), locked_folder(self.store / "starts", self.reporter):
            for key in keys:
                with replacing(self._path(key)) as temporary:
                    np.save(temporary, self._starts[key].numpy())
                    append_checksum(temporary, key)

    def _path(self, key: str) -> Path:
        return self.store / "starts" / f"{key}.npy"


def _digest(weight: Tensor) -> str:
    return digest(weight.contiguous().numpy().data.cast("B"), 32)

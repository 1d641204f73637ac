"""What Gram space needs of the pixels: inner products, starts, and finished weights.

Three things touch the pixels, each in one pass however many members share it: the Gram matrix (once a store), the
start ``X W0^T`` of each first layer (kept beside the store) and the finished weights ``W = c W0 + A X``.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cxr_runner.base.checksums import append_checksum, digest, has_checksum
from cxr_runner.base.files import replacing
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.progress import Reporter
from cxr_runner.data.sources import SPLITS
from cxr_runner.training.gram.exact import WholeNumbers, num_exact_bits, steps_of_rows, to_whole_numbers
from cxr_runner.training.gram.matrix import open_gram_matrix

if TYPE_CHECKING:  # a backend is handed images, it opens none
    from cxr_runner.data.dataset import Dataset

_PIXELS_AT_ONCE = 8192  # of all images: 50 MB for 6,000 images, 400 MB as float64
_BITS_OF_START = 26  # of each part of a weight: products with 640x640 pixels are exact
_OUTPUTS_AT_ONCE = 256  # starts are computed for so many outputs in one pass: 0.4 GB of weights at 640x640


class GramSpace:
    """The images of a data set, known by their inner products with the training images.

    Attributes:
        gram: float64 [images, coordinates], inner products of pixels scaled to [0, 1], on the device. Images stand in
            the order train, val, test; there is a coordinate for every training image, and some more that stay 0.
        device: where training computes.
    """

    def __init__(self, dataset: "Dataset", device: torch.device, reporter: Reporter) -> None:
        """Open the Gram matrix of a data set, building it first where it is missing.

        Args:
            dataset: the images and their splits.
            device: where to train; it must know float64.
            reporter: shown the progress of a build.
        """
        matrix = open_gram_matrix(dataset.images, dataset.store, reporter, device)
        self.device, self.reporter, self.store = device, reporter, dataset.store
        self.pixels = torch.from_numpy(dataset.images.reshape(len(dataset.images), -1))
        self.rows = torch.cat([torch.tensor(dataset.rows(split)) for split in SPLITS])
        self.train_rows = torch.tensor(dataset.rows("train"))
        products = torch.from_numpy(matrix[self.rows.numpy()[:, None], self.train_rows.numpy()[None, :]])
        self.gram = aligned_zeros(*products.shape).to(device)
        self.gram[:, : self.num_train] = products / 255.0**2
        self._positions = torch.full((len(self.pixels),), -1)
        self._positions[self.rows] = torch.arange(len(self.rows))
        self._starts: dict[str, Tensor] = {}  # raw, float64 [stored images, outputs], by the digest of W0

    @property
    def num_coordinates(self) -> int:
        """Number of coordinates an output has: the number of training images, rounded up."""
        return self.gram.shape[1]

    @property
    def num_train(self) -> int:
        """Number of training images."""
        return len(self.train_rows)

    def positions(self, rows: Tensor) -> Tensor:
        """Return where images stand in :attr:`gram`: int64, shaped as ``rows``; training images stand first."""
        positions = self._positions[rows]
        assert (positions >= 0).all(), "every image that is asked for belongs to the data set"
        return positions

    def rows_of(self, positions: Tensor) -> Tensor:
        """Return rows of :attr:`gram`; those of a whole split, which stand together, without copying them."""
        first = int(positions[0])
        if torch.equal(positions, torch.arange(first, first + len(positions))):
            return self.gram[first : first + len(positions)]
        return self.gram.index_select(0, positions.to(self.device))

    def prepare_starts(self, weights: Iterable[Tensor]) -> None:
        """Compute the starts of several first layers in as few passes over the pixels as memory allows.

        Args:
            weights: float32 [outputs, pixels] each, on the CPU.
        """
        missing: dict[str, Tensor] = {}
        for weight in weights:
            key = _digest(weight)
            if key not in self._starts and not self._load_start(key, len(weight)):
                missing[key] = weight
            if sum(map(len, missing.values())) >= _OUTPUTS_AT_ONCE:
                self._compute_starts(missing)
                missing = {}
        if missing:
            self._compute_starts(missing)

    def start(self, weight: Tensor) -> Tensor:
        """Return ``X W0^T`` of the images scaled to [0, 1]: float64 [images, outputs], on the device.

        Raw pixels are whole numbers, and weights are taken apart into two: up to 724x724 pixels all sums are exact in
        float64, so that a start depends neither on what it was computed together with nor on the device.

        Args:
            weight: float32 [outputs, pixels], on the CPU.
        """
        self.prepare_starts([weight])
        return (self._starts[_digest(weight)][self.rows] / 255).to(self.device)

    def materialise(self, start_weight: Tensor, decay: Tensor, coordinates: Tensor) -> Tensor:
        """Return ``W = c W0 + A X`` for several members in one pass: float64 [members, outputs, pixels], on the CPU.

        Coordinates are rounded to some thirty bits of the largest of their output, so that the product is exact and a
        member gets the same weights whatever the other members are; float32, in which weights are kept, is coarser.

        Args:
            start_weight: W0, float32 [members, outputs, pixels], on the CPU.
            decay: c, float64 [members], on the device.
            coordinates: A, float64 [members, outputs, coordinates], on the device.
        """
        outputs = coordinates[:, :, : self.num_train].flatten(0, 1)
        moved = outputs.any(dim=1).nonzero().squeeze(1)  # a member that was dead from the start has not moved
        numbers, steps = to_whole_numbers(outputs[moved], num_exact_bits(self.num_train))
        factor = WholeNumbers(numbers)
        movement = torch.empty(len(moved), self.pixels.shape[1], dtype=torch.float64)
        for chunk, pixels in self._chunks(self.train_rows):
            movement[:, chunk] = factor.times(pixels).mul_(steps / 255)
        weight = (start_weight.double() * decay.cpu()[:, None, None]).flatten(0, 1)
        weight.index_add_(0, moved.cpu(), movement)
        return weight.view(start_weight.shape)

    def _project(self, weight: Tensor) -> Tensor:
        """Return raw pixels times weights: float64 [stored images, outputs], on the CPU."""
        high, low = torch.zeros(2, len(weight), len(self.pixels), dtype=torch.float64, device=self.device)
        steps = steps_of_rows(weight, _BITS_OF_START)
        with self.reporter.steps("starts of first layers", -(-self.pixels.shape[1] // _PIXELS_AT_ONCE)) as advance:
            for chunk, pixels in self._chunks(torch.arange(len(self.pixels))):
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

    def _chunks(self, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Give raw pixels of images, uint8 [rows, some pixels] on the device, with the slice of pixels they are."""
        rows = rows.to(self.device)
        for start in range(0, self.pixels.shape[1], _PIXELS_AT_ONCE):
            chunk = slice(start, start + _PIXELS_AT_ONCE)
            yield chunk, self.pixels[:, chunk].contiguous().to(self.device).index_select(0, rows)

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


def aligned_zeros(rows: int, columns: int) -> Tensor:
    """Return float64 zeros of at least so many columns, whose rows begin at multiples of 64 bytes.

    Products of aligned matrices are faster, and give the same bits wherever in memory a matrix lies.
    """
    return torch.zeros(rows, -(-columns // 8) * 8, dtype=torch.float64)


def _digest(weight: Tensor) -> str:
    return digest(weight.contiguous().numpy().tobytes(), 32)

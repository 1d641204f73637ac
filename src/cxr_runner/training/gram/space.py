"""Gram space: the images of one split, as the Gram engine sees them, and its way back to weights on pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from cxr_runner.data.sources import SPLITS
from cxr_runner.training.gram.fetching import Fetching

if TYPE_CHECKING:  # a backend is handed images, it opens none
    from cxr_runner.data.dataset import Dataset

_ROWS_AT_ONCE = 256  # of the Gram matrix: 12 MB for 6,000 images


@dataclass(frozen=True)
class FirstLayer:
    """A first layer in coordinates of the training images.

    Attributes:
        start_weight: W0, float32 [outputs, pixels], on the CPU.
        decay: c.
        coordinates: A, float64 [outputs, coordinates], on the device.
    """

    start_weight: Tensor
    decay: float
    coordinates: Tensor


class Products(Protocol):
    """All images of a store as rows of numbers, pixels or features, known by their products.

    Attributes:
        matrix: float64 [stored images, stored images], inner products of the rows, on the CPU.
        device: where training computes.
        unit: what the rows are divided by before a layer sees them.
    """

    matrix: Tensor
    device: torch.device
    unit: float

    def start(self, weight: Tensor) -> Tensor:
        """Return rows times weights, float64 [stored images, outputs], of weights, float32 [outputs, numbers]."""

    def materialise(self, rows: Tensor, layers: Sequence[FirstLayer], dtype: torch.dtype) -> list[Tensor]:
        """Return ``W = c W0 + A X`` of several layers: [outputs, numbers] each, on the CPU.

        A layer gets the same weights whatever the others are.

        Args:
            rows: int64 [images], those that X stands for, divided by the unit.
            layers: of any numbers of outputs.
            dtype: of the result, which is computed in float64.
        """


class GramSpace:
    """The images of a data set, known by their inner products with the training images.

    Attributes:
        gram: float64 [images, coordinates], inner products of pixels scaled to [0, 1], on the device. Images stand in
            the order train, val, test; there is a coordinate for every training image, and some more that stay 0.
        device: where training computes.
        fetching: fetches rows of :attr:`gram`.
    """

    def __init__(self, products: Products, dataset: "Dataset") -> None:
        """Take the part of a data set from the products of its store.

        It is copied: the batches of a run fetch its rows thousands of times, each in one piece.

        Args:
            products: of the store; several data sets share them.
            dataset: the images and their splits.
        """
        self.products, self.device = products, products.device
        self.rows = torch.cat([torch.tensor(dataset.rows(split)) for split in SPLITS])
        self.train_rows = torch.tensor(dataset.rows("train"))
        gram = aligned_zeros(len(self.rows), self.num_train)
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            piece = slice(start, start + _ROWS_AT_ONCE)
            matrix = products.matrix.index_select(0, self.rows[piece]).index_select(1, self.train_rows)
            torch.div(matrix, products.unit**2, out=gram[piece, : self.num_train])
        self.gram = gram.to(self.device)
        self.fetching = Fetching(self.gram)
        self._positions = torch.full((len(products.matrix),), -1)
        self._positions[self.rows] = torch.arange(len(self.rows))

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

    def start(self, weight: Tensor) -> Tensor:
        """Return ``X W0^T`` of the images scaled to [0, 1]: float64 [images, outputs], on the device.

        Args:
            weight: float32 [outputs, pixels], on the CPU.
        """
        return (self.products.start(weight)[self.rows] / self.products.unit).to(self.device)

    def materialise(self, layers: Sequence[FirstLayer], dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Return ``W = c W0 + A X`` of several layers in one pass: [outputs, pixels] each, on the CPU.

        Args:
            layers: of any numbers of outputs.
            dtype: of the result, which is computed in float64.
        """
        return self.products.materialise(self.train_rows, layers, dtype)


def aligned_zeros(rows: int, columns: int) -> Tensor:
    """Return float64 zeros of at least so many columns, whose rows begin at multiples of 64 bytes.

    Products of aligned matrices are faster, and give the same bits wherever in memory a matrix lies.
    """
    return torch.zeros(rows, -(-columns // 8) * 8, dtype=torch.float64)

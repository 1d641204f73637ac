"""What training images have in common, pixel by pixel."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PIXELS_AT_ONCE = 2**24


class MeanImage(NamedTuple):
    """The mean and the standard deviation of each pixel, float64 [side, side], of images from 0 to 1."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


def mean_image(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> MeanImage:
    """Return the mean image, and how much each pixel differs from it.

    Args:
        images: uint8 [stored images, side, side].
        rows: int64 [images], which of them; at least one.
    """
    step = max(1, _PIXELS_AT_ONCE // images[0].size)
    total, squares = np.zeros((2, *images.shape[1:]))
    for at in range(0, len(rows), step):
        some = images[rows[at : at + step]].astype(np.float64)
        total += some.sum(axis=0)
        squares += np.square(some).sum(axis=0)
    mean = total / len(rows)
    return MeanImage(mean / 255, np.sqrt(np.maximum(squares / len(rows) - np.square(mean), 0)) / 255)

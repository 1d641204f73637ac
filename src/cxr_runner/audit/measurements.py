"""What is measured of every image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.base.progress import Reporter
from cxr_runner.base.threads import in_threads
from cxr_runner.data.quality.thumbnails import Thumbnails, open_thumbnails

_MOST_OF_A_SIDE = 64  # values of the border ring: those of larger images are averaged


@dataclass(frozen=True)
class Measurements:
    """Measurements of images, in one order.

    Attributes:
        histograms: int64 [images, 256], number of pixels of each grey level.
        rings: float32 [images, 4 * min(side, 64)], the outermost pixels: top, bottom, left, right, averaged along each
            side.
        thumbnails: reduced images and perceptual hashes.
    """

    histograms: NDArray[np.int64]
    rings: NDArray[np.float32]
    thumbnails: Thumbnails


def measure(images: NDArray[np.uint8], rows: NDArray[np.int64], derived: Path, reporter: Reporter) -> Measurements:
    """Measure images.

    Args:
        images: uint8 [stored images, side, side].
        rows: int64 [images], rows of ``images`` to measure.
        derived: folder in the store for what is computed from its images.
        reporter: shows the progress.
    """

    def measure_one(row: int) -> tuple[NDArray[np.float32], list[int]]:
        pixels = np.array(images[row])
        return border(pixels), Image.fromarray(pixels).histogram()

    rings, histograms = [], []
    for ring, histogram in in_threads(measure_one, rows.tolist(), "measuring images", reporter):
        rings.append(ring)
        histograms.append(histogram)
    return Measurements(np.array(histograms), np.array(rings), open_thumbnails(images, rows, derived, reporter))


def border(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the outermost pixels of an image: top, bottom, left, right, averaged to at most 64 values a side.

    Args:
        pixels: uint8 [side, side].

    Returns:
        float32 [4 * min(side, 64)].
    """
    sides = np.stack([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    length = min(sides.shape[1], _MOST_OF_A_SIDE)
    return np.asarray(Image.fromarray(sides).resize((length, 4), Image.Resampling.BOX)).ravel()

"""What is measured of every image, in one pass over the pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter

HASH_SIDE = 16  # side of the perceptual hash: 16 x 16 bits
SMALL = 32  # side of the reduced images, in pixels
_ENOUGH_TO_HASH = 160  # pixels to a side
_MOST_OF_A_SIDE = 64  # values of the border ring: those of larger images are averaged


@dataclass(frozen=True)
class Measurements:
    """Measurements of images, in one order.

    Attributes:
        histograms: int64 [images, 256], number of pixels of each grey level.
        rings: float32 [images, 4 * min(side, 64)], the outermost pixels: top, bottom, left, right, averaged along each
            side.
        small: uint8 [images, 32, 32], the reduced images; each pixel is the mean of those that it covers.
        hashes: uint64 [images, 4], the 256 bits of the perceptual hash.
    """

    histograms: NDArray[np.int64]
    rings: NDArray[np.float32]
    small: NDArray[np.uint8]
    hashes: NDArray[np.uint64]


def measure(images: NDArray[np.uint8], rows: NDArray[np.int64], reporter: Reporter) -> Measurements:
    """Measure images.

    Args:
        images: uint8 [stored images, side, side].
        rows: int64 [images], rows of ``images`` to measure.
        reporter: shows the progress.

    Source:
        The hash is pHash's, by the discrete cosine transform, as ``imagehash.phash`` computes it.
    """
    from imagehash import phash  # imports scipy and wavelets, which takes a second

    def measure_one(row: int) -> tuple[NDArray[np.float32], list[int], NDArray[np.uint8], NDArray[np.bool_]]:
        pixels = np.array(images[row])
        image = Image.fromarray(pixels)
        reduced = image.resize((SMALL, SMALL), Image.Resampling.BOX)
        # The hash is computed from 64 x 64 pixels: reducing a large image first gives the same bits in less time.
        hashed = image.reduce(max(1, image.width // _ENOUGH_TO_HASH))
        return border(pixels), image.histogram(), np.asarray(reduced), phash(hashed, HASH_SIDE).hash.ravel()

    rings, histograms, small, hashes = [], [], [], []
    with (
        ThreadPoolExecutor(num_cores()) as pool,  # Pillow and NumPy release the interpreter lock
        reporter.steps("measuring images", len(rows)) as advance,
    ):
        for ring, histogram, reduced, bits in pool.map(measure_one, rows.tolist()):
            rings.append(ring)
            histograms.append(histogram)
            small.append(reduced)
            hashes.append(bits)
            advance()
    packed = np.packbits(np.array(hashes), axis=1)
    return Measurements(np.array(histograms), np.array(rings), np.array(small), packed.view(np.uint64))


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

"""What is measured of every image, in one pass over the pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.progress import Reporter
from cxr_runner.store import num_cores

HASH_SIDE = 16  # of the perceptual hash: 16 x 16 bits
SMALL = 32  # pixels to a side of the reduced images


@dataclass(frozen=True)
class Measurements:
    """Measurements of images, in one order.

    Attributes:
        histograms: int64 [images, 256], how many pixels have each grey level.
        rings: uint8 [images, 4 * side - 4], the outermost pixels.
        small: float32 [images, 32, 32], the means of the pixels under each, 0 to 255.
        hashes: uint64 [images, 4], the 256 bits of the perceptual hash.
    """

    histograms: NDArray[np.int64]
    rings: NDArray[np.uint8]
    small: NDArray[np.float32]
    hashes: NDArray[np.uint64]


def measure(images: NDArray[np.uint8], rows: NDArray[np.int64], reporter: Reporter) -> Measurements:
    """Measure images.

    Args:
        images: uint8 [stored images, side, side].
        rows: which of them.
        reporter: shown the progress.

    Source:
        The hash is pHash's, by the discrete cosine transform, as ``imagehash.phash`` computes it.
    """
    from imagehash import phash  # scipy and wavelets, which take a second to import

    def measure_one(row: int) -> tuple[NDArray[np.uint8], list[int], NDArray[np.float32], NDArray[np.bool_]]:
        pixels = np.array(images[row])
        picture = Image.fromarray(pixels)
        reduced = np.asarray(Image.fromarray(pixels.astype(np.float32)).resize((SMALL, SMALL), Image.Resampling.BOX))
        return border(pixels), picture.histogram(), reduced, phash(picture, HASH_SIDE).hash.ravel()

    rings, histograms, small, hashes = [], [], [], []
    with (
        ThreadPoolExecutor(num_cores()) as pool,  # Pillow and NumPy let go of the interpreter lock
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


def border(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the outermost pixels of a picture, each once."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])

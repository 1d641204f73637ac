"""What is measured of every image, in one pass over the pixels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter
from cxr_runner.stats.scores import auroc

HASH_SIDE = 16  # of the perceptual hash: 16 x 16 bits
SMALL = 32  # pixels to a side of the reduced images
_ENOUGH_TO_HASH = 160
_MOST_OF_A_SIDE = 64  # values of the border ring: those of larger images are averaged


@dataclass(frozen=True)
class Measurements:
    """Measurements of images, in one order.

    Attributes:
        histograms: int64 [images, 256], how many pixels have each grey level.
        rings: float32 [images, 4 * min(side, 64)], the outermost pixels side by side, averaged along each side.
        small: uint8 [images, 32, 32], reduced; each pixel is the mean of those that it covers.
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
        rows: which of them.
        reporter: shown the progress.

    Source:
        The hash is pHash's, by the discrete cosine transform, as ``imagehash.phash`` computes it.
    """
    from imagehash import phash  # scipy and wavelets, which take a second to import

    def measure_one(row: int) -> tuple[NDArray[np.float32], list[int], NDArray[np.uint8], NDArray[np.bool_]]:
        pixels = np.array(images[row])
        picture = Image.fromarray(pixels)
        reduced = picture.resize((SMALL, SMALL), Image.Resampling.BOX)
        # The hash looks at 64 x 64 pixels: of a large image it is the same, and found sooner, after a halving or two.
        hashed = picture.reduce(max(1, picture.width // _ENOUGH_TO_HASH))
        return border(pixels), picture.histogram(), np.asarray(reduced), phash(hashed, HASH_SIDE).hash.ravel()

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


def border(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the outermost pixels of a square picture: top, bottom, left, right, averaged to at most 64 values each."""
    sides = np.stack([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)
    length = min(sides.shape[1], _MOST_OF_A_SIDE)
    return np.asarray(Image.fromarray(sides).resize((length, 4), Image.Resampling.BOX)).ravel()


@dataclass(frozen=True)
class ClassSizes:
    """The sizes of one class; widths and heights in pixels, aspects are width / height.

    Attributes:
        label: the class.
        num_images: of it that can be read.
        width: least, median and largest.
        height: least, median and largest.
        aspect: least, median and largest.
    """

    label: str
    num_images: int
    width: tuple[float, float, float]
    height: tuple[float, float, float]
    aspect: tuple[float, float, float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of all images as their source gives them.

    Attributes:
        classes: the negative and the positive one.
        num_sizes: how many different sizes there are.
        all_square: whether every image is.
        aspect_auroc: how well the aspect ratio alone tells the classes apart, 0.5 to 1: AUROC over all images, with
            nothing trained; None where the ratio is always the same.
        area_auroc: the same for the number of pixels.
    """

    classes: tuple[ClassSizes, ...]
    num_sizes: int
    all_square: bool
    aspect_auroc: float | None
    area_auroc: float | None


def compare_sizes(table: pd.DataFrame, class_names: Sequence[str]) -> Sizes:
    """Compare the sizes of the classes.

    Args:
        table: with columns ``label``, ``width`` and ``height``.
        class_names: of labels 0 and 1.
    """
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    labels, aspect = table["label"].to_numpy(int), width / height
    classes = []
    for label, name in enumerate(class_names):
        mine = labels == label
        spans = (_span(values[mine]) for values in (width, height, aspect))
        classes.append(ClassSizes(name, int(mine.sum()), *spans))
    return Sizes(
        classes=tuple(classes),
        num_sizes=len(set(zip(width, height, strict=True))),
        all_square=bool((width == height).all()),
        aspect_auroc=_separation(aspect, labels),
        area_auroc=_separation(width * height, labels),
    )


def _span(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if not len(values):
        return (0.0, 0.0, 0.0)
    return float(values.min()), float(np.median(values)), float(values.max())


def _separation(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    if np.ptp(values) == 0 or len(set(labels.tolist())) < 2:
        return None
    area = float(auroc(values, labels))
    return max(area, 1 - area)

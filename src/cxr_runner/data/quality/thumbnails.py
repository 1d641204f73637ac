"""Small copies and perceptual hashes of images, from which they are compared with each other."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.base.checksums import append_checksum, has_checksum
from cxr_runner.base.files import regular, replacing
from cxr_runner.base.progress import Reporter
from cxr_runner.base.threads import in_threads

SMALL = 32  # side of the reduced images, in pixels
HASH_SIDE = 16  # side of the perceptual hash: 16 x 16 bits
_ENOUGH_TO_HASH = 160  # pixels to a side


@dataclass(frozen=True)
class Thumbnails:
    """Small copies and hashes of images, in one order.

    Attributes:
        small: uint8 [images, 32, 32], the reduced images; each pixel is the mean of those that it covers.
        hashes: uint64 [images, 4], the 256 bits of the perceptual hash.
    """

    small: NDArray[np.uint8]
    hashes: NDArray[np.uint64]


def open_thumbnails(
    images: NDArray[np.uint8], rows: NDArray[np.int64], derived: Path, reporter: Reporter
) -> Thumbnails:
    """Return the thumbnails of images of a store; they are made once, for all its images, and kept beside them.

    Args:
        images: uint8 [stored images, side, side].
        rows: int64 [images], rows of ``images`` to return.
        derived: folder in the store for what is computed from its images.
        reporter: shows the progress.
    """
    paths = derived / "thumbnails.npy", derived / "hashes.npy"
    with suppress(OSError, ValueError):
        if all(has_checksum(path, path.name) for path in paths):
            small, hashes = (np.load(regular(path), allow_pickle=False) for path in paths)
            return Thumbnails(small[rows], hashes[rows])
    made = make_thumbnails(images, np.arange(len(images)), reporter)
    with suppress(OSError):  # a read-only cache: they are made each time
        _keep(paths[0], made.small)
        _keep(paths[1], made.hashes)
    return Thumbnails(made.small[rows], made.hashes[rows])


def _keep(path: Path, array: NDArray[Any]) -> None:
    with replacing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
        append_checksum(temporary, path.name)


def make_thumbnails(images: NDArray[np.uint8], rows: NDArray[np.int64], reporter: Reporter) -> Thumbnails:
    """Reduce and hash images.

    Args:
        images: uint8 [stored images, side, side].
        rows: int64 [images], rows of ``images`` to look at.
        reporter: shows the progress.

    Source:
        The hash is pHash's, by the discrete cosine transform, as ``imagehash.phash`` computes it.
    """
    from imagehash import phash  # imports scipy and wavelets, which takes a second

    def look_at(row: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        image = Image.fromarray(np.array(images[row]))
        reduced = image.resize((SMALL, SMALL), Image.Resampling.BOX)
        # The hash is computed from 64 x 64 pixels: reducing a large image first gives the same bits in less time.
        hashed = image.reduce(max(1, image.width // _ENOUGH_TO_HASH))
        return np.asarray(reduced), phash(hashed, HASH_SIDE).hash.ravel()

    small, hashes = [], []
    for reduced, bits in in_threads(look_at, rows.tolist(), "comparing images", reporter):
        small.append(reduced)
        hashes.append(bits)
    packed = np.packbits(np.array(hashes), axis=1)
    return Thumbnails(np.array(small), packed.view(np.uint64))

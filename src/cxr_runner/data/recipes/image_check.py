"""Checks of single images: small enough to come with the package, and enough to tell how far two images agree.

The checksum tells whether the pixels are the same. The mean greys of 16 tiles hardly depend on how an image was reduced
(less than one grey level between filters, measured on these X-rays), and tell another image, or another cut. The
sharpness does depend on it: against bicubic, bilinear gives 0.90 and Lanczos 1.05 times as much.
"""

import csv
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cxr_runner.base.checksums import checksum
from cxr_runner.config.values import Strict

_TILES = 4  # a side
_DIGITS = 8  # of the checksum: two images in four billion have the same
_MOST_BYTES = 2**28  # of the unpacked table
_HEADER = ["name", "checksum", "tiles", "sharpness"]


@dataclass(frozen=True)
class Tolerance(Strict):
    """How far an image that agrees may be from its check: tiles in grey levels, sharpness as a share."""

    tiles: Annotated[float, Field(ge=0)]
    sharpness: Annotated[float, Field(ge=0)]


class ImageCheck(NamedTuple):
    """The check of an image.

    Attributes:
        checksum: hex digits, of its pixels.
        tiles: mean greys of 4x4 tiles, rounded, row by row.
        sharpness: mean difference between neighbours, in hundredths of a grey level, rounded.
    """

    checksum: str
    tiles: tuple[int, ...]
    sharpness: int

    def agreement(self, other: "ImageCheck", tolerance: Tolerance) -> str:
        """Return ``exactly``, ``within tolerance`` or ``not``."""
        if self.checksum == other.checksum:
            return "exactly"
        near = self.distance(other) <= tolerance.tiles
        return "within tolerance" if near and abs(self.sharpening(other) - 1) <= tolerance.sharpness else "not"

    def distance(self, other: "ImageCheck") -> int:
        """Return the largest difference of the mean greys of a tile."""
        return max(abs(one - two) for one, two in zip(self.tiles, other.tiles, strict=True))

    def sharpening(self, other: "ImageCheck") -> float:
        """Return how many times as sharp as another one it is."""
        return (self.sharpness + 1) / (other.sharpness + 1)  # an even image has no sharpness


def check_image(pixels: NDArray[np.uint8]) -> ImageCheck:
    """Return the check of an image, uint8 [side, side]."""
    rows = np.array_split(pixels, _TILES, axis=0)
    means = [tile.mean() for row in rows for tile in np.array_split(row, _TILES, axis=1)]
    greys = pixels.astype(np.int16)
    sharpness = (np.abs(np.diff(greys, axis=0)).mean() + np.abs(np.diff(greys, axis=1)).mean()) / 2
    digits = checksum(np.ascontiguousarray(pixels).data.cast("B"))[:_DIGITS]
    return ImageCheck(digits, tuple(round(float(mean)) for mean in means), round(100 * float(sharpness)))


def write_checks(checks: Mapping[str, ImageCheck]) -> bytes:
    """Return checks, by the names of their images, as a compressed table."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for name, check in sorted(checks.items()):
        writer.writerow([name, check.checksum, bytes(check.tiles).hex(), check.sharpness])
    return lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME)


def read_checks(content: bytes) -> dict[str, ImageCheck]:
    """Read what :func:`write_checks` returned.

    Raises:
        ValueError: it is no such table.
        lzma.LZMAError: it is damaged.
    """
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    text = decompressor.decompress(content, _MOST_BYTES).decode("utf-8")
    header, *rows = [*csv.reader(StringIO(text, newline=""))] or [[]]
    if header != _HEADER or not decompressor.eof:
        raise ValueError(f"no whole table of {', '.join(_HEADER)}")
    return {name: ImageCheck(digits, _tiles(tiles), int(sharpness)) for name, digits, tiles, sharpness in rows}


def _tiles(text: str) -> tuple[int, ...]:
    if len(text) != 2 * _TILES**2:
        raise ValueError(f"{text} is not {_TILES**2} greys")
    return tuple(bytes.fromhex(text))

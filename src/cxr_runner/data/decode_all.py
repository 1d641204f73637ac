"""Decodes all images of a source into one file, on all cores."""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.checksums import checksum, digest_of_parts
from cxr_runner.base.errors import BadImageError, UnavailableImageError
from cxr_runner.base.progress import Reporter
from cxr_runner.base.threads import in_threads
from cxr_runner.config.data_schema import Bits
from cxr_runner.data.decode import resize_square
from cxr_runner.data.sources import Listing, Record, Source

_FLUSHED = 128  # images, after as many of which the disk is waited for


def decode_all(
    source: Source, listing: Listing, image_size: int, bits: Bits, path: Path, reporter: Reporter
) -> tuple[list[dict[str, object]], int | None]:
    """Decode all images into a file.

    How bright an image with more than 8 bits is depends on all others: without ``bits`` these are decoded twice.

    Args:
        source: source of the images.
        listing: what it has listed.
        image_size: side of the stored squares, in pixels.
        bits: see :func:`~cxr_runner.data.store.open_store`.
        path: file to write, uint8 [images, side, side].
        reporter: shows the progress.

    Returns:
        The rows of the store's table, and the bits that deep images were scaled by, None where there is none.
    """
    squares = Squares.create(path, len(listing.records), image_size)
    given = None if bits == "auto" else bits

    def store(index: int) -> Stored:
        return _store_one(source, index, listing.records[index], squares, given)

    stored = []
    for one in in_threads(store, range(len(listing.records)), "decoding images", reporter):
        stored.append(one)
        if len(stored) % _FLUSHED == 0:
            squares.flush()  # while the others are decoded, so that the end waits for few
    deep = [index for index, one in enumerate(stored) if one.deep]
    used = given or max((int(str(stored[index].row["bits"])) for index in deep), default=None)
    if deep and given is None:

        def store_scaled(index: int) -> Stored:
            return _store_one(source, index, listing.records[index], squares, used)

        for index, again in zip(deep, in_threads(store_scaled, deep, "decoding images", reporter), strict=True):
            stored[index] = again
    squares.flush()
    return [one.row for one in stored], used if deep else None


@dataclass(frozen=True)
class Squares:
    """A file of squares, which several threads may write to.

    It is written, not mapped: a mapping costs 0.7 ms an image in page faults, and a full disk there is a bus error,
    which ends the process without a word.

    Attributes:
        path: the file, uint8 [images, side, side] as NumPy saves it.
        side: in pixels.
        start: bytes of the file before the first image.
    """

    path: Path
    side: int
    start: int

    @classmethod
    def create(cls, path: Path, num_images: int, side: int) -> "Squares":
        """Make a file in which every image is black."""
        empty = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(num_images, side, side))
        return cls(path, side, empty.offset)

    def write(self, index: int, square: NDArray[np.uint8]) -> None:
        """Write an image in its place."""
        with self.path.open("r+b", buffering=0) as file:
            file.seek(self.start + index * self.side**2)
            written = file.write(square.data)
        if written != square.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        """Wait until the disk has all of them."""
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())


class Stored(NamedTuple):
    """What became of an image: its row of the store's table, and whether it has more than 8 bits."""

    row: dict[str, object]
    deep: bool


def _store_one(source: Source, index: int, record: Record, squares: Squares, bits: int | None) -> Stored:
    """Decode one image into its place.

    One with more than 8 bits is scaled by ``bits``, and where these are None for the time being by what it needs.
    """
    row = _row_of(record)
    deep = False
    try:
        loaded = source.load(index)
        decoded, deep = loaded.decoded, loaded.decoded.deep
        row |= {"format": decoded.format, "mode": decoded.mode, "bits": decoded.bits}
        grey = decoded.grey(bits or decoded.bits)
    except BadImageError as error:
        unavailable = isinstance(error, UnavailableImageError)
        black = np.zeros((squares.side, squares.side), np.uint8)
        return Stored(row | {"check": checksum(black.data), "error": str(error), "unavailable": unavailable}, deep)
    square = np.ascontiguousarray(resize_square(grey, squares.side))
    squares.write(index, square)
    row |= {
        "patient": record.patient or loaded.patient,
        "columns": _as_json({**loaded.columns, **record.columns}),
        "digest": loaded.digest,
        "pixels": _digest(grey),
        # Of what was decoded, not of what now lies in the file.
        "stored": _digest(square),
        "check": checksum(square.data),
        "height": grey.shape[0],
        "width": grey.shape[1],
    }
    return Stored(row, deep)


def _row_of(record: Record) -> dict[str, object]:
    """Return the row of an image that was not read yet."""
    known = {"name": record.name, "label": record.label, "split": record.split or "", "patient": record.patient or ""}
    unread = dict.fromkeys(("digest", "pixels", "stored", "check", "format", "mode", "error"), "")
    numbers = {"height": 0, "width": 0, "bits": 0, "unavailable": False}
    return {**known, "columns": _as_json(record.columns), **unread, **numbers}


def _as_json(columns: Mapping[str, str]) -> str:
    return json.dumps(dict(columns), ensure_ascii=False) if columns else ""


def _digest(grey: NDArray[np.uint8]) -> str:
    shape = repr(grey.shape).encode()  # 2x8 and 4x4 pixels may hold the same bytes
    return digest_of_parts(shape, np.ascontiguousarray(grey).data)

"""Decodes all images of a source into one file, on all cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.checksums import checksum, digest
from cxr_runner.base.errors import BadImageError, UnavailableImageError
from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import Bits
from cxr_runner.data.decode import resize_square
from cxr_runner.data.sources import Listing, Source


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
    shape = (len(listing.records), image_size, image_size)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            # Reserved now, so that a full disk is an error here: met later through the mapping, it is a bus error,
            # which ends the process without a word.
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    given = None if bits == "auto" else bits
    every = range(len(listing.records))
    rows: list[dict[str, object]] = []
    deep: list[int] = []
    for row, is_deep in _in_threads(lambda index: _store_one(source, index, images[index], given), every, reporter):
        record = listing.records[len(rows)]
        described = {"name": record.name, "label": record.label, "split": record.split or ""}
        deep += [len(rows)] if is_deep else []
        rows.append(described | {"patient": record.patient or ""} | row)
    used = given or max((int(str(rows[index]["bits"])) for index in deep), default=None)
    if deep and given is None:
        again = _in_threads(lambda index: _store_one(source, index, images[index], used), deep, reporter)
        for index, (row, _) in zip(deep, again, strict=True):
            rows[index] |= row
    images.flush()
    return rows, used if deep else None


def _in_threads(
    work: Callable[[int], tuple[dict[str, object], bool]], indices: Sequence[int], reporter: Reporter
) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield what is made of each image, in order; Pillow and NumPy let go of the interpreter lock while they work."""
    with ThreadPoolExecutor(num_cores()) as pool, reporter.steps("decoding images", len(indices)) as advance:
        try:
            for made in pool.map(work, indices):
                yield made
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _store_one(
    source: Source, index: int, target: NDArray[np.uint8], bits: int | None
) -> tuple[dict[str, object], bool]:
    """Decode one image into its place; return its row of the table, and whether it has more than 8 bits.

    Such an image is scaled by ``bits``, and where these are None for the time being by what it needs itself.
    """
    row = {"digest": "", "pixels": "", "stored": "", "height": 0, "width": 0, "format": "", "mode": "", "bits": 0}
    deep = False
    try:
        loaded = source.load(index)
        decoded, deep = loaded.decoded, loaded.decoded.deep
        row |= {"format": decoded.format, "mode": decoded.mode, "bits": decoded.bits}
        grey = decoded.grey(bits or decoded.bits)
    except BadImageError as error:
        unavailable = isinstance(error, UnavailableImageError)
        return row | {"check": checksum(target.data), "error": str(error), "unavailable": unavailable}, deep
    square = np.ascontiguousarray(resize_square(grey, target.shape[0]))
    target[:] = square
    return row | {
        "digest": loaded.digest,
        "pixels": _digest(grey),
        # Of what was decoded, not of what now lies in the file.
        "stored": _digest(square),
        "check": checksum(square.data),
        "height": grey.shape[0],
        "width": grey.shape[1],
        "error": "",
        "unavailable": False,
    }, deep


def _digest(grey: NDArray[np.uint8]) -> str:
    shape = repr(grey.shape).encode()  # 2x8 and 4x4 pixels may hold the same bytes
    return digest(shape + np.ascontiguousarray(grey).tobytes())

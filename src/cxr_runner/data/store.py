"""The decoded image store: every image once, grey, square, uint8, in one memory-mapped file.

A store is a folder of the cache directory: ``images.npy`` (uint8, [images, side, side]), ``table.csv`` (one row an
image, with a checksum), ``meta.json``, and a folder for what is derived from the images. It is built under a temporary
name and renamed, so that a store either is whole or is not there; a lock keeps several processes from building the same
one.
"""

import json
import os
import shutil
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.checksums import checksum
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_CSV, MOST_JSON, regular
from cxr_runner.base.locks import hold_lock
from cxr_runner.base.machine import num_cores
from cxr_runner.base.numbers import format_bytes
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import Bits
from cxr_runner.data.cache import derived_path, has_its_origin, keep_origin, read_remarks, store_path
from cxr_runner.data.decode_all import decode_all
from cxr_runner.data.in_use import hold_shared, note_use
from cxr_runner.data.sources import PassedOver, Source

_TEXT = ("name", "split", "patient", "digest", "pixels", "stored", "check", "format", "mode", "error", "columns")
# What a store says that is older than these columns: it holds phantoms, or images of a kind that is decoded anew now.
_BEFORE: dict[str, str | int] = {"patient": "", "columns": "", "format": "drawn", "mode": "L", "bits": 8}


@dataclass(frozen=True)
class Store:
    """An open store. As long as its images are in use anywhere in the process, ``cxr-data cache --clear`` leaves it.

    Attributes:
        images: uint8 [images, side, side], mapped into memory; changes never reach the file.
        table: one row an image: ``name``, ``label``, ``split`` and ``patient`` ('' where the source gives none),
            ``columns`` (JSON object of what else the source knows; '' for nothing), ``digest`` (of the encoded bytes),
            ``pixels`` (digest in the size of the source), ``stored`` (digest as stored), ``check`` (checksum as
            stored), ``height``, ``width``, ``format``, ``mode`` and ``bits`` (see
            :class:`~cxr_runner.data.decode.Decoded`), ``error`` ('' for a good image; the row of a bad one is black)
            and ``unavailable`` (whether a bad one may be good another time; the next start then builds anew).
        class_names: names of the negative and the positive class.
        bits: bits that black to white takes in images with more than 8; None where there is none.
        passed_over: what the source left out when the images were decoded.
        notes: lines on what was made of the source then.
        path: folder of the store.
        derived: folder in it for what is computed from the images; other images never share it.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame
    class_names: tuple[str, str]
    bits: int | None
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...]
    path: Path
    derived: Path


def open_store(
    source: Source,
    image_size: int,
    cache: Path,
    reporter: Reporter,
    *,
    bits: Bits = "auto",
    every_image: bool = False,
) -> Store:
    """Open the store of a source, building it first where it is missing, out of date or damaged.

    Args:
        source: source of the images.
        image_size: side of the stored squares, in pixels.
        cache: folder of all stores.
        reporter: shows the progress of a build.
        bits: bits that black to white takes in images with more than 8; ``auto`` takes the most that any of them needs.
        every_image: whether every image is compared with its checksum, which takes as long as reading all of them;
            otherwise 16 are, to notice a store that is not whole.

    Raises:
        UserError: the source is not valid, or the cache directory cannot hold the store.
    """
    path = store_path(source, image_size, cache, bits)
    store = _read(path, reporter, every_image=every_image)
    if store is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with hold_lock(cache / f"{path.name}.lock", "decodes the same images", reporter):
                # Another process may have built it while we waited.
                store = _read(path, Reporter(), every_image=every_image)
                if store is None:
                    shutil.rmtree(path, ignore_errors=True)
                    _build(source, image_size, bits, path, reporter)
                    store = _read(path, reporter, fresh=True)
        except OSError as error:
            valid = f"cannot write here ({error.strerror or error}); name another folder"
            raise UserError.for_key("CXR_CACHE", cache, valid) from error
    assert store is not None, "a store that was just built can be read"
    note_use(path / "meta.json")
    for remark in read_remarks(path):
        reporter.line(remark)
    return store


def changed_images(images: NDArray[np.uint8], rows: NDArray[np.int64], checks: Sequence[str]) -> NDArray[np.int64]:
    """Compare images with their checksums, on all cores.

    Args:
        images: uint8 [stored images, side, side].
        rows: int [n], rows of the images to compare.
        checks: checksums of these images when they were stored.

    Returns:
        Those of the rows whose image has changed.
    """
    with ThreadPoolExecutor(num_cores()) as pool:
        computed = pool.map(lambda row: checksum(images[row].data), rows)
        return rows[[now != check for now, check in zip(computed, checks, strict=True)]]


def _read(path: Path, reporter: Reporter, *, every_image: bool = False, fresh: bool = False) -> Store | None:
    """Open a store; None where it is missing or damaged, or where an image was unavailable when it was built."""
    text = {column: str for column in _TEXT}
    descriptors: list[int] = []
    try:
        descriptors.append(hold_shared(regular(path / "meta.json", MOST_JSON)))
        meta = json.loads((path / "meta.json").read_text("utf-8"))
        content = regular(path / "table.csv", MOST_CSV).read_bytes()
        check = meta.pop("check")
        if check != _check_of_rest(meta, content):
            raise ValueError("its table has changed")
        if not has_its_origin(path):
            raise ValueError("its origin has changed")
        images = _map_images(path / "images.npy")
        table = pd.read_csv(BytesIO(content), dtype=text, keep_default_na=False)
        for column, value in _BEFORE.items():
            if column not in table:
                table[column] = value
        _check_images(images, table, meta["shape"], every_image)
        if table["unavailable"].any() and not fresh:
            return None
        # Whoever uses the images holds them or a view of them: the lock ends with the last.
        weakref.finalize(images, os.close, descriptors.pop())
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except Exception as error:  # what a disk has changed may raise anything; the store holds what we wrote ourselves
        reporter.line(f"{path} is damaged and built anew ({error})")
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    negative, positive = meta["class_names"]
    left_out = tuple(PassedOver(**one) for one in meta.get("passed_over", ()))
    notes = tuple(meta.get("notes", ()))
    return Store(
        images, table, (negative, positive), meta.get("bits"), left_out, notes, path, derived_path(path, check)
    )


def _map_images(path: Path) -> NDArray[np.uint8]:
    """Map the images of a store into memory, copy on write: torch wants memory that may be written to."""
    images: NDArray[np.uint8] = np.load(regular(path), mmap_mode="c", allow_pickle=False)
    return images


def _check_images(images: NDArray[np.uint8], table: pd.DataFrame, shape: list[int], every_image: bool) -> None:
    """Compare the images with what the store says of them.

    Raises:
        ValueError: they do not fit.
    """
    if images.dtype != np.uint8 or list(images.shape) != shape or len(images) != len(table):
        raise ValueError("its parts do not fit")
    rows = np.arange(len(images))
    if not every_image:
        rows = np.unique(np.linspace(0, len(images) - 1, 16, dtype=int))
    changed = changed_images(images, rows, table["check"][rows].tolist())
    if len(changed):
        raise ValueError(f"{len(changed)} of {len(rows)} images that were looked at have changed")


def _check_of_rest(meta: dict[str, object], table: bytes) -> str:
    """Return a checksum over what a store keeps beside the images."""
    return checksum(json.dumps(meta).encode() + table)


def _build(source: Source, image_size: int, bits: Bits, path: Path, reporter: Reporter) -> None:
    listing = source.scan()
    _check_space(len(listing.records) * image_size**2, path.parent)
    building = path.with_name(f"{path.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # left by a process that died: whoever builds holds the lock
    building.mkdir()
    try:
        rows, depth = decode_all(source, listing, image_size, bits, building / "images.npy", reporter)
        table = pd.DataFrame(rows).to_csv(index=False).encode()
        (building / "table.csv").write_bytes(table)
        shape = [len(rows), image_size, image_size]
        meta = {"class_names": list(listing.class_names), "shape": shape, "about": source.about.title}
        if depth is not None:
            meta["bits"] = depth
        if listing.passed_over:
            meta["passed_over"] = [asdict(one) for one in listing.passed_over]
        if listing.notes:
            meta["notes"] = list(listing.notes)
        meta["check"] = _check_of_rest(meta, table)
        derived_path(building, str(meta["check"])).mkdir()
        keep_origin(building, listing.remarks)
        (building / "meta.json").write_text(json.dumps(meta), "utf-8")
        building.rename(path)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _check_space(num_bytes: int, cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < num_bytes * 1.02:
        valid = f"the decoded images need {format_bytes(num_bytes)} and only {format_bytes(free)} are free there"
        raise UserError.for_key("CXR_CACHE", cache, valid + "; name another folder or a smaller data.image_size")

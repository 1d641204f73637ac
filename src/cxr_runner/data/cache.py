"""The folders of stores, and the descriptions of data sets kept in them; neither pandas nor torch is needed."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json, write_checked_json
from cxr_runner.base.checksums import digest
from cxr_runner.base.locks import locked_folder
from cxr_runner.base.markdown import printable
from cxr_runner.config.data_schema import AnyDataConfig, Bits
from cxr_runner.data.sources import Source

FORMAT_VERSION = 3  # counts changes of decoding, resizing or layout: older stores are then built anew


def store_path(source: Source, image_size: int, cache: Path, bits: Bits = "auto") -> Path:
    """Return the folder of the store of a source, which need not exist.

    Args:
        source: source of the images.
        image_size: side of the stored squares, in pixels.
        cache: folder of all stores.
        bits: ``data.bits``, where the images were scaled by another number than they need.

    Raises:
        UserError: the source is not valid.
    """
    key = json.dumps([FORMAT_VERSION, source.signature(), image_size, *([] if bits == "auto" else [bits])])
    return cache / f"{digest(key, 16)}-{image_size}"


def keep_origin(store: Path, remarks: Sequence[str]) -> None:
    """Write what a store is made of, beside what its checksum covers: format and remarks of the source.

    Args:
        store: folder of the store.
        remarks: see :class:`~cxr_runner.data.sources.Listing`.
    """
    write_checked_json(store / "origin.json", {"format": FORMAT_VERSION, "remarks": list(remarks)})


def read_remarks(store: Path) -> list[str]:
    """Return the remarks that :func:`keep_origin` wrote; none where the store is older."""
    remarks = read_checked_json(store / "origin.json")[0].get("remarks")
    return [printable(remark) for remark in remarks] if isinstance(remarks, list) else []


def has_its_origin(store: Path) -> bool:
    """Return whether what :func:`keep_origin` wrote is unchanged; an older one without a checksum is taken as it is."""
    return read_checked_json(store / "origin.json")[1] is not False


def derived_path(store: Path, check: str) -> Path:
    """Return the folder in a store for what is computed from its images.

    Args:
        store: folder of the store.
        check: checksum of the store, from its ``meta.json``: other images never share the folder.
    """
    return store / f"derived-{check}"


def read_description(store: Path, config: AnyDataConfig) -> dict[str, Any] | None:
    """Return the description of a data set that was opened before, else None; None too where a file has changed.

    Args:
        store: folder of its store.
        config: configuration of the data set.
    """
    description, intact = read_checked_json(_description_path(store, config))
    return description if intact and has_its_origin(store) and (store / "meta.json").is_file() else None


def keep_description(store: Path, config: AnyDataConfig, description: dict[str, Any]) -> None:
    """Write a description for :func:`read_description`; nothing happens where the folder is read-only.

    Args:
        store: folder of the store of the data set.
        config: configuration of the data set.
        description: description of the data set, ready for JSON.
    """
    path = _description_path(store, config)
    if read_checked_json(path) != (description, True):
        with suppress(OSError), locked_folder(path.parent):
            write_checked_json(path, description)


def _description_path(store: Path, config: AnyDataConfig) -> Path:
    # The version, because another version may split the same data differently.
    key = json.dumps([version("cxr-runner"), asdict(config)])
    return store / "descriptions" / f"{digest(key, 16)}.json"

"""Where the store of a source is; asking takes neither pandas nor torch."""

import hashlib
import json
import os
from pathlib import Path

from platformdirs import user_cache_path

from cxr_runner.base.errors import user_path
from cxr_runner.data.sources import Source

FORMAT_VERSION = 3  # counts changes of decoding, resizing or layout: older stores are then built anew


def cache_dir() -> Path:
    """Return the folder of all stores: ``$CXR_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("CXR_CACHE")
    return user_path("CXR_CACHE", chosen) if chosen else user_cache_path("cxr_runner")


def store_path(source: Source, image_size: int, cache: Path) -> Path:
    """Return the folder of the store of a source, which need not exist.

    Args:
        source: where the images come from.
        image_size: side of the stored squares, in pixels.
        cache: folder of all stores.

    Raises:
        UserError: the source is not as it must be.
    """
    key = json.dumps([FORMAT_VERSION, source.signature(), image_size])
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{image_size}"


def derived_path(store: Path, check: str) -> Path:
    """Return the folder in a store for what is computed from its images.

    Args:
        store: the folder of the store.
        check: of all images of the store, as its ``meta.json`` has it: other images never share the folder.
    """
    return store / f"derived-{check}"

"""Images of a data set that was opened before, looked up in the store: nothing is decoded, and nothing written."""

from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.checksums import checksum
from cxr_runner.base.files import MOST_CSV, regular


class StoredImage(NamedTuple):
    """An image as models see it, uint8 [side, side], and its width and height in its source, in pixels."""

    pixels: NDArray[np.uint8]
    source_size: tuple[int, int]


def find_stored_images(
    fingerprints: Collection[str], image_size: int, names: Collection[str]
) -> dict[str, StoredImage]:
    """Return images as models see them; only those that a store still holds as they were.

    Args:
        fingerprints: fingerprints of images, labels and splits; a store of any of them will do.
        image_size: side of the images in pixels.
        names: names of the images that are wanted.

    Returns:
        Images by name; empty where the store is gone.
    """
    with suppress(OSError):
        for store in sorted(cache_dir().glob(f"*-{image_size}")):
            if _is_of(store, fingerprints):
                with suppress(OSError, ValueError, KeyError):
                    return _read(store, names)
    return {}


def _is_of(store: Path, fingerprints: Collection[str]) -> bool:
    for path in (store / "descriptions").glob("*.json"):
        description, intact = read_checked_json(path)
        if intact and description.get("fingerprint") in fingerprints:
            return True
    return False


def _read(store: Path, names: Collection[str]) -> dict[str, StoredImage]:
    content = regular(store / "table.csv", MOST_CSV).read_bytes()
    table = pd.read_csv(
        BytesIO(content), usecols=["name", "check", "width", "height"], dtype=str, keep_default_na=False
    )
    images = np.load(regular(store / "images.npy"), mmap_mode="r", allow_pickle=False)
    wanted = table[table["name"].isin(names)]
    found = {}
    for row, entry in zip(wanted.index, wanted.to_dict("records"), strict=True):
        pixels = np.array(images[row])
        if checksum(pixels.data) == entry["check"]:
            found[str(entry["name"])] = StoredImage(pixels, (int(entry["width"]), int(entry["height"])))
    return found

"""Sample images of a data set, for the report: as in their source and as models see them.

They are in ``<outputs>/samples/<fingerprint>.npz``, one file for all runs on the same images. The file may be deleted,
where images must not be passed on: the report works without it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.files import regular, replacing

_MOST_BYTES = 2**20  # unpacked size of an entry of the file; one of 512 x 512 pixels has a quarter
_MOST_FILE = 2**24  # bytes of the file itself
MAX_SIDE = 512  # pixels to a side; a page shows them smaller


@dataclass(frozen=True)
class Sample:
    """One sample image.

    Attributes:
        name: name of the image in its source.
        label: name of its class.
        before: uint8 [height, width], the image in its source, reduced to at most 512 pixels to a side.
        after: uint8 [side, side], the image that models see, reduced to at most 512 pixels to a side.
        source_size: width and height in the source, in pixels.
        stored_side: side of the square that models see, in pixels.
    """

    name: str
    label: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    source_size: tuple[int, int]
    stored_side: int


def samples_path(outputs: Path, fingerprint: str) -> Path:
    """Return the path of the samples of a data set.

    Args:
        outputs: outputs tree.
        fingerprint: fingerprint of the data set.
    """
    return outputs / "samples" / f"{fingerprint}.npz"


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples, completely or not at all."""
    entries = [
        {"name": sample.name, "label": sample.label, "size": sample.source_size, "side": sample.stored_side}
        for sample in samples
    ]
    images = {f"before_{i}": sample.before for i, sample in enumerate(samples)}
    images |= {f"after_{i}": sample.after for i, sample in enumerate(samples)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, entries=np.array(json.dumps(entries)), **images)


def read_samples(path: Path) -> list[Sample]:
    """Read samples; none where the file is missing or damaged."""
    try:
        with regular(path, _MOST_FILE).open("rb") as file, np.load(file, allow_pickle=False) as content:
            if any(entry.file_size > _MOST_BYTES for entry in content.zip.infolist()):
                return []
            entries = json.loads(str(content["entries"]))
            return [_sample(entry, content[f"before_{i}"], content[f"after_{i}"]) for i, entry in enumerate(entries)]
    except Exception:  # a damaged zip file can raise almost anything; a page works without samples
        return []


def _sample(entry: dict[str, object], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Sample:
    """Return a sample from its entry and its two images; ValueError for arrays that are no such images."""
    for image in (before, after):
        if image.dtype != np.uint8 or image.ndim != 2 or not 0 < min(image.shape) <= max(image.shape) <= MAX_SIDE:
            raise ValueError("not an image")
    width, height = map(int, entry["size"])  # type: ignore[call-overload]
    return Sample(str(entry["name"]), str(entry["label"]), before, after, (width, height), int(str(entry["side"])))

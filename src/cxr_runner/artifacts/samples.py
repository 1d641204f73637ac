"""A few images of a data set, left beside its runs for the report: as the source gave them and as models see them.

They lie in ``<outputs>/samples/<fingerprint>.npz``, once for all runs on the same images. Who must not pass images on
deletes them: the report does without.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.files import replacing

if TYPE_CHECKING:  # to read samples takes neither sources nor stores
    pass


_MOST_BYTES = 2**20  # that an entry of the file may have unpacked; one of ours has a quarter
_LONGEST = 512  # pixels to a side of what is kept; a page shows them smaller


@dataclass(frozen=True)
class Sample:
    """One image.

    Attributes:
        name: of the image in its source.
        label: its class.
        before: uint8 [height, width], as the source gave it, at most 512 pixels to a side.
        after: uint8 [side, side], as models see it, at most 512 pixels to a side.
        source_size: width and height that the source gave, in pixels.
        stored_side: side of the square that models see, in pixels.
    """

    name: str
    label: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    source_size: tuple[int, int]
    stored_side: int


def samples_path(outputs: Path, fingerprint: str) -> Path:
    """Return where the samples of a data set lie."""
    return outputs / "samples" / f"{fingerprint}.npz"


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples, whole or not at all."""
    entries = [
        {"name": sample.name, "label": sample.label, "size": sample.source_size, "side": sample.stored_side}
        for sample in samples
    ]
    images = {f"before_{i}": sample.before for i, sample in enumerate(samples)}
    images |= {f"after_{i}": sample.after for i, sample in enumerate(samples)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, entries=np.array(json.dumps(entries)), **images)


def read_samples(path: Path) -> list[Sample]:
    """Read samples; none where there is no such file or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            if any(entry.file_size > _MOST_BYTES for entry in content.zip.infolist()):
                return []
            entries = json.loads(str(content["entries"]))
            return [_sample(entry, content[f"before_{i}"], content[f"after_{i}"]) for i, entry in enumerate(entries)]
    except Exception:  # zip files can be wrong in many ways; a page without samples is still a page
        return []


def _sample(entry: dict[str, object], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Sample:
    for image in (before, after):
        if image.dtype != np.uint8 or image.ndim != 2 or not 0 < min(image.shape) <= max(image.shape) <= _LONGEST:
            raise ValueError("not an image")
    width, height = map(int, entry["size"])  # type: ignore[call-overload]
    return Sample(str(entry["name"]), str(entry["label"]), before, after, (width, height), int(str(entry["side"])))

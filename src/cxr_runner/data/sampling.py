"""A few images of a data set, left beside its runs for the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:  # to read samples takes neither sources nor stores
    from cxr_runner.config.schema import AnyDataConfig
    from cxr_runner.data.dataset import Dataset
from cxr_runner.artifacts.samples import _LONGEST, Sample, samples_path, write_samples

_NUM_EACH = 2  # images of each class


def leave_samples(outputs: Path, dataset: "Dataset", config: "AnyDataConfig") -> None:
    """Write the samples of a data set, unless they are there: the first training images of each class.

    Args:
        outputs: the outputs tree.
        dataset: open.
        config: that it was opened with.

    Raises:
        UserError: the source of the images is not as it must be.
        OSError: the outputs tree cannot be written to.
    """
    path = samples_path(outputs, dataset.fingerprint)
    if path.exists():
        return
    from cxr_runner.base.locks import locked_folder
    from cxr_runner.data.sources.choose import open_source

    source = open_source(config)
    positions = {record.name: index for index, record in enumerate(source.scan().records)}
    samples = []
    for label in (0, 1):
        train = dataset.table[(dataset.table["split"] == "train") & (dataset.table["label"] == label)]
        chosen = train.head(_NUM_EACH)
        for row, name in zip(chosen.index.to_numpy(int), chosen["name"], strict=True):
            grey, stored = source.load(positions[name]).grey, np.asarray(dataset.images[row])
            size = (grey.shape[1], grey.shape[0])
            kept = (_shrink(grey), _shrink(stored), size, stored.shape[0])
            samples.append(Sample(name, dataset.class_names[label], *kept))
    with locked_folder(path.parent):
        write_samples(path, samples)


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image at most :data:`_LONGEST` pixels to a side, in its own proportions."""
    if max(image.shape) <= _LONGEST:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture)

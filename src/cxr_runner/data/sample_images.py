"""A few images of a data set, written beside its runs for the report: as the source has them and as models see them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_runner.artifacts.samples import MAX_SIDE, Sample, read_samples, samples_path, write_samples
from cxr_runner.base.locks import locked_folder
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.sources.catalogue import open_source

_NUM_EACH = 2  # images of each class


def leave_samples(outputs: Path, dataset: Dataset, config: AnyDataConfig) -> None:
    """Write the samples of a data set, unless they are there and whole: the first training images of each class.

    Args:
        outputs: outputs tree.
        dataset: data set whose images are shown.
        config: configuration that it was opened with.

    Raises:
        UserError: the source of the images is not valid.
        OSError: the outputs tree cannot be written to.
    """
    path = samples_path(outputs, dataset.whole_fingerprint)
    if read_samples(path):
        return
    source = open_source(config)
    positions = {record.name: index for index, record in enumerate(source.scan().records)}
    samples = []
    for label in (0, 1):
        train = dataset.table[(dataset.table["split"] == "train") & (dataset.table["label"] == label)]
        chosen = train.head(_NUM_EACH)
        for row, name in zip(chosen.index.to_numpy(int), chosen["name"], strict=True):
            grey = source.load(positions[name]).decoded.grey(dataset.inventory["bits"] or 8)
            stored = np.asarray(dataset.images[row])
            size = (grey.shape[1], grey.shape[0])
            kept = (_shrink(grey), _shrink(stored), size, stored.shape[0])
            samples.append(Sample(name, dataset.class_names[label], *kept))
    with locked_folder(path.parent):
        write_samples(path, samples)


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image at most :data:`MAX_SIDE` pixels to a side, without changing its proportions."""
    if max(image.shape) <= MAX_SIDE:
        return image
    shrunk = Image.fromarray(image)
    shrunk.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(shrunk)

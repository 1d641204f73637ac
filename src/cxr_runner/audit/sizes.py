"""How large the images are and in which proportions, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.stats.scores import auroc


@dataclass(frozen=True)
class ClassSizes:
    """The sizes of one class; widths and heights in pixels, aspects are width / height.

    Attributes:
        label: name of the class.
        num_images: number of its images that can be read.
        width: least, median and largest width.
        height: least, median and largest height.
        aspect: least, median and largest aspect ratio.
    """

    label: str
    num_images: int
    width: tuple[float, float, float]
    height: tuple[float, float, float]
    aspect: tuple[float, float, float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of all images in their source.

    Attributes:
        classes: sizes of the negative and of the positive class.
        num_sizes: number of different sizes.
        all_square: whether every image is square.
        aspect_auroc: AUROC of the aspect ratio alone over all images, nothing trained, 0.5 to 1 (direction ignored);
            None where the ratio is always the same.
        area_auroc: the same for the number of pixels.
    """

    classes: tuple[ClassSizes, ...]
    num_sizes: int
    all_square: bool
    aspect_auroc: float | None
    area_auroc: float | None


def compare_sizes(table: pd.DataFrame, class_names: Sequence[str]) -> Sizes:
    """Compare the sizes of the classes.

    Args:
        table: images, with columns ``label``, ``width`` and ``height``.
        class_names: names of labels 0 and 1.
    """
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    labels, aspect = table["label"].to_numpy(int), width / height
    classes = []
    for label, name in enumerate(class_names):
        in_class = labels == label
        spans = (_span(values[in_class]) for values in (width, height, aspect))
        classes.append(ClassSizes(name, int(in_class.sum()), *spans))
    return Sizes(
        classes=tuple(classes),
        num_sizes=len(set(zip(width, height, strict=True))),
        all_square=bool((width == height).all()),
        aspect_auroc=_separation(aspect, labels),
        area_auroc=_separation(width * height, labels),
    )


def _span(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the least, median and largest value; zeros for an empty class."""
    if not len(values):
        return (0.0, 0.0, 0.0)
    return float(values.min()), float(np.median(values)), float(values.max())


def _separation(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    """Return the AUROC of the values in the direction that makes it at least 0.5; None where it is undefined."""
    if np.ptp(values) == 0 or len(set(labels.tolist())) < 2:
        return None
    area = float(auroc(values, labels))
    return max(area, 1 - area)

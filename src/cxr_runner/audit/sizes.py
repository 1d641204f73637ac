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
        label: the class.
        num_images: of it that can be read.
        width: least, median and largest.
        height: least, median and largest.
        aspect: least, median and largest.
    """

    label: str
    num_images: int
    width: tuple[float, float, float]
    height: tuple[float, float, float]
    aspect: tuple[float, float, float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of all images as their source gives them.

    Attributes:
        classes: the negative and the positive one.
        num_sizes: how many different sizes there are.
        all_square: whether every image is.
        aspect_auroc: how well the aspect ratio alone tells the classes apart, 0.5 to 1: AUROC over all images, with
            nothing trained; None where the ratio is always the same.
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
        table: with columns ``label``, ``width`` and ``height``.
        class_names: of labels 0 and 1.
    """
    width, height = table["width"].to_numpy(float), table["height"].to_numpy(float)
    labels, aspect = table["label"].to_numpy(int), width / height
    classes = []
    for label, name in enumerate(class_names):
        mine = labels == label
        spans = (_span(values[mine]) for values in (width, height, aspect))
        classes.append(ClassSizes(name, int(mine.sum()), *spans))
    return Sizes(
        classes=tuple(classes),
        num_sizes=len(set(zip(width, height, strict=True))),
        all_square=bool((width == height).all()),
        aspect_auroc=_separation(aspect, labels),
        area_auroc=_separation(width * height, labels),
    )


def _span(values: NDArray[np.float64]) -> tuple[float, float, float]:
    if not len(values):
        return (0.0, 0.0, 0.0)
    return float(values.min()), float(np.median(values)), float(values.max())


def _separation(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float | None:
    if np.ptp(values) == 0 or len(set(labels.tolist())) < 2:
        return None
    area = float(auroc(values, labels))
    return max(area, 1 - area)

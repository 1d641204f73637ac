"""What the training images of a model look like: to tell whether an image was among them, or is unlike all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.checksums import checksum
from cxr_runner.base.progress import Reporter
from cxr_runner.data.image_set import Images
from cxr_runner.data.quality.near_duplicates import THRESHOLD, nearest_distances
from cxr_runner.data.quality.polarity import CONTRARY, common_picture, likeness
from cxr_runner.data.quality.thumbnails import Thumbnails, make_thumbnails, open_thumbnails
from cxr_runner.inference.image_input import Prepared

USUAL = (0.01, 0.99)  # shares of training images that are darker than the usual range, and not brighter
SAME, NEAR = "the same", "nearly the same"
INVERTED, DARKER, BRIGHTER, BORDERS = "inverted", "darker", "brighter", "other borders"
DEEPER, SHALLOWER = "16 bits", "8 bits"


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The images of train and val of all runs of a model.

    Attributes:
        checks: checksums of the images as they were stored.
        hashes: uint64 [images, 4], their perceptual hashes.
        picture: float64 [1024], what they have in common; None where there is no such thing.
        grey: mean grey of the middle of an image, from 0 to 1, at the two ends of the usual range, :data:`USUAL`.
        rim: the same of its outermost sixteenth on all sides.
        deep: whether there are images with more than 8 bits among them, and whether there are others.
    """

    checks: frozenset[str]
    hashes: NDArray[np.uint64]
    picture: NDArray[np.float64] | None
    grey: tuple[float, float]
    rim: tuple[float, float]
    deep: tuple[bool, bool]

    def compare(self, images: Sequence[Prepared]) -> pd.DataFrame:
        """Compare images with those of the training.

        Args:
            images: at least one; all can be read, and have the size of the training images.

        Returns:
            One row an image: ``overlap``, '' or whether the same or nearly the same image was trained on; ``unlike``,
            '' or in what it is unlike them.
        """
        squares = np.stack([one.square for one in images])
        looks = make_thumbnails(squares, np.arange(len(squares)), Reporter())
        near = nearest_distances(looks.hashes, self.hashes) <= THRESHOLD
        same = np.array([checksum(square.data) in self.checks for square in squares])
        overlap = np.where(same, SAME, np.where(near, NEAR, ""))
        return pd.DataFrame({"overlap": overlap, "unlike": self._unlike(images, looks)})

    def _unlike(self, images: Sequence[Prepared], looks: Thumbnails) -> list[str]:
        grey, rim = mean_grey(looks)
        inverted = np.zeros(len(grey), bool) if self.picture is None else likeness(looks.small, self.picture) < CONTRARY
        deep = np.array([one.mode.endswith(";16") for one in images])
        flags = {
            INVERTED: inverted,
            DARKER: grey < self.grey[0],
            BRIGHTER: grey > self.grey[1],
            BORDERS: (rim < self.rim[0]) | (rim > self.rim[1]),
            DEEPER: deep & (not self.deep[0]),
            SHALLOWER: ~deep & (not self.deep[1]),
        }
        return ["; ".join(name for name, flag in flags.items() if flag[number]) for number in range(len(images))]


def mean_grey(looks: Thumbnails) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean grey of the middle of images and of their rims, float64 [images], from 0, black, to 1, white."""
    small, side = looks.small / 255, looks.small.shape[1]
    inside = np.zeros((side, side), bool)
    inside[side // 4 : -side // 4, side // 4 : -side // 4] = True
    rim = np.ones((side, side), bool)
    rim[side // 16 : -side // 16, side // 16 : -side // 16] = False
    return small[:, inside].mean(axis=1), small[:, rim].mean(axis=1)


def look_at(parts: Sequence[tuple[Images, NDArray[np.int64]]], reporter: Reporter) -> TrainingImages:
    """Return what training images look like.

    Args:
        parts: opened images, and which rows of their table were trained on.
        reporter: shows the progress.
    """
    looked = [open_thumbnails(images.store.images, rows, images.store.derived, reporter) for images, rows in parts]
    looks = Thumbnails(*(np.concatenate([getattr(one, name) for one in looked]) for name in ("small", "hashes")))
    table = pd.concat([images.table.loc[rows] for images, rows in parts])
    deep = table["mode"].str.endswith(";16")
    grey, rim = (np.quantile(values, USUAL) for values in mean_grey(looks))
    return TrainingImages(
        checks=frozenset(table["check"]),
        hashes=looks.hashes,
        picture=common_picture(looks.small),
        grey=(float(grey[0]), float(grey[1])),
        rim=(float(rim[0]), float(rim[1])),
        deep=(bool(deep.any()), bool((~deep).any())),
    )

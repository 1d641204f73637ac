"""The weights of linear networks as pictures: their mean over runs, their spread, and what is the same in all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.data.quality.outskirts import outskirts
from cxr_runner.data.quality.thumbnails import SMALL
from cxr_runner.inference.explain.network_maps import Picture

if TYPE_CHECKING:  # it is handed images
    from cxr_runner.data.dataset import Dataset

_PIXELS_AT_ONCE = 2**24  # which are converted to float64


@dataclass(frozen=True, eq=False)
class WeightPictures:
    """The maps from pixels to the logit of linear networks.

    Attributes:
        maps: float64 [runs, side, side].
        learned: the same without what the initial weights left; None where that is not known.
        deviation: float64 [side, side], standard deviation of the pixels of the training images; None likewise.
        aurocs: of the test images by parts of the mean map, see :func:`region_aurocs`; None where runs differ in them.
    """

    maps: NDArray[np.float64]
    learned: NDArray[np.float64] | None
    deviation: NDArray[np.float64] | None
    aurocs: dict[str, float] | None

    @property
    def mean(self) -> Picture:
        """The mean map, that of the ensemble."""
        return np.asarray(self.maps.mean(axis=0))

    @property
    def spread(self) -> Picture | None:
        """Standard deviation of each weight over the runs; None of one run."""
        return np.asarray(self.maps.std(axis=0, ddof=1)) if len(self.maps) > 1 else None

    @property
    def same(self) -> Picture | None:
        """The mean where it differs from 0 by more than the spread over runs explains, else 0; None of one run."""
        if len(self.maps) == 1:
            return None
        return np.where(stats.differs_from_zero(self.maps), self.mean, 0.0)

    def describe(self) -> dict[str, Any]:
        """Return the numbers, ready for JSON but for NaN."""
        same = self.same
        return {
            "share_same": None if same is None else float((same != 0).mean()),
            "share_by_chance": None if same is None else 0.05,
            "weights": _structure(self.maps),
            "learned": None if self.learned is None else _structure(self.learned),
            "regions": region_shares([self.mean]),
            "aurocs": self.aurocs,
            "effect_regions": None if self.deviation is None else region_shares([self.mean * self.deviation]),
        }


def _structure(maps: NDArray[np.float64]) -> dict[str, float]:
    """Return how smooth the mean map is, and how far the maps agree at the size of an audit's reduced images."""
    small = np.stack([stats.reduced(one, SMALL) for one in maps])
    return {"morans_i": stats.morans_i(maps.mean(axis=0)), "agreement": stats.picture_agreement(small)}


def region_shares(pictures: Sequence[Picture]) -> dict[str, float]:
    """Return how much of the absolute values of pictures lies in each of the outskirts, as a share of all of it.

    Args:
        pictures: float64 [side, side] each; each counts alike.

    Returns:
        By name; NaN where a picture is 0 throughout.
    """
    sizes = [abs(one) for one in pictures]
    with np.errstate(invalid="ignore"):
        return {
            name: float(np.mean([one[mask].sum() / one.sum() for one in sizes]))
            for name, mask in outskirts(len(pictures[0])).items()
        }


def region_areas(side: int) -> dict[str, float]:
    """Return the share of the area that each of the outskirts has."""
    return {name: float(mask.mean()) for name, mask in outskirts(side).items()}


def region_aurocs(weight: Picture, dataset: "Dataset") -> dict[str, float]:
    """Return how well the test images are told apart by the pixels of each of the outskirts, and by all others.

    The weights stay as they are: nothing is trained anew.

    Args:
        weight: float64 [side, side], the mean map.
        dataset: the images.

    Returns:
        AUROC by the name of the part; those that are no part of an outskirt are ``inside`` of the frame.
    """
    masks = outskirts(len(weight))
    masks["inside"] = ~masks["frame"]
    parts = np.stack([(weight * mask).ravel() for mask in masks.values()])
    rows = dataset.rows("test")
    step = max(1, _PIXELS_AT_ONCE // weight.size)
    images = dataset.images.reshape(len(dataset.images), -1)
    logits = np.concatenate([images[rows[at : at + step]] / 255 @ parts.T for at in range(0, len(rows), step)])
    labels = dataset.labels("test")
    return {name: float(stats.auroc(logits[:, number], labels)) for number, name in enumerate(masks)}

"""The weights of linear networks as pictures: their mean over runs, their spread, and what is the same in all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.data.quality.outskirts import outskirts
from cxr_runner.data.quality.thumbnails import SMALL
from cxr_runner.inference.explain.network_maps import Picture


@dataclass(frozen=True, eq=False)
class WeightPictures:
    """The maps from pixels to the logit of linear networks.

    Attributes:
        maps: float64 [runs, side, side].
        learned: the same without what the initial weights left; None where that is not known.
        deviation: float64 [side, side], standard deviation of the pixels of the training images; None likewise.
    """

    maps: NDArray[np.float64]
    learned: NDArray[np.float64] | None
    deviation: NDArray[np.float64] | None

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

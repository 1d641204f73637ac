"""From the stored values of a DICOM image to grey: modality transformation, window, polarity; numbers only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cxr_runner.config.data_schema import Windowing

Levels = NDArray[np.float64]

LOW, HIGH = 0.005, 0.995
"""Shares of the pixels that are black and not yet white where percentiles are the window."""

_MOST_LEVELS = 2**20  # values that are counted one by one; images of 32 bits may span more


class Window(NamedTuple):
    """A window: its middle, its width, and the shape of what lies between black and white (PS3.3 C.11.2.1)."""

    center: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: Levels) -> Levels:
        """Return values as shares of white, in [0, 1]."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - self.center) / self.width, -500, 500)))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.center) / self.width + 0.5, 0, 1)
        if self.width == 1:
            return (values > self.center - 0.5).astype(np.float64)
        return np.clip((values - (self.center - 0.5)) / (self.width - 1) + 0.5, 0, 1)


@dataclass(frozen=True)
class Lookup:
    """A look-up table.

    Attributes:
        first: value that the first entry stands for; what lies outside counts as the nearest value inside.
        entries: float64 [entries], each at least 0.
        bits: bits that white takes as the table declares it.
    """

    first: int
    entries: Levels
    bits: int

    @property
    def white(self) -> int:
        """Largest value of the bits that are declared, or of those that are needed where these are fewer."""
        return int(2 ** min(self.bits, max(1, int(self.entries.max()).bit_length())) - 1)

    def apply(self, values: Levels) -> Levels:
        """Return the entries that values stand for."""
        places = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        entries: Levels = self.entries[places.astype(np.int64)]
        return entries


@dataclass(frozen=True)
class Rendering:
    """What a header says of the way from stored values to grey.

    Attributes:
        bits: bits of a stored value.
        signed: whether stored values may be negative.
        slope: factor of stored values; 1 where there is a look-up table.
        intercept: what is added then.
        modality: look-up table for stored values.
        voi: look-up table or window for the values that come out; None leaves it to percentiles.
        inverted: whether the smallest value is white.
        padding: least and largest stored value of pixels that are no part of the image.
    """

    bits: int
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    modality: Lookup | None = None
    voi: Lookup | Window | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None

    def transform(self, stored: Levels) -> Levels:
        """Return stored values as what they measure."""
        return self.modality.apply(stored) if self.modality else stored * self.slope + self.intercept


def to_grey(values: NDArray[Any], rendering: Rendering, policy: "Windowing") -> tuple[NDArray[np.uint8], str]:
    """Return an image in grey, and what its window was taken from.

    Args:
        values: stored values, integers [height, width].
        rendering: what the header says of them.
        policy: ``file`` takes the table or window of the file and percentiles where it has none, or where nothing is to
            be seen through it; ``percentile`` always takes percentiles; ``full`` all values that the bits allow.

    Returns:
        uint8 [height, width], 0 black to 255 white; and ``VOI LUT``, ``window``, ``percentiles`` or ``full range``.
    """
    # Everything is computed once for every value that occurs, not for every pixel.
    levels, places, counts = _count(values)
    measured = rendering.transform(levels)
    shares, origin = _shares_of_white(levels, measured, counts, rendering, policy)
    grey = np.rint(255 * (1 - shares if rendering.inverted else shares)).astype(np.uint8)
    return grey[places], origin


def _count(values: NDArray[Any]) -> tuple[Levels, NDArray[np.int64], NDArray[np.int64]]:
    """Return the values that may occur, ascending, the place of each pixel among them, and how often each occurs."""
    low, high = int(values.min()), int(values.max())
    if high - low < _MOST_LEVELS:
        places = values.astype(np.int64) - low
        levels = np.arange(low, high + 1, dtype=np.float64)
        return levels, places, np.bincount(places.ravel(), minlength=len(levels))
    unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return unique.astype(np.float64), inverse.reshape(values.shape), counts


def _shares_of_white(
    levels: Levels, measured: Levels, counts: NDArray[np.int64], rendering: Rendering, policy: "Windowing"
) -> tuple[Levels, str]:
    if policy == "full":
        return _between(measured, *_full_range(rendering)), "full range"
    if policy == "file" and rendering.voi is not None:
        if isinstance(rendering.voi, Lookup):
            shares, origin = np.clip(rendering.voi.apply(measured) / rendering.voi.white, 0, 1), "VOI LUT"
        else:
            shares, origin = rendering.voi.apply(measured), "window"
        seen = np.rint(255 * shares[counts > 0])
        if seen.min() < seen.max() or len(seen) == 1:
            return shares, origin
    if rendering.padding is not None:
        within = (levels < rendering.padding[0]) | (levels > rendering.padding[1])
        counts = counts * within if (counts * within).any() else counts
    return _between(measured, *_percentiles(measured, counts)), "percentiles"


def _full_range(rendering: Rendering) -> tuple[float, float]:
    if rendering.modality:
        return 0.0, float(rendering.modality.white)
    least = -(2 ** (rendering.bits - 1)) if rendering.signed else 0
    ends = rendering.transform(np.array([least, least + 2**rendering.bits - 1], np.float64))
    return float(ends.min()), float(ends.max())


def _percentiles(measured: Levels, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the values below which :data:`LOW` and :data:`HIGH` of the pixels lie."""
    order = np.argsort(measured, kind="stable")
    below = np.cumsum(counts[order])
    low, high = measured[order][np.searchsorted(below, [LOW * below[-1], HIGH * below[-1]])]
    return float(low), float(high)


def _between(measured: Levels, low: float, high: float) -> Levels:
    return np.clip((measured - low) / (high - low), 0, 1) if high > low else (measured > low).astype(np.float64)

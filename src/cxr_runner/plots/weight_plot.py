"""Weights on pixels as pictures, in signed colours on one scale."""

from collections.abc import Mapping

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxr_runner.plots.style import write_title

SIGNED = "RdBu_r"  # red raises the logit, blue lowers it, white does neither
_BEYOND = 0.995  # share of the weights that lie within the scale: a few large ones would make all others white
_PANEL = 2.6  # inches


@style.context("default")
def plot_weights(panels: Mapping[str, NDArray[np.float64]], positive: str, title: str) -> Figure:
    """Draw pictures of weights beside each other.

    Args:
        panels: float64 [side, side] each, by what it shows.
        positive: name of the positive class.
        title: any text.
    """
    figure = Figure(figsize=(_PANEL * len(panels) + 0.9, _PANEL + 0.9), layout="constrained")
    write_title(figure, title, 30 * len(panels))
    limit = signed_limit([picture for picture in panels.values()])
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (words, picture) in zip(axes, panels.items(), strict=True):
        drawn = ax.imshow(picture, cmap=SIGNED, vmin=-limit, vmax=limit)
        ax.set_title(words, fontsize=9, parse_math=False)
        ax.set_axis_off()
    bar = figure.colorbar(drawn, ax=list(axes), fraction=0.03)
    bar.set_label(f"weight of a pixel: red speaks for {positive}", fontsize=8, parse_math=False)
    bar.ax.tick_params(labelsize=7)
    return figure


def signed_limit(pictures: list[NDArray[np.float64]]) -> float:
    """Return the end of a scale that is the same on both sides of 0, for all of some pictures."""
    return max(float(np.quantile(abs(picture), _BEYOND)) for picture in pictures) or 1.0

"""The training images that push a logit up, and those that push it down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxr_runner.plots.style import fold_words, write_title

_SMALL = 1.05  # inches, of a thumbnail
_MOST_CHARACTERS = 17  # of a line below a thumbnail
_MOST_NAME = 3 * _MOST_CHARACTERS


@dataclass(frozen=True, eq=False)
class Pushing:
    """A training image and what it adds to a logit.

    Attributes:
        image: uint8 [side, side].
        name: its name.
        label: name of its class.
        push: what it adds.
    """

    image: NDArray[np.uint8]
    name: str
    label: str
    push: float


@style.context("default")
def plot_influences(
    image: NDArray[np.uint8], words: str, up: Sequence[Pushing], down: Sequence[Pushing], title: str
) -> Figure:
    """Draw an image beside the training images behind its logit.

    Args:
        image: uint8 [side, side].
        words: what is written below it.
        up: training images that push the logit up, the strongest first.
        down: those that push it down.
        title: any text.
    """
    columns = max(len(up), len(down), 1)
    figure = Figure(figsize=(_SMALL * (columns + 2.2), 3.5), layout="constrained")
    write_title(figure, title, 12 * (columns + 2))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.2, columns])[0]
    asked = left.subplots()
    asked.imshow(image, cmap="gray", vmin=0, vmax=255)
    asked.set_title(fold_words(words, 2 * _MOST_CHARACTERS), fontsize=8, parse_math=False)
    asked.set_axis_off()
    axes = right.subplots(2, columns, squeeze=False)
    for line, some in zip(axes, (up, down), strict=True):
        for ax, one in zip(line, some, strict=False):
            ax.imshow(one.image, cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{one.push:+.2f} {one.label}".replace("-", "−"), fontsize=6.5, parse_math=False)
            ax.text(
                0.5,
                -0.04,
                fold_words(one.name.rpartition("/")[2][:_MOST_NAME], _MOST_CHARACTERS),
                fontsize=5,
                ha="center",
                va="top",
                transform=ax.transAxes,
                parse_math=False,
            )
        for ax in line:
            ax.set_axis_off()
    return figure

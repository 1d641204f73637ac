"""Images beside what adds up to their logits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cxr_runner.plots.style import fold_words, write_title
from cxr_runner.plots.weight_plot import SIGNED, signed_limit

_PANEL = 2.0  # inches
_MOST_CHARACTERS = 36  # of a line above a picture


@dataclass(frozen=True, eq=False)
class AttributionRow:
    """One image in the figure.

    Attributes:
        words: what is written above it.
        image: uint8 [side, side].
        attribution: float64 [side, side], what each pixel adds to the logit.
        focus: float64 [side, side]; None for nothing.
        focus_words: what that is.
    """

    words: str
    image: NDArray[np.uint8]
    attribution: NDArray[np.float64]
    focus: NDArray[np.float64] | None
    focus_words: str


@style.context("default")
def plot_attributions(rows: Sequence[AttributionRow], positive: str, title: str) -> Figure:
    """Draw each image with its attribution, and where the network looks.

    Args:
        rows: the images.
        positive: name of the positive class.
        title: any text.
    """
    columns = 3 if any(row.focus is not None for row in rows) else 2
    figure = Figure(figsize=(_PANEL * columns + 0.9, (_PANEL + 0.5) * len(rows) + 0.9), layout="constrained")
    write_title(figure, title, 26 * columns)
    limit = signed_limit([row.attribution for row in rows])
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        line[0].imshow(row.image, cmap="gray", vmin=0, vmax=255)
        drawn = line[1].imshow(row.attribution, cmap=SIGNED, vmin=-limit, vmax=limit)
        _write(line[0], row.words)
        _write(line[1], "what adds up to the logit")
        if row.focus is not None:
            _draw_focus(line[2], row)
        for ax in line:
            ax.set_axis_off()
    bar = figure.colorbar(drawn, ax=axes[:, 1].tolist(), location="bottom", fraction=0.02, pad=0.01)
    bar.set_label(f"logit: red for {positive}", fontsize=8, parse_math=False)
    bar.ax.locator_params(nbins=3)
    bar.ax.tick_params(labelsize=7)
    return figure


def _draw_focus(axes: Axes, row: AttributionRow) -> None:
    assert row.focus is not None
    if row.focus.min() < 0:
        limit = signed_limit([row.focus])
        axes.imshow(row.focus, cmap=SIGNED, vmin=-limit, vmax=limit)
    else:
        axes.imshow(row.image, cmap="gray", vmin=0, vmax=255)
        axes.imshow(row.focus, cmap="inferno", alpha=0.55)
    _write(axes, row.focus_words)


def _write(axes: Axes, words: str) -> None:
    axes.set_title(fold_words(words, _MOST_CHARACTERS), fontsize=7, parse_math=False)

"""Figures that show themselves in a notebook."""

from io import BytesIO
from typing import cast

from matplotlib.figure import Figure

from cxr_runner.plots.style import boxes_for_missing_glyphs


class ShownFigure(Figure):
    """A figure that a notebook shows as a picture.

    A notebook knows how to show matplotlib's figures only once pyplot was imported there; without it they are a
    line of text. Source: IPython's rich display, ``_repr_png_``.
    """

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        with boxes_for_missing_glyphs():
            self.savefig(buffer, format="png")
        return buffer.getvalue()


def make_shown(figure: Figure) -> ShownFigure:
    """Make a figure one that a notebook shows; it stays the same object, with all that is drawn in it."""
    figure.__class__ = ShownFigure
    return cast(ShownFigure, figure)

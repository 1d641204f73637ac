"""One style for all figures, and how they become files."""

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context, style
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure

from cxr_runner.base.files import replacing

DPI = 150  # of PNG files
COLUMN_WIDTH = 3.4  # inches, of a column in most journals
_TELLING = {".svg": "Date", ".png": "Software", ".pdf": "CreationDate"}  # what differs from one writing to the next


@style.context("default")
def save_figure(figure: Figure, *paths: Path) -> None:
    """Write a figure to one file or to several of different kinds, each whole or not at all.

    The same figure gives the same bytes.

    Args:
        figure: to write.
        paths: end in ``.png``, ``.svg`` or ``.pdf``; their folders exist.
    """
    with boxes_for_missing_glyphs(), rc_context({"svg.hashsalt": "cxr"}):
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")  # laid out once is enough for all files
        figure.set_dpi(DPI)
        for path in paths:
            with replacing(path) as temporary:
                _write(figure, temporary, path.suffix)


def _write(figure: Figure, path: Path, suffix: str) -> None:
    """Write a figure that is laid out; ``savefig`` would draw it twice, once to lay it out."""
    canvas = get_registered_canvas_class(suffix[1:])(figure)
    getattr(canvas, f"print_{suffix[1:]}")(path, metadata={_TELLING[suffix]: None})


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Draw without warnings of scripts that matplotlib's font lacks: a box in a title is no reason to lose a run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def write_title(figure: Figure, title: str, width: int = 88) -> None:
    """Write any text above a figure, as it is, on at most three lines of so many characters."""
    figure.suptitle(wrap_title(title, width), fontsize=12, parse_math=False)


def fold_words(text: str, width: int) -> str:
    """Break a text into lines of so many characters, also within words: names of files have no spaces."""
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def wrap_title(text: str, width: int) -> str:
    """Break a text into at most three lines; what cannot be printed is left out."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return textwrap.fill(printable, width, max_lines=3, placeholder=" …")

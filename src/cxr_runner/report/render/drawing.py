"""Draws the report's figures into files; writing them takes longer than all the rest, so that processes share it."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_runner.base.background import Submit, Wait, workers
from cxr_runner.base.machine import num_cores
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_MOST_WORKERS = 4
ENDINGS = ("png", "svg")
COLUMN_ENDINGS = ("pdf", "svg")  # of a drawing for a paper


def drawn_files(pictures: Sequence[Picture]) -> list[str]:
    """Return the files that :func:`draw_pictures` writes, relative to the folder of a report."""
    return [f"figures/{file}" for picture in pictures for _, files in _drawings(picture) for file in files]


@contextmanager
def drawing_workers() -> Iterator[Submit]:
    """Start the processes that write figures; they import matplotlib while this one still compares."""
    number = min(_MOST_WORKERS, num_cores())
    with workers(number if number > 1 else 0) as submit:
        for _ in range(number):
            submit(import_module, "cxr_runner.plots.style")
        yield submit


def submit_drawings(pictures: Sequence[Picture], folder: Path, submit: Submit) -> list[Wait]:
    """Draw what can be drawn, and have it written as PNG and SVG.

    Args:
        pictures: what to draw.
        folder: where to.
        submit: see :func:`drawing_workers`.

    Returns:
        What waits for the files, one for each drawing.
    """
    drawings = [drawing for picture in pictures for drawing in _drawings(picture)]
    if not drawings:
        return []
    from cxr_runner.plots.style import save_figure  # matplotlib takes a while to import

    return [submit(save_figure, draw(), *(folder / file for file in files)) for draw, files in drawings]


def picture_addresses(pictures: Sequence[Picture], folder: Path) -> dict[str, str]:
    """Return, by the name of a picture that was drawn, its address for a page that needs no files."""
    return {picture.name: _address(folder / f"{picture.name}.svg") for picture in pictures if picture.draw}


def _drawings(picture: Picture) -> Iterator[tuple["Callable[[], Figure]", list[str]]]:
    """Yield what draws a picture, in each of its forms, with the names of the files."""
    if picture.draw:
        yield picture.draw, [f"{picture.name}.{ending}" for ending in ENDINGS]
    if picture.draw_column:
        yield picture.draw_column, [f"{picture.name}_column.{ending}" for ending in COLUMN_ENDINGS]


def _address(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"

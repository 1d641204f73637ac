"""Draws the report's figures into files; writing them takes longer than all the rest, so that processes share it."""

import base64
from collections.abc import Sequence
from pathlib import Path

from cxr_runner.base.background import workers
from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter
from cxr_runner.report.render.picture import Picture

_MOST_WORKERS = 4


ENDINGS = ("png", "svg")


def drawn_files(pictures: Sequence[Picture]) -> list[str]:
    """Return the files that :func:`draw_pictures` writes, relative to the folder of a report."""
    return [f"figures/{picture.name}.{ending}" for picture in pictures if picture.draw for ending in ENDINGS]


def draw_pictures(pictures: Sequence[Picture], folder: Path, reporter: Reporter) -> dict[str, str]:
    """Draw what can be drawn, as PNG and SVG; return the address of each drawing for a page that needs no files."""
    drawable = {picture.name: picture.draw for picture in pictures if picture.draw}
    if not drawable:
        return {}
    from cxr_runner.plots.style import save_figure  # matplotlib takes a while to import

    sources, waiting = {}, {}
    num_workers = min(_MOST_WORKERS, num_cores(), len(drawable))
    with (
        reporter.steps("drawing figures", len(drawable)) as advance,
        workers(num_workers if num_workers > 1 else 0) as submit,
    ):
        for name, draw in drawable.items():
            paths = [folder / f"{name}.{ending}" for ending in ENDINGS]
            waiting[paths[1]] = submit(save_figure, draw(), *paths)
        for path, wait in waiting.items():
            wait()
            encoded = base64.b64encode(path.read_bytes()).decode()
            sources[path.stem] = f"data:image/svg+xml;base64,{encoded}"
            advance()
    return sources

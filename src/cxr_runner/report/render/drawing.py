"""Draws the report's figures into files; writing them takes longer than all the rest, so that processes share it."""

import base64
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter
from cxr_runner.report.render.picture import Picture

_MOST_WORKERS = 4
Wait = Callable[[], object]


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
    with reporter.steps("drawing figures", len(drawable)) as advance, _sharing_out(len(drawable)) as share_out:
        for name, draw in drawable.items():
            paths = [folder / f"{name}.{ending}" for ending in ENDINGS]
            waiting[paths[1]] = share_out(save_figure, draw(), *paths)
        for path, wait in waiting.items():
            wait()
            encoded = base64.b64encode(path.read_bytes()).decode()
            sources[path.stem] = f"data:image/svg+xml;base64,{encoded}"
            advance()
    return sources


@contextmanager
def _sharing_out(num_tasks: int) -> Iterator[Callable[..., Wait]]:
    """Give a function that has a call made by another process, and returns what waits for it.

    Where there is one core, or no process can be started, waiting makes the call here.
    """
    num_workers = min(_MOST_WORKERS, num_cores(), num_tasks)
    pool = _open_pool(num_workers) if num_workers > 1 else None
    if pool is None:
        yield partial
        return
    try:
        yield partial(_submit, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _open_pool(num_workers: int) -> ProcessPoolExecutor | None:
    try:
        return ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _prepare_worker)
    except (OSError, ImportError, NotImplementedError):  # a system without semaphores, or without any more of them
        return None


def _submit(pool: ProcessPoolExecutor, work: Callable[..., object], *arguments: object) -> Wait:
    try:
        future = pool.submit(work, *arguments)
    except (BrokenProcessPool, OSError):  # OSError: of starting the process
        return partial(work, *arguments)

    def wait() -> object:
        try:
            return future.result()
        except BrokenProcessPool:  # killed, for want of memory perhaps
            return work(*arguments)

    return wait


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the worker works for
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the process that this one works for has died without a word."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

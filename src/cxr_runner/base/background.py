"""Work in other processes, while this one goes on."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from threading import Thread
from unittest import mock

Wait = Callable[[], object]
Submit = Callable[..., Wait]


@contextmanager
def workers(number: int, niceness: int = 0) -> Iterator[Submit]:
    """Start processes that make calls for this one.

    Args:
        number: processes at most; 0 makes every call here, when it is waited for.
        niceness: by how much this process goes first.

    Yields:
        A function that has a call made (``submit(function, *arguments)``, both picklable) and returns what waits for
        it. What a worker does not live to do is done by the one that waits. At the end everything is waited for; after
        an error, what has not begun is dropped.
    """
    pool = _open_pool(number, niceness) if number > 0 else None
    if pool is None:
        yield partial
        return
    try:
        yield partial(_submit, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _open_pool(number: int, niceness: int) -> ProcessPoolExecutor | None:
    try:
        return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _prepare_worker, (niceness,))
    except (OSError, ImportError, NotImplementedError):  # a system without semaphores, or without any more of them
        return None


def _submit(pool: ProcessPoolExecutor, function: Callable[..., object], *arguments: object) -> Wait:
    try:
        # A worker needs nothing of the program that starts it, and must not run it again: a script of the user's may
        # have no ``if __name__ == "__main__"``.
        with mock.patch.multiple(sys.modules["__main__"], __file__=None, __spec__=None, create=True):
            future = pool.submit(function, *arguments)
    except (BrokenProcessPool, OSError):  # OSError: of starting the process
        return partial(function, *arguments)

    def wait() -> object:
        try:
            return future.result()
        except BrokenProcessPool:  # killed, for want of memory perhaps
            return function(*arguments)

    return wait


def _prepare_worker(niceness: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that the worker works for
    if hasattr(os, "nice"):
        os.nice(niceness)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the process that this one works for has died without a word."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

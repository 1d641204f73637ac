"""Function calls in other processes, while this one continues."""

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
    """Start worker processes that make calls for this process.

    Args:
        number: largest number of processes; 0 makes every call in this process, when its result is waited for.
        niceness: increment of the workers' niceness, so that this process has priority.

    Yields:
        ``submit(function, *arguments)``, all of them picklable, which has a worker make the call and returns a function
        that waits for the result. If the worker dies, the waiting process makes the call. The context waits for all
        calls at its end; after an error it drops those that have not begun.
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
    except (OSError, ImportError, NotImplementedError):  # no semaphores on this system, or none left
        return None


def _submit(pool: ProcessPoolExecutor, function: Callable[..., object], *arguments: object) -> Wait:
    try:
        # A worker needs nothing of the main module and must not run it again, as ``spawn`` would: a user's script may
        # have no ``if __name__ == "__main__"``.
        with mock.patch.multiple(sys.modules["__main__"], __file__=None, __spec__=None, create=True):
            future = pool.submit(function, *arguments)
    except (BrokenProcessPool, OSError):  # OSError: the process cannot be started
        return partial(function, *arguments)

    def wait() -> object:
        try:
            return future.result()
        except BrokenProcessPool:  # the worker was killed, perhaps because memory ran out
            return function(*arguments)

    return wait


def _prepare_worker(niceness: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    if hasattr(os, "nice"):
        os.nice(niceness)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent has died without closing the pool."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

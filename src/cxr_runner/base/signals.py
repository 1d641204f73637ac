"""SIGTERM, with which batch systems end a process, handled like Ctrl-C: the run saves its state before it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def interrupt_on_sigterm() -> None:
    """Make SIGTERM raise KeyboardInterrupt in this process from now on."""
    signal.signal(signal.SIGTERM, _interrupt)


@contextmanager
def interrupting_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise KeyboardInterrupt inside the context; no effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers there only
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second SIGTERM must not disturb the writing of checkpoints
    raise KeyboardInterrupt

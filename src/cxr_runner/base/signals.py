"""SIGTERM, with which batch systems end a job, taken as Ctrl-C: what is under way is put in order first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def interrupt_on_sigterm() -> None:
    """Have SIGTERM interrupt this process."""
    signal.signal(signal.SIGTERM, _interrupt)


@contextmanager
def interrupting_on_sigterm() -> Iterator[None]:
    """Have SIGTERM interrupt this process for a while, where that can be had: in its main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one must not disturb the writing of checkpoints
    raise KeyboardInterrupt

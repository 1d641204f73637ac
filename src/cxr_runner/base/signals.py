"""SIGTERM, with which batch systems end a process, handled like Ctrl-C: the run saves its state before it ends."""

import signal
import sys
import time
from _thread import interrupt_main, start_new_thread  # threading may be what is being imported
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_IMPORTING = "<frozen importlib._bootstrap>"
_RETRY_SECONDS = 0.005
_deferred: set[int] = set()  # signals that wait for an import to end
_raised: set[int] = set()  # signals that were raised as KeyboardInterrupt


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGINT raise KeyboardInterrupt in this process from now on, but not in the middle of imports."""
    _raised.clear()
    sys.unraisablehook = _raise_again
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # shells have background jobs ignore it
        signal.signal(signal.SIGINT, _interrupt)


def leave_on_signals() -> None:
    """Have an interruption end this process without a word from now on: its work is done, or has been saved.

    An exception would be printed with its traceback by whatever the interpreter does last.
    """
    if not _in_main_thread():
        return
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _interrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the exit code is known and on its way


@contextmanager
def interrupting_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise KeyboardInterrupt inside the context; no effect outside the main thread."""
    if not _in_main_thread():  # Python sets signal handlers there only
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def was_interrupted(error: BaseException | None) -> bool:
    """Return whether an error came of an interruption, which a library has turned into one of its own.

    Not all of them say what theirs came of: after an interruption, whatever goes wrong is taken for its consequence.
    """
    if _raised:
        return True
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def raise_if_interrupted() -> None:
    """Raise an interruption once more that a library has passed over.

    Raises:
        KeyboardInterrupt: there was one.
    """
    if _raised:
        raise KeyboardInterrupt


def _in_main_thread() -> bool:
    from threading import current_thread, main_thread  # not before there are handlers: an import takes a while

    return current_thread() is main_thread()


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Libraries catch whatever ends their imports, or leave modules half imported, of which something else complains
    # later. The signal therefore comes again once the import has ended; a second one from outside does not wait.
    if _is_importing(frame) and number not in _deferred:
        _deferred.add(number)
        start_new_thread(_come_again, (number,))
        return
    _deferred.clear()
    _raised.add(number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second SIGTERM must not disturb the writing of checkpoints
    raise KeyboardInterrupt


def _come_again(number: int) -> None:
    time.sleep(_RETRY_SECONDS)
    if number in _deferred:  # otherwise a second one has been faster
        _deferred.discard(number)
        interrupt_main(signal.Signals(number))


def _raise_again(what: "UnraisableHookArgs") -> None:
    """Have an interruption that Python cannot raise where it came, as in ``__del__``, come again, and not be lost."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        _deferred.add(signal.SIGINT)
        start_new_thread(_come_again, (signal.SIGINT,))  # at once, it would be raised in here
    else:
        sys.__unraisablehook__(what)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False

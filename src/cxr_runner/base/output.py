"""Standard output as it may be: its reader may end first, its disk be full, its encoding lack what is printed."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, TextIO, cast


class OutputClosedError(KeyboardInterrupt):
    """Nobody reads standard output any more, as in ``cxr-run ... | head``: the run is interrupted, not failed."""


class OutputFullError(KeyboardInterrupt):
    """Standard output cannot be written to, as on a full disk: an interruption as well, for the same reason."""


class _Output:
    """A stream that raises :class:`OutputClosedError` or :class:`OutputFullError` where it cannot be written to."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with _interrupting(self.stream):
            return self.stream.write(text)

    def flush(self) -> None:
        with _interrupting(self.stream):
            self.stream.flush()


@contextmanager
def interrupting_output() -> Iterator[None]:
    """Make ``print`` raise, inside the context, what interrupts a run once standard output cannot be written to.

    What the output's encoding lacks is printed as an escape sequence: results that took hours are worth more than a
    plus-minus sign.
    """
    before = sys.stdout
    if before is None or isinstance(before, _Output):
        yield
        return
    if isinstance(before, TextIOWrapper):
        before.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, _Output(before))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before


@contextmanager
def _interrupting(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # At its end the interpreter would flush the buffer and print a second error: flush it to nowhere instead.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise OutputClosedError from None
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        raise OutputFullError(f"standard output cannot be written to ({reason})") from None

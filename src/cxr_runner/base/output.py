"""Standard output, whose reader may go away: ``cxr-run ... | head``."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class OutputClosedError(KeyboardInterrupt):
    """Nobody reads standard output any more: an interruption, no failure of what was under way."""


class _Output:
    """A stream that interrupts the program when its reader has gone away."""

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
    """Have everything that is printed meanwhile raise :class:`OutputClosedError` once nobody reads it any more."""
    before = sys.stdout
    if before is None or isinstance(before, _Output):
        yield
        return
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
    except BrokenPipeError:
        # What is still in the buffer would be written, and complained of, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise OutputClosedError from None

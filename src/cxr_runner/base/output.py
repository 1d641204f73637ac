"""Standard output whose reader may end first, as in ``cxr-run ... | head``."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class OutputClosedError(KeyboardInterrupt):
    """Nobody reads standard output any more: the run is interrupted, not failed."""


class _Output:
    """A stream that raises :class:`OutputClosedError` when its reader has ended."""

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
    """Make ``print`` raise :class:`OutputClosedError` inside the context once nobody reads standard output."""
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
        # At its end the interpreter would flush the buffer and print a second error: flush it to nowhere instead.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise OutputClosedError from None

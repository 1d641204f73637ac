"""One process at a time. The locks are the operating system's, which takes them back from a process that dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_runner.base.files import clear_temporaries
from cxr_runner.base.progress import Reporter


@contextmanager
def hold_lock(path: Path, doing: str, reporter: Reporter) -> Iterator[None]:
    """Keep other processes out; where another one is inside, say so and wait for it.

    Args:
        path: the file of the lock, which stays.
        doing: what the other process does, e.g. ``decodes the same images``.
        reporter: told of the wait.

    Raises:
        OSError: the file cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.line(f"waiting for another process, which {doing} ({path})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Have one process at a time write to a folder, cleared of what those that were killed there have left.

    Args:
        folder: made where it is missing.

    Raises:
        OSError: it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / ".lock", "writes to the same folder", Reporter()):
        clear_temporaries(folder)
        yield

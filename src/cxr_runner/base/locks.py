"""File locks, one process at a time. They are the operating system's, which frees the locks of a process that dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_runner.base.files import clear_temporaries
from cxr_runner.base.progress import Reporter


@contextmanager
def hold_lock(path: Path, doing: str, reporter: Reporter) -> Iterator[None]:
    """Hold a lock; where another process holds it, say so and wait.

    Args:
        path: path of the lock file, which stays.
        doing: what the other process does, e.g. ``decodes the same images``.
        reporter: told of the wait.

    Raises:
        OSError: the lock file cannot be created.
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
def locked_folder(folder: Path, reporter: Reporter | None = None) -> Iterator[None]:
    """Hold the lock of a folder, and remove the temporary files of killed processes from it.

    Args:
        folder: folder to write to; created where it is missing.
        reporter: told where another process holds it; nobody is where that takes a moment only.

    Raises:
        OSError: the folder cannot be created or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / ".lock", "writes to the same folder", reporter or Reporter()):
        clear_temporaries(folder)
        yield

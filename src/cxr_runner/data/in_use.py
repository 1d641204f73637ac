"""Which stores are used: a process holds a shared lock on the ``meta.json`` of every store that it has open.

The lock is on a descriptor that is open for reading, so that it works in a cache that must not be written to, and the
operating system ends it with the process. On a file system without such locks nothing is held, and whoever wants to
remove a store has to leave it. Windows needs none: it refuses to move files that are open.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DAY = 24 * 60 * 60


def hold_shared(path: Path) -> int:
    """Open a file that says that a store is in use for as long as the descriptor is open.

    Args:
        path: ``meta.json`` of the store, a regular file.

    Returns:
        The descriptor.

    Raises:
        FileNotFoundError: there is no such file, or its store was removed while this waited.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for as long as another process renames the store
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def note_use(path: Path) -> None:
    """Set the time of a file to now, at most once a day: the last use of its store."""
    with suppress(OSError):  # a cache that must not be written to
        if abs(time.time() - path.stat().st_mtime) > _DAY:
            os.utime(path)


@contextmanager
def hold_alone(path: Path) -> Iterator[bool]:
    """Keep others from opening a store, and give whether nobody has it open; never waits.

    Args:
        path: ``meta.json`` of the store.
    """
    if fcntl is None:
        yield True
        return
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))  # NFS locks alone what can be written only
    except FileNotFoundError:  # not whole: whoever opens it next builds it anew
        yield True
        return
    except OSError:
        yield False
        return
    try:
        alone = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody holds it, or this file system has no locks
            alone = False
        yield alone
    finally:
        os.close(descriptor)

"""What the cache holds, and the removal of what has not been used for long, while other processes use the rest.

A store is renamed before it is removed, under the lock of those that build it and while nobody has it open, so that a
process that opens it meanwhile finds no store and builds it anew. What lies in the cache that cxr_runner does not write
there is never touched. Lock files stay: they are empty, and to remove one that another process waits for would let two
build the same store.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_runner.base.files import clear_temporaries, read_json
from cxr_runner.data.cache import FORMAT_VERSION
from cxr_runner.data.in_use import hold_alone

_STARTS = ("starts", "features")  # folders of what training starts from
_NAME = re.compile(r"(?P<store>[0-9a-f]{16}-(?P<size>\d+))(?P<unfinished>\.building|\.[0-9a-f]{8}\.removing)?")


@dataclass(frozen=True)
class Kept:
    """A folder of the cache.

    Attributes:
        path: the folder.
        name: name of the store that it is, or was to become.
        title: title of its data set; '' where that is not known.
        image_size: side of its images, in pixels.
        num_images: number of its images.
        problem: why no run can use it: an older format, or what a killed process left; '' for a store.
        image_bytes: size of the images and what describes them.
        gram_bytes: size of the Gram matrix.
        start_bytes: size of the starts of first layers, and of features, from which last layers start.
        num_starts: number of these.
        used: time of its last use, in seconds since 1970, exact to a day.
    """

    path: Path
    name: str
    title: str
    image_size: int
    num_images: int
    problem: str
    image_bytes: int
    gram_bytes: int
    start_bytes: int
    num_starts: int
    used: float

    @property
    def num_bytes(self) -> int:
        """Size of all of it."""
        return self.image_bytes + self.gram_bytes + self.start_bytes


def list_cache(cache: Path) -> list[Kept]:
    """List stores and leftovers, those that were used last first.

    Args:
        cache: folder of all stores; it need not exist.

    Raises:
        OSError: it cannot be read.
    """
    kept = []
    with suppress(FileNotFoundError), os.scandir(cache) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name and entry.is_dir(follow_symlinks=False):
                kept.append(_look_at(cache / entry.name, name))
    return sorted(kept, key=lambda one: (-one.used, one.path.name))


def remove(kept: Kept) -> str:
    """Remove a folder of the cache unless somebody uses it.

    Args:
        kept: the folder, as listed.

    Returns:
        Why it was left; '' where it was removed.

    Raises:
        OSError: the cache cannot be written to.
    """
    removing = kept.path
    if not kept.path.name.endswith(".removing"):
        removing = kept.path.with_name(f"{kept.name}.{secrets.token_hex(4)}.removing")
        with _free(kept.path.with_name(f"{kept.name}.lock")) as free, hold_alone(kept.path / "meta.json") as alone:
            if not free:
                return "another process builds it"
            if not alone:
                return "another process uses it, or its file system has no locks to tell"
            with suppress(FileNotFoundError):  # another process has removed it
                kept.path.rename(removing)
    shutil.rmtree(removing, ignore_errors=True)
    return "" if not removing.exists() else "not all of it can be removed"


def remove_old_starts(kept: Kept, before: float) -> tuple[int, int]:
    """Remove starts, features too, that were not read since, and temporary files of killed processes, from a store.

    Nothing is asked for: a process that reads a start while it is removed has it, or computes it again.

    Args:
        kept: store that stays.
        before: time in seconds since 1970.

    Returns:
        Number and size of the starts that were removed.
    """
    removed = []
    for derived in kept.path.glob("derived-*"):
        for folder, lock in ((derived, "gram.lock"), *((derived / name, ".lock") for name in _STARTS)):
            with suppress(OSError), _free(folder / lock) as free:
                if free:
                    clear_temporaries(folder)
        for start in (file for name in _STARTS for file in derived.glob(f"{name}/*.npy")):
            with suppress(OSError):
                status = start.stat()
                if max(status.st_atime, status.st_mtime) < before:
                    start.unlink()
                    removed.append(status.st_size)
    return len(removed), sum(removed)


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Hold a lock if it is free, and give whether it was."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _look_at(path: Path, name: re.Match[str]) -> Kept:
    meta = read_json(path / "meta.json")
    shape = (meta or {}).get("shape")
    sizes = {"gram": 0, "start": 0, "image": 0}
    num_starts = 0
    for file, size in _files(path):
        is_start = file.parent.name in _STARTS and file.suffix == ".npy"
        sizes["start" if is_start else "gram" if file.name.endswith("gram.npy") else "image"] += size
        num_starts += is_start
    return Kept(
        path=path,
        name=name["store"],
        title=str((meta or {}).get("about", "")),
        image_size=int(name["size"]),
        num_images=shape[0] if isinstance(shape, list) and shape and isinstance(shape[0], int) else 0,
        problem=_problem(path, meta, name["unfinished"]),
        image_bytes=sizes["image"],
        gram_bytes=sizes["gram"],
        start_bytes=sizes["start"],
        num_starts=num_starts,
        used=_last_use(path),
    )


def _problem(path: Path, meta: dict[str, object] | None, unfinished: str | None) -> str:
    if unfinished or meta is None:
        return "left by a killed process" if unfinished else "damaged"
    # Before the third format, stores had no checksum; those of the third came to name their format later.
    named = (read_json(path / "origin.json") or {}).get("format", FORMAT_VERSION)
    older = "check" not in meta or (isinstance(named, int) and named < FORMAT_VERSION)
    return "older format" if older else ""


def _last_use(path: Path) -> float:
    for file in (path / "meta.json", path):
        with suppress(OSError):
            return file.stat().st_mtime
    return time.time()  # it is being removed


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files below a folder with their sizes; what vanishes meanwhile is left out."""
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                path = Path(above, name)
                yield path, path.lstat().st_size

"""Every file below a folder, told apart by suffix or, where that says nothing, by content."""

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cxr_runner.data.extras import DICOM_ENDINGS, reads_dicom, says_dicom

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp")
"""Endings, in any case, of the files that count as images."""

LIKE_IMAGES = (
    *(".gif", ".jp2", ".j2k", ".jpx", ".heic", ".heif", ".avif"),
    *(".nii", ".nii.gz", ".nrrd", ".mha", ".pgm", ".ppm"),
)
"""Endings of files that hold images too, but are not read; DICOM files are where the extra for them is installed."""

_LIKE_IMAGE_HEADS = (b"GIF8", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"P2\n", b"P5\n", b"P6\n")

TABLES = (".csv", ".tsv", ".csv.gz", ".xlsx", ".xls", ".parquet", ".jsonl")
"""Endings of files that may be tables of labels."""

# Endings of files that are never looked into; what has another one, or none, is told by its content.
_NO_IMAGES = (
    *(*TABLES, ".txt", ".md", ".json", ".xml", ".yaml", ".yml", ".html", ".pdf", ".doc", ".docx", ".py", ".ipynb"),
    *(".zip", ".gz", ".tar", ".7z", ".rar", ".db", ".ini", ".log", ".npy", ".npz", ".pt", ".pkl", ".h5", ".lock"),
)

MOST_ENTRIES = 2_000_000
"""Files and folders that are looked at; a root that leads to more is a whole disk, as ``/proc/self``, and no data."""

# Copies and thumbnails that archive tools and network drives leave beside the images.
_JUNK_FOLDERS = ("__macosx", "@eadir")
_HEAD = 132  # bytes that tell what a file is; a DICOM file says so in the last four
_DICOM_INDEX = "dicomdir"  # the table of contents of a disk, which is a DICOM file without an image


class Kind(Enum):
    """What a file is."""

    IMAGE = "image"
    LIKE_IMAGE = "in a format that is not read"
    TABLE = "a table"
    OTHER = "no image"


class File(NamedTuple):
    """A file below the root.

    Attributes:
        name: path below the root, with forward slashes.
        size: in bytes.
        mtime_ns: time of the last change, in nanoseconds.
        ctime_ns: the same, which changes with the content even where copying tools set the other back.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def folders(self) -> list[str]:
        """The folders that it lies in, outermost first."""
        return self.name.split("/")[:-1]


@dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Attributes:
        files: by kind, each sorted by name.
        repeated: the paths of folders that were passed over, because links lead to them, with those that counted.
        dicom: the names of DICOM files, which are images where the extra for them is installed.
    """

    files: dict[Kind, list[File]]
    repeated: dict[str, str]
    dicom: frozenset[str] = frozenset()


class TooManyEntriesError(Exception):
    """A root leads to more than :data:`MOST_ENTRIES` files and folders."""


def read_tree(root: Path) -> Tree:
    """List all files anywhere below a folder, without hidden ones.

    Links are followed; a folder that several paths lead to counts once, by the path with the fewest links, of these the
    first.

    Raises:
        OSError: a folder cannot be read.
        TooManyEntriesError: there are too many of them.
    """
    repeated: dict[str, str] = {}
    files: dict[Kind, list[File]] = {kind: [] for kind in Kind}
    dicom_kind = Kind.IMAGE if reads_dicom() else Kind.LIKE_IMAGE
    dicom = set()
    for file in _walk(root, repeated):
        kind = _kind(root, file)
        if kind is None:
            dicom.add(file.name)
        files[kind or dicom_kind].append(file)
    return Tree({kind: sorted(some) for kind, some in files.items()}, repeated, frozenset(dicom))


def suffix_of(name: str) -> str:
    """Return the ending of a file's name in lower case; '' where it has none, as in ``1.2.840.10008``."""
    suffix = PurePosixPath(name).suffix.lower()
    return "" if suffix[1:].isdigit() else suffix


def says_image(head: bytes) -> bool:
    """Return whether a file that begins like this is a JPEG, PNG, TIFF, BMP or WebP image."""
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return True
    webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return webp or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*"))


def _kind(root: Path, file: File) -> Kind | None:
    """Return what a file is; None for DICOM, which may be read or not."""
    name = file.name.lower()
    if name.endswith(DICOM_ENDINGS):
        return None
    if name.rpartition("/")[2] == _DICOM_INDEX:
        return Kind.OTHER
    if name.endswith(SUFFIXES):
        return Kind.IMAGE
    if name.endswith(LIKE_IMAGES):
        return Kind.LIKE_IMAGE
    if name.endswith(TABLES):
        return Kind.TABLE
    return Kind.OTHER if name.endswith(_NO_IMAGES) else _kind_by_content(root / file.name)


def _kind_by_content(path: Path) -> Kind | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return Kind.OTHER
    if says_image(head):
        return Kind.IMAGE
    if says_dicom(head):
        return None
    return Kind.LIKE_IMAGE if head.startswith(_LIKE_IMAGE_HEADS) else Kind.OTHER


def _walk(root: Path, repeated: dict[str, str]) -> Iterator[File]:
    """Yield the files below the root; note folders that are passed over."""
    num_entries = 0
    visited: dict[tuple[int, int], str] = {}
    # By the number of links on the path, then by name: which of several paths to a folder is taken must not depend
    # on the order in which the file system lists them.
    pending = [(0, "")]
    while pending:
        num_links, prefix = heapq.heappop(pending)
        # With n folders that link to each other, each lies behind more than (n - 1)! paths.
        if (counted := visited.setdefault(_identity(root / prefix), prefix)) != prefix:
            repeated[prefix] = counted
            continue
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                num_entries += 1
                if num_entries > MOST_ENTRIES:
                    raise TooManyEntriesError(f"more than {MOST_ENTRIES:,} files and folders")
                if entry.name.startswith(".") or entry.name.casefold() in _JUNK_FOLDERS:
                    continue
                name = prefix + entry.name
                try:
                    status = entry.stat()
                except OSError:
                    # A dangling link is still an image that the user has listed: loading it says what is wrong.
                    if name.lower().endswith((*SUFFIXES, *DICOM_ENDINGS)):
                        yield File(name, 0, 0, 0)
                    continue
                if stat.S_ISDIR(status.st_mode):
                    heapq.heappush(pending, (num_links + entry.is_symlink(), f"{name}/"))
                elif stat.S_ISREG(status.st_mode):
                    yield File(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino

"""Digests, which name a content, and checksums against accidental damage: by a disk, a cable, another program.

Checksums are fast (2.4 GB of images in half a second) and no protection against somebody who changes files on purpose.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO

import xxhash

_CHUNK = 2**22  # bytes that are read at once
_SIZE = 16  # bytes of an appended checksum


def digest(content: str | bytes | memoryview, length: int = 64) -> str:
    """Return the first hex digits of the SHA-256 of a content: a name for it that no other content has."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:length]


def digest_of_parts(*parts: bytes | memoryview) -> str:
    """Return the hex SHA-256 of parts, one behind the other, without a copy of them."""
    together = hashlib.sha256()
    for part in parts:
        together.update(part)
    return together.hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the hex SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(content: bytes | memoryview) -> str:
    """Return the checksum of bytes in contiguous memory: 16 hex digits (XXH3, 64 bits)."""
    return xxhash.xxh3_64_hexdigest(content)


def checksum_of_file(path: Path) -> str:
    """Return the :func:`checksum` of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def append_checksum(path: Path, about: str) -> None:
    """Append a checksum (XXH3, 128 bits) to a file.

    Readers that know where the content ends, as NumPy's do, ignore it.

    Args:
        path: the file.
        about: what the content belongs to; it enters the checksum, so that a file is valid for this only.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        digest = _digest(file, size, about)
        file.seek(size)
        file.write(digest)


def has_checksum(path: Path, about: str) -> bool:
    """Return whether a file exists and ends with the checksum of its content.

    Args:
        path: the file.
        about: what the content belongs to, as given to :func:`append_checksum`.

    Raises:
        OSError: the file exists and cannot be read.
    """
    if not path.is_file():  # a pipe or a folder of the name is none of ours
        return False
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2) - _SIZE
            return size >= 0 and _digest(file, size, about) == file.read()
    except FileNotFoundError:
        return False


def _digest(file: BinaryIO, size: int, about: str) -> bytes:
    """Return the checksum of the first ``size`` bytes of a file; the file's position is behind them then."""
    digest = xxhash.xxh3_128(about.encode())
    file.seek(0)
    while size and (chunk := file.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.digest()

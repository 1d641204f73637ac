"""Checksums against accidents: what a disk, a cable or another program has changed is noticed before it is used.

They are fast (2.4 GB of images in half a second) and no protection against somebody who changes files on purpose.
"""

from pathlib import Path
from typing import BinaryIO

import xxhash

_AT_ONCE = 2**22  # bytes
_SIZE = 16  # bytes of a seal


def checksum(content: bytes | memoryview) -> str:
    """Return 16 hex digits over bytes in one piece of memory (XXH3)."""
    return xxhash.xxh3_64_hexdigest(content)


def append_checksum(path: Path, about: str) -> None:
    """Append a checksum to a file; readers that know where their content ends, as NumPy's do, pass over it.

    Args:
        path: the file.
        about: what the content belongs to; as anything else it will not be taken.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        digest = _digest(file, size, about)
        file.seek(size)
        file.write(digest)


def has_checksum(path: Path, about: str) -> bool:
    """Return whether a file is there and is, to the last bit, what was sealed as ``about``.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2) - _SIZE
            return size >= 0 and _digest(file, size, about) == file.read()
    except FileNotFoundError:
        return False


def _digest(file: BinaryIO, size: int, about: str) -> bytes:
    """Return the checksum of the first bytes of a file, whose position is then behind them."""
    digest = xxhash.xxh3_128(about.encode())
    file.seek(0)
    while size and (piece := file.read(min(size, _AT_ONCE))):
        digest.update(piece)
        size -= len(piece)
    return digest.digest()

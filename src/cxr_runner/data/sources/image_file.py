"""Reads one file of an image."""

from pathlib import Path

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import BadImageError, UnavailableImageError
from cxr_runner.data.sources import LoadedImage

MAX_BYTES = 10**9
"""Larger files are refused unread: as many pixels as are allowed take less, uncompressed and with 16 bits a channel."""


def load_file(path: Path) -> LoadedImage:
    """Read and decode the file of an image.

    Raises:
        UnavailableImageError: the file cannot be read now.
        BadImageError: the file cannot be decoded, or is larger than :data:`MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnavailableImageError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise BadImageError(f"more than {MAX_BYTES:,} bytes")
    from cxr_runner.data.decode import decode  # NumPy and Pillow, which a look at the listing does without

    return LoadedImage(decode(data), digest(data))

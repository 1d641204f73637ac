"""One image file, whatever its format: read, told apart by its content, and decoded."""

from importlib.util import find_spec
from pathlib import Path

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import BadImageError, UnavailableImageError
from cxr_runner.data.extras import AS_IN_FILE, DICOM_ENDINGS, DicomOptions, says_dicom
from cxr_runner.data.sources import LoadedImage
from cxr_runner.data.sources.walk import says_image

MAX_BYTES = 10**9
"""Larger files are refused unread: as many pixels as are allowed take less, uncompressed and with 16 bits a channel."""


_DICOM_VERSION = 1  # counts changes of what is made of DICOM files: their stores are then built anew

# What pydicom decodes compressed files with, beside itself and Pillow: one more makes more files readable.
_DECODERS = ("gdcm", "jpeg_ls", "libjpeg", "openjpeg")


def dicom_signature(options: DicomOptions) -> tuple[object, ...]:
    """Return what decides, beside the files, what DICOM files are decoded to: part of the signature of their source.

    Raises:
        UserError: the salt for patients cannot be read or made.
    """
    from cxr_runner.data.dicom.salt import salt_check

    decoders = [name for name in _DECODERS if find_spec(name) is not None]
    return ("DICOM", _DICOM_VERSION, options.window, options.frame, salt_check(), decoders)


def load_file(path: Path, dicom: DicomOptions = AS_IN_FILE) -> LoadedImage:
    """Read and decode an image file.

    Args:
        path: file to read.
        dicom: what is to be made of a DICOM file.

    Raises:
        UnavailableImageError: the file cannot be read now.
        BadImageError: the file cannot be decoded, or is larger than :data:`MAX_BYTES`.
        UserError: the salt for patients of DICOM files cannot be read or made.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnavailableImageError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise BadImageError(f"more than {MAX_BYTES:,} bytes")
    return read_image(data, path.name, dicom)


def read_image(data: bytes, name: str, dicom: DicomOptions = AS_IN_FILE) -> LoadedImage:
    """Decode the bytes of an image file: as DICOM where they say so, or where their name does and they say nothing.

    Args:
        data: content of the file.
        name: its name, of which the ending counts.
        dicom: see :func:`load_file`.

    Raises:
        BadImageError: as :func:`load_file` does.
        UserError: as :func:`load_file` does.
    """
    # NumPy, Pillow and pydicom, which a look at a listing does without.
    if says_dicom(data) or (data and name.lower().endswith(DICOM_ENDINGS) and not says_image(data[:132])):
        from cxr_runner.data.dicom.dicom_file import decode_dicom

        image = decode_dicom(data, dicom)
        return LoadedImage(image.decoded, digest(data), image.patient, image.columns)
    from cxr_runner.data.decode import decode

    return LoadedImage(decode(data), digest(data))

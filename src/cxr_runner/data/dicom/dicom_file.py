"""From the bytes of one DICOM file to grey, and to the little of its header that may leave it.

Names, numbers, places and dates of a header never leave, in messages neither: what is read at all is listed in
:data:`~cxr_runner.data.dicom.dicom_pixels.READ`, the patient leaves as a hash, columns as words of small vocabularies,
and every message below is one of a few fixed ones, because those of the libraries may quote values.
"""

import logging
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from cxr_runner.base.errors import BadImageError, UnavailableImageError, UserError
from cxr_runner.data.decode import MAX_PIXELS, Decoded, mute_metadata_warnings
from cxr_runner.data.dicom.dicom_header import Header, columns_of, rendering_of
from cxr_runner.data.dicom.dicom_pixels import PIXELS, read_elements, safe_pixels, transfer_syntax
from cxr_runner.data.dicom.salt import patient_key
from cxr_runner.data.dicom.windows import to_grey
from cxr_runner.data.extras import INSTALL_DICOM, DicomOptions, reads_dicom, says_dicom

MAX_INFLATED = 2 * 10**9
"""A deflated file that holds more bytes is refused."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"


class DicomImage(NamedTuple):
    """What is taken from a DICOM file: the image, 12 hex digits for its patient ('' for nobody known), and columns."""

    decoded: Decoded
    patient: str
    columns: Mapping[str, str]


def decode_dicom(data: bytes, options: DicomOptions) -> DicomImage:
    """Decode one DICOM file to grey. Safe to call from several threads.

    Args:
        data: bytes of the file, with or without preamble.
        options: what is to be made of it.

    Raises:
        UnavailableImageError: the extra is not installed.
        BadImageError: it is no such file, is damaged, holds no image in grey, or needs a decoder that is missing.
        UserError: the salt for patients cannot be read or made.
    """
    if not reads_dicom():
        raise UnavailableImageError(f"a DICOM file; {INSTALL_DICOM} reads it")
    _mute()
    try:
        return _decode(data, options)
    except (BadImageError, UserError):
        raise
    except Exception as error:
        raise BadImageError(f"a DICOM file that cannot be decoded ({type(error).__name__})") from None


def _mute() -> None:
    # pydicom's warnings quote values, and go to a log as well.
    mute_metadata_warnings()
    logging.getLogger("pydicom").disabled = True


def _decode(data: bytes, options: DicomOptions) -> DicomImage:
    _check_inflated(data)
    dataset = read_elements(data)
    header = Header((dataset,))
    index = _check(header, options.frame)
    bits, signed = header.whole("BitsStored") or 0, header.whole("PixelRepresentation") == 1
    syntax = transfer_syntax(dataset)
    values = safe_pixels(dataset, data, index)
    header = Header.of_frame(dataset, index, big_endian=not syntax.is_little_endian)
    grey, origin = to_grey(values, rendering_of(header, bits, signed=signed), options.window)
    mode = f"{header.word('PhotometricInterpretation')};{bits} {origin}"
    patient = str(header.value("PatientID") or "")
    return DicomImage(Decoded(grey, "DICOM", mode, bits), patient_key(patient), columns_of(header))


def _check_inflated(data: bytes) -> None:
    """Refuse a small file that would fill the memory; pydicom inflates whatever there is."""
    if not says_dicom(data) or _DEFLATED not in data[:2048]:
        return
    start = 144 + int.from_bytes(data[140:144], "little")  # behind the group of the file, whose length stands first
    inflater, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data[start:]
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 2**24))
        rest = inflater.unconsumed_tail
        if size > MAX_INFLATED:
            raise BadImageError(f"a DICOM file that inflates to more than {MAX_INFLATED:,} bytes")


def _check(header: Header, frame: int | None) -> int:
    """Refuse what is no image in grey, before a pixel is decoded; return the index of the frame."""
    present = [keyword for keyword in PIXELS if keyword in header.parts[0]]
    if not present:
        raise BadImageError("a DICOM file without an image")
    if present != ["PixelData"]:
        raise BadImageError("floating-point pixels, whose black and white are unknown")
    kind = header.word("PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        raise BadImageError("a DICOM image in the colours of a palette (PALETTE COLOR), not in grey")
    if kind not in ("MONOCHROME1", "MONOCHROME2") or header.whole("SamplesPerPixel") not in (1, None):
        named = f" ({kind})" if re.fullmatch(r"RGB|YBR_[A-Z]{3,7}(_42[02])?|HSV|ARGB|CMYK", kind) else ""
        raise BadImageError(f"a DICOM image in colour{named}, not in grey")
    height, width = header.whole("Rows") or 0, header.whole("Columns") or 0
    if height < 1 or width < 1:
        raise BadImageError("a DICOM image without height or width")
    if height * width > MAX_PIXELS:
        raise BadImageError(f"more than {MAX_PIXELS:,} pixels")
    allocated, bits = header.whole("BitsAllocated"), header.whole("BitsStored")
    if allocated not in (1, 8, 16, 32) or bits is None or not 1 <= bits <= allocated:
        raise BadImageError("a DICOM image with an unusual number of bits a pixel")
    return _index(header.whole("NumberOfFrames") or 1, frame)


def _index(num_frames: int, frame: int | None) -> int:
    if num_frames > 1 and frame is None:
        raise BadImageError(f"a DICOM file of {num_frames:,} frames; data.frame=N takes one, 1 the first")
    chosen = 1 if num_frames == 1 else frame or 1
    if not 1 <= chosen <= num_frames:
        raise BadImageError(f"a DICOM file of {num_frames:,} frames; there is no data.frame={chosen}")
    return chosen - 1

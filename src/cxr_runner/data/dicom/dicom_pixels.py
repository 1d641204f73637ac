"""The stored values of a DICOM image, by pydicom and the decoders that it finds."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.errors import BadImageError
from cxr_runner.data.dicom.dicom_process import ask_apart, serve
from cxr_runner.data.extras import INSTALL_DICOM, says_dicom

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

READ = (
    *PIXELS,
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PresentationLUTShape"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable"),
    *("ExtendedOffsetTableLengths", "PatientID", "PatientAge", "PatientSex", "ViewPosition", "Modality"),
    "BodyPartExamined",
)
"""The elements that are read, by pydicom's keyword; all others are passed over while the file is read."""

_EXTENDED, _RLE = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.5"
# In this order: the same file gives the same pixels whatever else is installed. Pillow decodes JPEG and JPEG 2000 and
# is the most widely tested; GDCM what Pillow does not know, JPEG lossless and JPEG-LS.
_DECODERS = ("pydicom", "pillow", "gdcm", "pyjpegls", "pylibjpeg")


def read_elements(data: bytes) -> Any:
    """Return the elements of a file that are of use, as pydicom's data set; all others are not even kept."""
    from pydicom import dcmread

    return dcmread(BytesIO(data), force=not says_dicom(data), specific_tags=list(READ))


def transfer_syntax(dataset: Any) -> Any:
    """Return the transfer syntax; of a file that names none, that in which it could be read."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    named = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if named:
        return named
    implicit, little = dataset.original_encoding
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    return syntax


def safe_pixels(dataset: Any, data: bytes, index: int) -> NDArray[Any]:
    """Return what :func:`decode_pixels` returns, from a process apart where a damaged image may end the process.

    Args:
        dataset: what :func:`read_elements` has made of the file.
        data: bytes of the file.
        index: index of the frame.

    Raises:
        BadImageError: the image is damaged, or no decoder that is installed knows its transfer syntax.
    """
    if _decoder(dataset)[1] != "gdcm":  # GDCM aborts at some errors, beyond the reach of Python
        return decode_pixels(dataset, index)
    values = ask_apart(__spec__.name, data, index)
    if values is None:
        raise BadImageError("a DICOM file that cannot be decoded (the compressed image is damaged)")
    return values


def decode_pixels(dataset: Any, index: int) -> NDArray[Any]:
    """Return the stored values of a frame, integers [height, width].

    Raises:
        BadImageError: no decoder that is installed knows the transfer syntax.
    """
    decoder, plugin = _decoder(dataset)
    syntax, bits = transfer_syntax(dataset), int(dataset.BitsStored)
    padded = not decoder.is_encapsulated or syntax == _RLE  # these hold the words as they are, with unused bits
    unused: Any = not padded  # pydicom's annotation of its options is narrower than what it takes
    values, _ = decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin, correct_unused_bits=unused)
    if not padded or values.dtype.itemsize * 8 == bits:
        return np.asarray(values)
    return _without_unused_bits(values, bits, dataset.get("HighBit"), dataset.PixelRepresentation == 1)


def _decoder(dataset: Any) -> tuple[Any, str]:
    """Return pydicom's decoder, and what it decodes with; '' for what is not compressed."""
    from pydicom.pixels.decoders.base import get_decoder

    # Only names of the standard are said: the text of an unknown one may be anything.
    syntax = transfer_syntax(dataset)
    name = syntax.name if syntax.is_transfer_syntax and syntax.name != syntax else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadImageError(f"a DICOM image in {name}, which is not read") from None
    return decoder, _choose_decoder(decoder, name, int(dataset.BitsStored)) if decoder.is_encapsulated else ""


def _choose_decoder(decoder: Any, name: str, bits: int) -> str:
    # Neither Pillow nor GDCM decodes JPEG Extended with 12 bits; what does is under the GPL and no part of the extra.
    fit = ("pylibjpeg",) if decoder.UID == _EXTENDED and bits != 8 else _DECODERS
    available = [plugin for plugin in fit if plugin in decoder.available_plugins]
    if available:
        return available[0]
    if decoder.UID == _EXTENDED:
        needed = "pylibjpeg and pylibjpeg-libjpeg (GPL)"
    elif "High-Throughput" in name:
        needed = "pylibjpeg and pylibjpeg-openjpeg"
    else:
        raise BadImageError(f"a DICOM image in {name}, whose decoder is missing; {INSTALL_DICOM}")
    raise BadImageError(f"a DICOM image in {name} with {bits} bits, which needs the packages {needed}")


def _without_unused_bits(values: NDArray[Any], bits: int, high_bit: int | None, signed: bool) -> NDArray[Any]:
    """Return the stored bits of words as numbers: the others may hold an overlay."""
    wide: NDArray[Any] = values.astype(np.int32 if values.dtype.itemsize <= 2 else np.int64)
    if high_bit is not None and bits <= high_bit + 1 <= values.dtype.itemsize * 8:
        wide = np.right_shift(wide, high_bit + 1 - bits)
    wide = np.bitwise_and(wide, 2**bits - 1)
    return wide - np.left_shift(np.right_shift(wide, bits - 1), bits) if signed else wide


if __name__ == "__main__":
    serve(lambda data, index: decode_pixels(read_elements(data), index))

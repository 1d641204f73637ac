"""DICOM files that tests make, in every transfer syntax that is read, and a plain decoder of lossless JPEG."""

from io import BytesIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID

LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def build(
    values: NDArray[Any], *, bits: int = 12, syntax: UID = uid.ExplicitVRLittleEndian, **elements: Any
) -> Dataset:
    """Return a data set with an image.

    Args:
        values: stored values, [height, width] or [frames, height, width].
        bits: BitsStored.
        syntax: transfer syntax; the pixels are compressed as it wants.
        elements: further elements by keyword; they replace those that are made here, None removes one.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["a test"])
    allocated = 8 if bits <= 8 else 16 if bits <= 16 else 32
    signed = bool(values.min() < 0)
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    kind = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    dataset.PixelData = values.astype(kind.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return _with_syntax(dataset, values.astype(kind), syntax)


def as_bytes(dataset: Dataset) -> bytes:
    """Return a data set as a file."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def make(values: NDArray[Any], **options: Any) -> bytes:
    """Return :func:`build` as a file."""
    return as_bytes(build(values, **options))


def _with_syntax(dataset: Dataset, values: NDArray[Any], syntax: UID) -> Dataset:
    if syntax == uid.JPEGBaseline8Bit:
        return _encapsulated(dataset, syntax, _as_pil(values, "JPEG", quality=95))
    if syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        return _encapsulated(dataset, syntax, _as_pil(values, "JPEG2000", no_jp2=True, irreversible=False))
    if syntax in LOSSLESS:
        return _by_gdcm(dataset, syntax)
    if syntax in (uid.RLELossless, uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        error = {"jls_error": 2} if syntax == uid.JPEGLSNearLossless else {}
        dataset.compress(syntax, generate_instance_uid=False, **error)
    elif syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = values.astype(values.dtype.newbyteorder(">")).tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _encapsulated(dataset: Dataset, syntax: UID, frame: bytes) -> Dataset:
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _as_pil(values: NDArray[Any], name: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(values).save(file, name, **options)
    return file.getvalue()


def _by_gdcm(dataset: Dataset, syntax: UID) -> Dataset:
    import gdcm

    with TemporaryDirectory() as folder:
        plain, packed = f"{folder}/plain.dcm", f"{folder}/packed.dcm"
        dataset.save_as(plain, enforce_file_format=True)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(plain)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(packed)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return pydicom.dcmread(BytesIO(Path(packed).read_bytes()))


def read_by_gdcm(data: bytes, folder: Path) -> NDArray[Any]:
    """Return the stored values of a file as GDCM alone reads it, from header to pixels."""
    import gdcm

    (path := folder / "second.dcm").write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    pixels = image.GetPixelFormat()
    kind = f"{'i' if pixels.GetPixelRepresentation() else 'u'}{pixels.GetBitsAllocated() // 8}"
    width, height = image.GetDimension(0), image.GetDimension(1)
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(buffer, kind)[: width * height].reshape(height, width)


def read_plainly(dataset: Dataset) -> NDArray[Any]:
    """Return the stored values of a plain file, or of one in run lengths (PS3.5, annex G), with NumPy alone."""
    kind = f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
    shape, syntax = (dataset.Rows, dataset.Columns), dataset.file_meta.TransferSyntaxUID
    if syntax == uid.RLELossless:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        starts = np.frombuffer(frame, "<u4", 16)[1 : frame[0] + 1].tolist()
        planes = [_unpack(frame[start:end]) for start, end in pairwise([*starts, len(frame)])]
        planes = [np.frombuffer(plane, np.uint8)[: shape[0] * shape[1]] for plane in planes]
        return np.stack(planes, axis=-1).copy().view(f">{kind}").reshape(shape).astype(kind)
    if dataset.BitsAllocated == 1:
        flat = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
        return flat[: shape[0] * shape[1]].reshape(shape)
    order = "<" if syntax.is_little_endian else ">"
    return np.frombuffer(dataset.PixelData, order + kind)[: shape[0] * shape[1]].reshape(shape)


def _unpack(segment: bytes) -> bytes:
    out, place = bytearray(), 0
    while place < len(segment):
        count = segment[place]
        if count < 128:
            out += segment[place + 1 : place + 2 + count]
            place += count + 2
        elif count > 128:
            out += segment[place + 1 : place + 2] * (257 - count)
            place += 2
        else:
            place += 1
    return bytes(out)


def decode_lossless_jpeg(stream: bytes) -> NDArray[np.int64]:
    """Decode JPEG of process 14 (ITU-T T.81, annex H), one component, as the standard says it, bit by bit."""
    position, codes = 2, {}
    while True:
        marker, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4], "big")
        body = stream[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xC3:
            precision, height, width = body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        elif marker == 0xC4:
            codes = _huffman_codes(body[1:17], body[17:])
        elif marker == 0xDA:
            predictor, shift = body[3], body[5] & 15
            break
    scan = stream[position:].replace(b"\xff\x00", b"\xff")
    bits = iter("".join(f"{byte:08b}" for byte in scan))
    image = np.zeros((height, width), np.int64)
    for y in range(height):
        for x in range(width):
            a, b = int(image[y, x - 1]), int(image[y - 1, x])
            c = int(image[y - 1, x - 1])
            if x == 0 and y == 0:
                predicted = 2 ** (precision - shift - 1)
            elif y == 0 or x == 0:
                predicted = a if y == 0 else b
            else:
                predicted = (0, a, b, c, a + b - c, a + (b - c >> 1), b + (a - c >> 1), a + b >> 1)[predictor]
            image[y, x] = (predicted + _difference(bits, codes)) % 2**16
    return image << shift


def _huffman_codes(counts: bytes, symbols: bytes) -> dict[str, int]:
    codes, code, place = {}, 0, 0
    for length, number in enumerate(counts, 1):
        for _ in range(number):
            codes[f"{code:0{length}b}"] = symbols[place]
            code, place = code + 1, place + 1
        code *= 2
    return codes


def _difference(bits: Any, codes: dict[str, int]) -> int:
    word = next(bits)
    while word not in codes:
        word += next(bits)
    size = codes[word]
    if size in (0, 16):
        return 32768 if size else 0
    value = int("".join(next(bits) for _ in range(size)), 2)
    return value if value >= 2 ** (size - 1) else value - 2**size + 1

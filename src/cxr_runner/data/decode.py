"""From the bytes of one image file to grey values as the file holds them, to uint8, and to the study's square."""

import contextlib
import re
import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from cxr_runner.base.errors import BadImageError

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")  # PIL's names of the formats that are read
MAX_PIXELS = 89_478_485  # larger images are refused as decompression bombs; PIL warns from the same number on

DEPTHS = (8, 10, 12, 14, 15, 16)
"""Bits that a file of 16 bits may really hold: DICOM images have 8 to 16, and are often saved as they are."""

# Weights of torchvision.transforms.functional.rgb_to_grayscale; they sum to 0.9999.
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_FULL_16_BIT = 65535
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _WHITE_IS_ZERO = 258, 262, 274, 0
_MUTE = ("ignore", None, Warning, re.compile(r"PIL\.|pydicom\b|cxr_runner\.data\.dicom"), 0)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """One image as its file holds it, in grey.

    Attributes:
        values: [height, width], upright. uint8, 0 black to 255 white, of files with at most 8 bits a channel; of deeper
            ones uint16, not scaled: how many bits black to white takes is a matter of the whole set.
        format: PIL's name of the format, e.g. ``PNG``.
        mode: PIL's name of the mode; of a file with 16 bits a channel its kind of colour and the bits, e.g. ``RGB;16``.
        bits: bits that the values need: 8 for uint8, else the least of :data:`DEPTHS` that holds the largest value, or
            what the file declares. Of a DICOM file those that it stores, whose values are uint8 all the same.
        inverted: whether a deep image has white at 0; uint8 never has.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    format: str = ""
    mode: str = "L"
    bits: int = 8
    inverted: bool = False

    @property
    def deep(self) -> bool:
        """Whether the values have to be scaled to become grey."""
        return self.values.dtype == np.uint16

    def grey(self, bits: int) -> NDArray[np.uint8]:
        """Return the image as uint8 [height, width], 0 black to 255 white.

        Args:
            bits: number of bits from black to white of a deep image; of no matter for others.

        Raises:
            BadImageError: a value needs more bits.
        """
        if not self.deep:
            return self.values.astype(np.uint8, copy=False)
        full = 2**bits - 1
        if (largest := int(self.values.max())) > full:
            raise BadImageError(f"holds the value {largest:,}, more than data.bits={bits} allows")
        values = self.values.astype(np.float32)
        return _rounded((full - values if self.inverted else values) * np.float32(255 / full))


def decode(data: bytes) -> Decoded:
    """Decode one image file to grey.

    Colour becomes grey by torchvision's weights in float, rounded once; transparency is laid over black; the
    orientation tag is obeyed; of several frames the first is taken. Safe to call from several threads.

    Args:
        data: encoded bytes of a JPEG, PNG, TIFF, BMP or WebP file.

    Raises:
        BadImageError: the bytes are no such file, are damaged, or hold more than ``MAX_PIXELS`` pixels.
    """
    if not data:
        raise BadImageError("the file is empty")
    mute_metadata_warnings()
    try:
        image = _open(data)
        if _is_deep_colour(image):
            return _decode_deep_colour(image, data)
        return _decode_opened(image)
    except BadImageError:
        raise
    except Exception as error:  # PIL's decoders raise some ten classes on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(f"cannot be decoded: {reason}") from error


def resize_square(grey: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Stretch to a square, as in the study, whatever the aspect ratio; bilinear, antialiased on reduction.

    Args:
        grey: shape (height, width).
        size: side of the square, in pixels.

    Returns:
        Shape (size, size); the array itself where it has that shape already.
    """
    if grey.shape == (size, size):
        return grey
    return np.array(Image.fromarray(grey).resize((size, size), Image.Resampling.BILINEAR))


def mute_metadata_warnings() -> None:
    """Keep off the terminal what Pillow and pydicom say of damaged or odd metadata."""
    # ``catch_warnings`` saves and restores process-wide state, so several threads cannot use it; a filter that
    # stays is safe. Every call looks for it, because whoever does use ``catch_warnings`` takes it away again.
    if warnings.filters[:1] != [_MUTE]:
        warnings.filterwarnings("ignore", module=_MUTE[3].pattern)


def _open(data: bytes) -> ImageFile:
    """Open, and check the size before any pixel is decoded."""
    too_large = f"more than {MAX_PIXELS:,} pixels"
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadImageError("not a readable JPEG, PNG, TIFF, BMP or WebP image") from error
    except Image.DecompressionBombError as error:
        raise BadImageError(too_large) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError(too_large)
    return image


def _is_deep_colour(image: ImageFile) -> bool:
    """Return whether PIL would keep the high byte only of every channel."""
    return bool(image.tile) and re.search(r";16[A-Z]*$", str(image.tile[0].args)) is not None and image.mode != "I;16"


def _decode_deep_colour(image: ImageFile, data: bytes) -> Decoded:
    """Decode a PNG file with 16 bits in each of several channels."""
    if image.format != "PNG":
        raise BadImageError(f"16 bits in each of several channels of a {image.format} file; save it as grey or as PNG")
    channels = _deep_channels(data, str(image.tile[0].args))
    num_colours = 1 if channels.shape[-1] < 3 else 3
    values = _luminance(channels[..., :num_colours])
    if channels.shape[-1] > num_colours:
        values = values * (channels[..., -1] * np.float32(1 / _FULL_16_BIT))
    if "transparency" in image.info:
        values[(channels == np.array(image.info["transparency"], np.uint16)).all(axis=-1)] = 0
    upright = _turn(np.rint(values).astype(np.uint16), image)
    mode = {2: "LA", 3: "RGB", 4: "RGBA"}[channels.shape[-1]]
    return Decoded(upright, "PNG", f"{mode};16", _bits_needed(upright))


def _deep_channels(data: bytes, raw_mode: str) -> NDArray[np.uint16]:
    """Return the channels of a PNG file with 16 bits in each, uint16 [height, width, channels].

    Pillow has no such images, but it has unpackers for either byte of big- and of little-endian ones: a file, which is
    big-endian, is read with both. Grey with opacity has as many bits as four channels of 8.
    """
    if raw_mode.startswith("LA"):
        pairs = _load_as(data, "RGBA")
        high, low = pairs[..., 0::2], pairs[..., 1::2]
    else:
        high, low = _load_as(data, raw_mode), _load_as(data, raw_mode.replace("16B", "16L"))
    return high * np.uint16(256) + low


def _load_as(data: bytes, raw_mode: str) -> NDArray[np.uint8]:
    image = _open(data)
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    image.load()
    return np.asarray(image)


def _turn(values: NDArray[np.uint16], image: ImageFile) -> NDArray[np.uint16]:
    """Turn an array upright, as the image says; a damaged tag says nothing about the pixels."""
    orientation = None
    with contextlib.suppress(Exception):
        orientation = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return values if orientation is None else np.asarray(Image.fromarray(values).transpose(orientation))


def _decode_opened(image: ImageFile) -> Decoded:
    format_name = image.format or ""
    image.load()
    with contextlib.suppress(Exception):  # a damaged orientation tag says nothing about the pixels
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        return _decode_16_bit(image, format_name)
    return Decoded(_grey(image), format_name, image.mode)


def _grey(image: ImageFile) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise BadImageError("floating-point pixels, whose black and white are unknown")
    if image.has_transparency_data:
        few_colours = image.mode in ("1", "L", "LA", "La")
        pixels = np.asarray(image.convert("LA" if few_colours else "RGBA"))
        opacity = pixels[..., -1] * np.float32(1 / 255)
        return _rounded(_luminance(pixels[..., :-1]) * opacity)
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))
    return _rounded(_luminance(np.asarray(image.convert("RGB"))))


def _luminance(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    """Grey in the range of the pixels, of shape (height, width), from (height, width, 1 or 3)."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    grey = pixels[..., 0] * _RED
    grey += pixels[..., 1] * _GREEN
    grey += pixels[..., 2] * _BLUE
    return grey


def _decode_16_bit(image: ImageFile, format_name: str) -> Decoded:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _FULL_16_BIT:
        raise BadImageError("integer pixels outside 0 to 65535, the range of 16 bits")
    values = values.astype(np.uint16)
    inverted, declared = False, None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        declared = 12 if image.tag_v2.get(_BITS_PER_SAMPLE) == (12,) else None
        inverted = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # PIL inverts 8-bit files only
    if "transparency" in image.info:
        values[values == image.info["transparency"]] = 0
    return Decoded(values, format_name, "L;16", declared or _bits_needed(values), inverted)


def _bits_needed(values: NDArray[np.uint16]) -> int:
    largest = int(values.max())
    return next(bits for bits in DEPTHS if largest < 2**bits)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values, out=values).astype(np.uint8)

"""From the bytes of one image file to a grey uint8 array, and from there to the study's square."""

import contextlib
import re
import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from cxr_runner.base.errors import BadImageError

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")  # PIL's names of the formats that are read
MAX_PIXELS = 89_478_485  # larger images are refused as decompression bombs; PIL warns from the same number on

# Weights of torchvision.transforms.functional.rgb_to_grayscale; they sum to 0.9999.
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)
_FULL_16_BIT = 65535
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_MUTE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def decode_grey(data: bytes) -> NDArray[np.uint8]:
    """Decode one image file to grey.

    Colour becomes grey by torchvision's weights in float, rounded once; 16-bit grey is scaled by its full
    range (of 16-bit colour PIL keeps the high bytes); transparency is laid over black; the orientation tag is
    obeyed; of several frames the first is taken. Safe to call from several threads.

    Args:
        data: encoded bytes of a JPEG, PNG, TIFF, BMP or WebP file.

    Returns:
        Array of shape (height, width), 0 black to 255 white.

    Raises:
        BadImageError: the bytes are no such file, are damaged, or hold more than ``MAX_PIXELS`` pixels.
    """
    if not data:
        raise BadImageError("the file is empty")
    _mute_metadata_warnings()
    try:
        return _grey(_open(data))
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


def _mute_metadata_warnings() -> None:
    # ``catch_warnings`` saves and restores process-wide state, so several threads cannot use it; a filter that
    # stays is safe. Every call looks for it, because whoever does use ``catch_warnings`` takes it away again.
    if warnings.filters[:1] != [_MUTE]:
        warnings.filterwarnings("ignore", module=_MUTE[3].pattern)


def _open(data: bytes) -> ImageFile:
    """Open, check the size before any pixel is decoded, decode, and turn upright."""
    too_large = f"more than {MAX_PIXELS:,} pixels"
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise BadImageError("not a readable JPEG, PNG, TIFF, BMP or WebP image") from error
    except Image.DecompressionBombError as error:
        raise BadImageError(too_large) from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError(too_large)
    image.load()
    with contextlib.suppress(Exception):  # a damaged orientation tag says nothing about the pixels
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _grey(image: ImageFile) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        return _grey_from_16_bit(image)
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


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey in [0, 255] of shape (height, width) from (height, width, 1 or 3)."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    grey = pixels[..., 0] * _RED
    grey += pixels[..., 1] * _GREEN
    grey += pixels[..., 2] * _BLUE
    return grey


def _grey_from_16_bit(image: ImageFile) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.float32)
    if values.min() < 0 or values.max() > _FULL_16_BIT:
        raise BadImageError("integer pixels outside 0 to 65535, the range of 16 bits")
    full = _FULL_16_BIT
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2.get(_BITS_PER_SAMPLE) == (12,):
            full = 4095
        if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # PIL inverts 8-bit files only
            values = full - values
    if "transparency" in image.info:
        values[values == image.info["transparency"]] = 0
    return _rounded(values * np.float32(255 / full))


def _rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values, out=values).astype(np.uint8)

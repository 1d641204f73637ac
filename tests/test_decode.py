"""Every kind of image file a user may hold, and every kind of damage, against grey values worked out by hand."""

import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.functional import rgb_to_grayscale

from cxr_runner.base.errors import BadImageError
from cxr_runner.data.decode import MAX_PIXELS, decode, resize_square

# 255 times 0.2989, 0.587 and 0.114 are 76.22, 149.69 and 29.07.
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 200, 200)]
GREYS = [76, 150, 29, 200]
ORIENTATION = 274


def decode_grey(data: bytes, bits: int = 16) -> NDArray[np.uint8]:
    return decode(data).grey(bits)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """One image as the bytes of a file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def row(mode: str, pixels: list) -> Image.Image:
    """An image one pixel high."""
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return image


def palette_row() -> Image.Image:
    image = row("P", [0, 1, 2, 3])
    image.putpalette([channel for colour in COLOURS for channel in colour])
    return image


def palette_alpha_row() -> Image.Image:
    image = row("PA", [(0, 255), (1, 255), (2, 0), (3, 51)])
    image.putpalette([channel for colour in COLOURS for channel in colour])
    return image


def sixteen(values: list[int], order: str = "<") -> Image.Image:
    mode = "I;16" if order == "<" else "I;16B"
    return Image.frombytes(mode, (len(values), 1), np.array([values], dtype=f"{order}u2").tobytes())


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """Set the value of a tag that a little-endian TIFF file has already."""
    start = tiff.index(struct.pack("<HHI", tag, 3, 1))
    return tiff[: start + 8] + struct.pack("<HH", value, 0) + tiff[start + 12 :]


def twelve_bit_tiff() -> bytes:
    """Two pixels of 12 bits each, 0xFFF and 0x800, in three bytes."""
    tiff = encode(row("L", [0, 0]), "TIFF")
    (offset,) = struct.unpack("<I", tiff[tiff.index(struct.pack("<HHI", 273, 4, 1)) + 8 :][:4])
    return with_tag(tiff[:offset] + b"\xff\xf8\x00", 258, 12)


def sample() -> Image.Image:
    """A 64 x 48 colour image with no two rows or columns alike."""
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8))


KINDS: dict[str, tuple[Callable[[], bytes], list[int]]] = {
    "grey PNG": (lambda: encode(row("L", [0, 128, 255]), "PNG"), [0, 128, 255]),
    "1-bit PNG": (lambda: encode(row("1", [0, 255, 0]), "PNG"), [0, 255, 0]),
    "RGB PNG": (lambda: encode(row("RGB", COLOURS), "PNG"), GREYS),
    "palette PNG": (lambda: encode(palette_row(), "PNG"), GREYS),
    "palette PNG, one colour transparent": (
        lambda: encode(palette_row(), "PNG", transparency=1),
        [76, 0, 29, 200],
    ),
    "palette PNG, an opacity for each colour": (
        lambda: encode(palette_row(), "PNG", transparency=b"\x80\xff\x00\x33"),
        [38, 150, 0, 40],
    ),
    "grey PNG, one grey transparent": (
        lambda: encode(row("L", [0, 128, 255]), "PNG", transparency=255),
        [0, 128, 0],
    ),
    "RGB PNG, one colour transparent": (
        lambda: encode(row("RGB", COLOURS), "PNG", transparency=COLOURS[1]),
        [76, 0, 29, 200],
    ),
    "grey PNG with opacity": (
        lambda: encode(row("LA", [(200, 255), (200, 128), (255, 51), (9, 0)]), "PNG"),
        [200, 100, 51, 0],
    ),
    "RGBA PNG": (
        lambda: encode(row("RGBA", [(255, 0, 0, 51), (0, 255, 0, 0), (200, 200, 200, 255)]), "PNG"),
        [15, 0, 200],
    ),
    "16-bit PNG": (lambda: encode(sixteen([0, 128, 129, 25700, 65535]), "PNG"), [0, 0, 1, 100, 255]),
    "16-bit PNG, one grey transparent": (
        lambda: encode(sixteen([0, 25700, 65535]), "PNG", transparency=65535),
        [0, 100, 0],
    ),
    "RGB TIFF": (lambda: encode(row("RGB", COLOURS), "TIFF"), GREYS),
    "RGBA TIFF": (lambda: encode(row("RGBA", [(255, 0, 0, 51), (9, 9, 9, 255)]), "TIFF"), [15, 9]),
    "palette TIFF": (lambda: encode(palette_row(), "TIFF"), GREYS),
    "palette TIFF with opacity": (lambda: encode(palette_alpha_row(), "TIFF"), [76, 150, 0, 40]),
    "CMYK TIFF": (
        lambda: encode(row("CMYK", [(0, 255, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255)]), "TIFF"),
        [76, 255, 0],
    ),
    "deflated TIFF": (lambda: encode(row("RGB", COLOURS), "TIFF", compression="tiff_deflate"), GREYS),
    "1-bit fax TIFF": (lambda: encode(row("1", [0, 255, 0]), "TIFF", compression="group4"), [0, 255, 0]),
    "16-bit TIFF": (lambda: encode(sixteen([0, 25700, 65535]), "TIFF"), [0, 100, 255]),
    "16-bit TIFF, big-endian": (lambda: encode(sixteen([0, 25700, 65535], ">"), "TIFF"), [0, 100, 255]),
    "16-bit TIFF, deflated": (
        lambda: encode(sixteen([0, 25700, 65535]), "TIFF", compression="tiff_deflate"),
        [0, 100, 255],
    ),
    "16-bit TIFF, white is zero": (
        lambda: with_tag(encode(sixteen([0, 25700, 65535]), "TIFF"), 262, 0),
        [255, 155, 0],
    ),
    "12-bit TIFF": (twelve_bit_tiff, [255, 128]),
    "32-bit TIFF within 16 bits": (lambda: encode(row("I", [0, 25700, 65535]), "TIFF"), [0, 100, 255]),
    "1-bit BMP": (lambda: encode(row("1", [0, 255, 0]), "BMP"), [0, 255, 0]),
    "grey BMP": (lambda: encode(row("L", [0, 128, 255]), "BMP"), [0, 128, 255]),
    "palette BMP": (lambda: encode(palette_row(), "BMP"), GREYS),
    "RGB BMP": (lambda: encode(row("RGB", COLOURS), "BMP"), GREYS),
    "RGB WebP": (lambda: encode(row("RGB", COLOURS), "WEBP", lossless=True), GREYS),
    "RGBA WebP": (
        lambda: encode(row("RGBA", [(255, 0, 0, 51), (9, 9, 9, 255)]), "WEBP", lossless=True, exact=True),
        [15, 9],
    ),
    "grey JPEG": (lambda: encode(row("L", [100] * 8), "JPEG"), [100] * 8),
    "RGB JPEG": (lambda: encode(row("RGB", [(100, 100, 100)] * 8), "JPEG"), [100] * 8),
    "CMYK JPEG": (lambda: encode(row("CMYK", [(0, 0, 0, 155)] * 8), "JPEG", quality=100), [100] * 8),
    "JPEG in TIFF": (
        lambda: encode(row("RGB", [(100, 100, 100)] * 8), "TIFF", compression="jpeg"),
        [100] * 8,
    ),
}


@pytest.mark.parametrize(("build", "expected"), KINDS.values(), ids=KINDS.keys())
def test_each_kind_of_file_gives_the_grey_worked_out_by_hand(build: Callable[[], bytes], expected: list[int]) -> None:
    image = decode(build())
    grey = image.grey(12 if image.bits == 12 else 16)
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, [expected])


def test_colour_becomes_grey_as_in_torchvision_on_floats() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    floats = rgb_to_grayscale(tensor.float())[0].numpy()
    grey = decode_grey(encode(Image.fromarray(rgb), "PNG"))
    np.testing.assert_array_equal(grey, np.rint(floats).astype(np.uint8))
    assert (grey != rgb_to_grayscale(tensor)[0].numpy()).any(), "torchvision truncates on uint8, we must not"


def test_every_grey_stays_itself_in_colour() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    grey = decode_grey(encode(Image.fromarray(np.stack([levels] * 3, axis=-1)), "PNG"))
    np.testing.assert_array_equal(grey, levels)


def test_all_16_bit_values_are_rounded_to_the_nearest_257th() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    grey = decode_grey(encode(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(grey, (values.astype(int) + 128) // 257)


UPRIGHT = np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8)
# How a camera held in each of the eight directions stores the upright image (EXIF 2.32, tag 274).
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_image_comes_out_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    large = np.kron(STORED[orientation], np.ones((16, 16), dtype=np.uint8))
    grey = decode_grey(encode(Image.fromarray(large), kind, exif=exif, quality=100))
    assert grey.shape == (32, 48)
    np.testing.assert_allclose(grey[8::16, 8::16].astype(int), UPRIGHT, atol=2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_rotated_16_bit_image_comes_out_upright(order: str) -> None:
    grey = decode_grey(encode(sixteen([0, 65535], order), "TIFF", tiffinfo={ORIENTATION: 6}))
    np.testing.assert_array_equal(grey, [[0], [255]])


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 5)])
def test_images_of_any_size_keep_their_shape(size: tuple[int, int]) -> None:
    assert decode_grey(encode(Image.new("L", size, 7), "PNG")).shape == size[::-1]


def test_of_several_frames_the_first_is_taken() -> None:
    frames = [Image.new("L", (4, 4), level) for level in (10, 20)]
    tiff = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_grey(tiff), np.full((4, 4), 10))


def png_claiming(width: int, height: int) -> bytes:
    """A PNG file whose header alone gives a size, with a right checksum."""
    png = encode(Image.new("1", (1, 1)), "PNG")
    header = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def damaged_middle(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :]


UNREADABLE = "not a readable JPEG, PNG, TIFF, BMP or WebP image"
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "one byte": (lambda: b"\xff", UNREADABLE),
    "text": (lambda: b"patient,label\n1,0\n", UNREADABLE),
    "a web page": (lambda: b"<!DOCTYPE html><title>404</title>", UNREADABLE),
    "PDF": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", UNREADABLE),
    "DICOM": (lambda: bytes(128) + b"DICM" + bytes(64), UNREADABLE),
    "GIF": (lambda: encode(Image.new("L", (4, 4)), "GIF"), UNREADABLE),
    "signature only": (lambda: encode(sample(), "PNG")[:8], UNREADABLE),
    "no width": (lambda: png_claiming(0, 4), UNREADABLE),
    "truncated JPEG": (lambda: encode(sample(), "JPEG")[:-200], "cannot be decoded: image file is truncated"),
    "truncated PNG": (lambda: encode(sample(), "PNG")[:-60], "cannot be decoded: image file is truncated"),
    "truncated BMP": (lambda: encode(sample(), "BMP")[:-200], "cannot be decoded: image file is truncated"),
    "truncated TIFF": (
        lambda: encode(sample(), "TIFF")[:-200],
        "cannot be decoded: image file is truncated",
    ),
    "truncated WebP": (lambda: encode(sample(), "WEBP")[:-200], "cannot be decoded: "),
    "damaged PNG": (lambda: damaged_middle(encode(sample(), "PNG")), "cannot be decoded: "),
    "bomb that PIL warns of": (lambda: png_claiming(10_000, 9_000), f"more than {MAX_PIXELS:,} pixels"),
    "bomb that PIL refuses": (lambda: png_claiming(60_000, 60_000), f"more than {MAX_PIXELS:,} pixels"),
    "floating point": (lambda: encode(row("F", [0.0, 1.0]), "TIFF"), "floating-point pixels"),
    "32-bit integers": (lambda: encode(row("I", [0, 65536]), "TIFF"), "integer pixels outside 0 to 65535"),
    "negative integers": (lambda: encode(row("I", [-1, 5]), "TIFF"), "integer pixels outside 0 to 65535"),
}


@pytest.mark.parametrize(("build", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_image_is_refused_for_the_right_reason(build: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(BadImageError) as error:
        decode_grey(build())
    assert str(error.value).startswith(reason)
    assert "\n" not in str(error.value)
    assert "object at 0x" not in str(error.value)


def test_an_image_of_exactly_the_limit_is_not_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_runner.data.decode.MAX_PIXELS", 12)
    assert decode_grey(encode(Image.new("L", (4, 3)), "PNG")).shape == (3, 4)
    with pytest.raises(BadImageError, match="more than 12 pixels"):
        decode_grey(encode(Image.new("L", (13, 1)), "PNG"))


def tiff_with_broken_metadata() -> bytes:
    """A TIFF file with a copyright note that reaches past its end: PIL warns of it and reads on."""
    tiff = encode(row("L", [1, 2, 3]), "TIFF", tiffinfo={33432: "nobody's at all"})
    start = tiff.index(struct.pack("<HHI", 33432, 2, 16))
    return tiff[: start + 8] + struct.pack("<I", 2**30) + tiff[start + 12 :]


def jpeg_with_broken_exif() -> bytes:
    return encode(row("L", [100] * 8), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x20\0\x12\x01")


@pytest.mark.parametrize("build", [tiff_with_broken_metadata, jpeg_with_broken_exif])
def test_broken_metadata_neither_fails_nor_warns(build: Callable[[], bytes]) -> None:
    with pytest.warns(UserWarning, match="Truncated|[Cc]orrupt|larger than file"):
        Image.open(BytesIO(build())).getexif()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert decode_grey(build()).size in (3, 8)
    assert seen == []


def test_threads_decode_the_same_as_one_and_without_warnings() -> None:
    files = [build() for build, _ in KINDS.values()] + [tiff_with_broken_metadata()]
    alone = [decode_grey(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode_grey, files * 4))
    for one, other in zip(alone * 4, together, strict=True):
        np.testing.assert_array_equal(one, other)


def decode_or_refuse(data: bytes) -> None:
    try:
        grey = decode_grey(data)
    except BadImageError:
        return
    assert grey.dtype == np.uint8
    assert grey.ndim == 2


SIGNATURES = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"BM", b"RIFF"]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_raise_nothing_but_a_bad_image(signature: bytes, data: bytes) -> None:
    decode_or_refuse(signature + data)


ENCODED = [encode(sample(), kind) for kind in ("JPEG", "PNG", "TIFF", "BMP", "WEBP")]
ENCODED += [build() for build, _ in KINDS.values()]
ENCODED += [encode(sample(), "TIFF", compression="tiff_lzw"), tiff_with_broken_metadata()]


@given(
    st.sampled_from(ENCODED),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.1, 1),
)
@settings(max_examples=400, deadline=None)
def test_a_corrupted_image_raises_nothing_but_a_bad_image(
    data: bytes, hits: list[tuple[float, int]], kept: float
) -> None:
    corrupted = bytearray(data)
    for position, value in hits:
        corrupted[int(position * len(corrupted))] = value
    decode_or_refuse(bytes(corrupted[: max(1, round(kept * len(corrupted)))]))


def test_resizing_leaves_an_image_of_the_right_size_alone() -> None:
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert resize_square(grey, 4) is grey


def test_resizing_stretches_whatever_the_aspect_ratio() -> None:
    grey = np.array([[0, 0, 0, 0], [200, 200, 200, 200]], dtype=np.uint8)
    stretched = resize_square(grey, 4)
    assert stretched.dtype == np.uint8
    # Bilinear, pixel centres at half: rows lie at -0.25, 0.25, 0.75 and 1.25 of the two given ones.
    np.testing.assert_array_equal(stretched, np.repeat([[0], [50], [150], [200]], 4, axis=1))


def test_resizing_averages_on_reduction() -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    reduced = resize_square(stripes, 8)
    assert abs(reduced[:, 1:-1].astype(int) - 128).max() <= 8, "a reduction without antialiasing keeps stripes"

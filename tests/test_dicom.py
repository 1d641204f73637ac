"""DICOM files: every transfer syntax against a second decoder, every window against plain arithmetic."""

import contextlib
import hashlib
import hmac
import random
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.sequence import Sequence

from cxr_runner.base.errors import BadImageError, UnavailableImageError, UserError
from cxr_runner.data.decode import MAX_PIXELS, mute_metadata_warnings
from cxr_runner.data.dicom import salt
from cxr_runner.data.dicom.dicom_file import decode_dicom
from cxr_runner.data.dicom.dicom_pixels import decode_pixels, read_elements
from cxr_runner.data.extras import DicomOptions
from cxr_runner.data.sources.image_file import read_image
from dicom_files import LOSSLESS, SHIPPED, as_bytes, build, decode_lossless_jpeg, make, read_by_gdcm, read_plainly

Stored = NDArray[Any]
FULL, PERCENTILE, FILE = DicomOptions("full"), DicomOptions("percentile"), DicomOptions("file")


def picture(bits: int = 12, low: int = 0, seed: int = 0, shape: tuple[int, int] = (36, 41)) -> Stored:
    """Draw smooth stored values with noise, over all of their range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    smooth = 0.5 + 0.45 * np.sin(x / 7 + y / 5)
    return (
        np.clip(np.rint((smooth + 0.05 * rng.standard_normal(shape)) * (2**bits - 1)), 0, 2**bits - 1).astype(int) + low
    )


def grey(data: bytes, options: DicomOptions = FULL) -> NDArray[np.uint8]:
    return decode_dicom(data, options).decoded.values


def stored(data: bytes) -> Stored:
    """Return the stored values as the reader takes them from a file."""
    return decode_pixels(read_elements(data), 0)


def scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def second(data: bytes, folder: Path) -> Stored:
    """Return the stored values by another decoder than the reader's."""
    dataset = pydicom.dcmread(BytesIO(data))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in LOSSLESS:
        return decode_lossless_jpeg(get_frame(dataset.PixelData, 0, number_of_frames=1))
    if syntax in uid.JPEGLSTransferSyntaxes:
        return get_decoder(syntax).as_array(dataset, index=0, decoding_plugin="pyjpegls")[0]
    if syntax in uid.JPEG2000TransferSyntaxes or syntax == uid.JPEGBaseline8Bit:
        return get_decoder(syntax).as_array(dataset, index=0, decoding_plugin="gdcm")[0]
    if syntax == uid.RLELossless or dataset.BitsAllocated not in (8, 16):
        return read_plainly(dataset)
    return read_by_gdcm(data, folder)


SYNTAXES = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "RLE": uid.RLELossless,
    "JPEG lossless": uid.JPEGLossless,
    "JPEG lossless SV1": uid.JPEGLosslessSV1,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000 lossless": uid.JPEG2000Lossless,
}


class TestTransferSyntaxes:
    @pytest.mark.parametrize("bits", [8, 10, 12, 16])
    @pytest.mark.parametrize("name", SYNTAXES)
    def test_what_loses_nothing_gives_the_values_that_were_written(self, tmp_path: Path, name: str, bits: int) -> None:
        values = picture(bits)
        data = make(values, bits=bits, syntax=SYNTAXES[name])
        np.testing.assert_array_equal(stored(data), values)
        np.testing.assert_array_equal(second(data, tmp_path), values)
        np.testing.assert_array_equal(grey(data), scaled(values, 0, 2**bits - 1))

    @pytest.mark.parametrize(
        "name", ["implicit", "explicit", "big endian", "deflated", "RLE", "JPEG-LS", "JPEG lossless"]
    )
    @pytest.mark.parametrize("bits", [12, 16])
    def test_signed_values_keep_their_sign(self, name: str, bits: int) -> None:
        values = picture(bits, low=-(2 ** (bits - 1)))
        data = make(values, bits=bits, syntax=SYNTAXES[name])
        np.testing.assert_array_equal(stored(data), values)
        np.testing.assert_array_equal(grey(data), scaled(values, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))

    @pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGLSNearLossless])
    def test_what_loses_something_is_as_a_second_decoder_has_it(self, tmp_path: Path, syntax: uid.UID) -> None:
        values = picture(8)
        data = make(values, bits=8, syntax=syntax)
        assert np.abs(stored(data).astype(int) - second(data, tmp_path)).max() <= (syntax == uid.JPEGBaseline8Bit)
        assert np.abs(stored(data).astype(int) - values).max() < 30

    def test_a_file_of_32_bits_is_read(self) -> None:
        values = picture(12) * 300_000
        np.testing.assert_array_equal(grey(make(values, bits=32)), scaled(values, 0, 2**32 - 1))

    @pytest.mark.parametrize("fits", [False, True])
    def test_without_preamble_the_ending_says_that_it_is_dicom(self, fits: bool) -> None:
        file, values = BytesIO(), picture()
        build(values, syntax=uid.ImplicitVRLittleEndian).save_as(file, implicit_vr=True, little_endian=True)
        bare = file.getvalue()[132:] if file.getvalue()[128:132] == b"DICM" else file.getvalue()
        if not fits:
            with pytest.raises(BadImageError, match="not a readable JPEG"):
                read_image(bare, "1.png")
            return
        np.testing.assert_array_equal(read_image(bare, "1.DCM", FULL).decoded.values, scaled(values, 0, 4095))

    def test_the_content_counts_and_not_the_ending(self) -> None:
        (png := BytesIO()).seek(0)
        Image.fromarray(picture(8).astype(np.uint8)).save(png, "PNG")
        assert read_image(png.getvalue(), "x.dcm").decoded.format == "PNG"
        assert read_image(make(picture()), "x.png").decoded.format == "DICOM"


def _shipped() -> list[Path]:
    """Return pydicom's own files that hold an image; none of them has to be downloaded."""
    paths = []
    mute_metadata_warnings()
    for path in sorted(SHIPPED.rglob("*")):
        if path.is_file() and path.suffix in (".dcm", "") and "README" not in path.name and "DICOMDIR" not in path.name:
            if "Rows" in pydicom.dcmread(path, force=True, specific_tags=["Rows"]):
                paths.append(path)
    return paths


REFUSED = {
    "in colour": r".*(rgb|RGB|ybr|GBR|ExplVR_BigEnd|SC_jpeg|SC_ybr|jpeg2k|color).*",
    "of a palette": r".*palette.*",
    "of 15 frames; data.frame=N": r"rtdose(_expb|_rle)?\.dcm",
    "which needs the packages pylibjpeg and pylibjpeg-libjpeg": r"JPEG-lossy.dcm|JPGExtended.dcm",
    "cannot be decoded": r"MR_truncated.dcm|badVR.dcm|JPEG2000-embedded-sequence-delimiter.dcm",
}


@pytest.mark.parametrize("path", _shipped(), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")  # of pydicom, read by the test itself
def test_a_file_of_pydicom_is_as_a_second_decoder_has_it_or_is_refused_by_name(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    reasons = [reason for reason, names in REFUSED.items() if re.fullmatch(names, path.name)]
    if reasons:
        with pytest.raises(BadImageError, match=reasons[0]):
            grey(data)
        return
    values = stored(data)
    np.testing.assert_array_equal(values, second(data, tmp_path))
    assert grey(data).shape == values.shape


@pytest.mark.filterwarnings("ignore")
def test_pydicom_brings_the_files_that_are_compared() -> None:
    syntaxes = [pydicom.dcmread(path, force=True).file_meta.get("TransferSyntaxUID", "") for path in _shipped()]
    assert len(syntaxes) >= 80
    assert sum(getattr(one, "is_compressed", False) for one in syntaxes) >= 35


class TestBits:
    def test_unused_bits_are_no_part_of_a_value(self) -> None:
        values = picture(12)
        overlaid = build(values)
        overlaid.PixelData = (values | 0xA000).astype("<u2").tobytes()
        np.testing.assert_array_equal(stored(as_bytes(overlaid)), values)

    @pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
    def test_a_high_bit_elsewhere_moves_the_value(self, syntax: uid.UID) -> None:
        values = picture(12)
        data = make(values << 4 | 3, bits=16, syntax=syntax, BitsStored=12, HighBit=15)
        np.testing.assert_array_equal(stored(data), values)

    def test_unused_bits_of_a_signed_value_are_its_sign_or_nothing(self) -> None:
        values = picture(12, low=-2048)
        unsigned = build(values & 0xFFF, PixelRepresentation=1)
        np.testing.assert_array_equal(stored(as_bytes(unsigned)), values)

    def test_data_bits_is_of_no_matter_and_the_inventory_has_those_of_the_file(self) -> None:
        decoded = decode_dicom(make(picture(10), bits=10), FILE).decoded
        assert (decoded.deep, decoded.bits, decoded.format) == (False, 10, "DICOM")
        assert decoded.mode == "MONOCHROME2;10 percentiles"
        np.testing.assert_array_equal(decoded.grey(16), decoded.values)


def lut(first: int, entries: Stored, bits: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 2**16, first, bits]
    item["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    item.add_new("LUTData", "OW", np.asarray(entries).astype("<u2").tobytes())
    return Sequence([item])


WINDOW = {"WindowCenter": 1500, "WindowWidth": 1000}


class TestWindow:
    """One policy: the file's table, its window, percentiles; ``percentile``: always those; ``full``: all values."""

    def test_the_window_of_the_file_is_that_of_the_standard(self) -> None:
        values = picture()
        data = make(values, **WINDOW)
        low, high = 1500 - 0.5 - 999 / 2, 1500 - 0.5 + 999 / 2
        np.testing.assert_array_equal(grey(data, FILE), scaled(values, low, high))
        by_pydicom = apply_voi_lut(values, pydicom.dcmread(BytesIO(data)))
        np.testing.assert_array_equal(grey(data, FILE), np.rint(by_pydicom / 4095 * 255))
        assert decode_dicom(data, FILE).decoded.mode == "MONOCHROME2;12 window"

    def test_of_several_windows_the_first_counts(self) -> None:
        several = make(picture(), WindowCenter=[1500, 100], WindowWidth=[1000, 20])
        np.testing.assert_array_equal(grey(several, FILE), grey(make(picture(), **WINDOW), FILE))

    def test_the_other_shapes_of_a_window(self) -> None:
        values = picture()
        exact = make(values, **WINDOW, VOILUTFunction="LINEAR_EXACT")
        np.testing.assert_array_equal(grey(exact, FILE), scaled(values, 1000, 2000))
        sigmoid = make(values, **WINDOW, VOILUTFunction="SIGMOID")
        expected = np.rint(255 / (1 + np.exp(-4 * (values - 1500) / 1000)))
        np.testing.assert_array_equal(grey(sigmoid, FILE), expected)

    def test_a_width_of_one_is_a_threshold(self) -> None:
        data = make(picture(), WindowCenter=1500, WindowWidth=1)
        np.testing.assert_array_equal(grey(data, FILE), 255 * (picture() > 1499.5))

    def test_rescale_comes_before_the_window(self) -> None:
        values = picture()
        data = make(values, RescaleSlope="2.5", RescaleIntercept="-1024", WindowCenter=2000, WindowWidth=3000)
        measured = values * 2.5 - 1024
        np.testing.assert_array_equal(grey(data, FILE), scaled(measured, 1999.5 - 2999 / 2, 1999.5 + 2999 / 2))
        np.testing.assert_array_equal(grey(data, FULL), scaled(values, 0, 4095))

    def test_a_negative_slope_turns_black_into_white(self) -> None:
        data = make(picture(), RescaleSlope="-1", RescaleIntercept="4095")
        np.testing.assert_array_equal(grey(data, FULL), scaled(4095 - picture(), 0, 4095))

    def test_a_modality_table_comes_before_the_window(self) -> None:
        values = picture()
        table = (np.sqrt(np.arange(4000) / 4000) * 1023).astype(int)
        data = make(values, ModalityLUTSequence=lut(48, table, 10), WindowCenter=500, WindowWidth=400)
        measured = table[np.clip(values - 48, 0, 3999)]
        dataset = pydicom.dcmread(BytesIO(data))
        dataset.ModalityLUTSequence[0].LUTDescriptor[2] = 16  # pydicom knows 8 and 16 only
        np.testing.assert_array_equal(measured, apply_modality_lut(values, dataset))
        np.testing.assert_array_equal(grey(data, FILE), scaled(measured, 499.5 - 399 / 2, 499.5 + 399 / 2))
        np.testing.assert_array_equal(grey(data, FULL), scaled(measured, 0, 1023))

    def test_a_table_of_the_file_comes_before_its_window(self) -> None:
        values = picture()
        table = ((np.arange(4096) / 4095) ** 2 * 65535).astype(int)
        data = make(values, VOILUTSequence=lut(0, table, 16), **WINDOW)
        np.testing.assert_array_equal(grey(data, FILE), scaled(table[values], 0, 65535))
        by_pydicom = apply_voi_lut(values, pydicom.dcmread(BytesIO(data)), prefer_lut=True)
        np.testing.assert_array_equal(grey(data, FILE), np.rint(by_pydicom / 65535 * 255))
        assert decode_dicom(data, FILE).decoded.mode == "MONOCHROME2;12 VOI LUT"

    def test_a_table_that_declares_more_bits_than_it_uses_is_not_dark(self) -> None:
        table = np.arange(4096)
        data = make(picture(), VOILUTSequence=lut(0, table, 16))
        np.testing.assert_array_equal(grey(data, FILE), scaled(picture(), 0, 4095))

    def test_a_table_may_begin_below_zero_and_hold_bytes(self) -> None:
        values = picture(8, low=-128)
        item = lut(-100, np.arange(200), 8)
        item[0]["LUTData"].value = bytes(range(200))
        data = make(values, bits=8, VOILUTSequence=item)
        np.testing.assert_array_equal(grey(data, FILE), scaled(np.clip(values + 100, 0, 199), 0, 255))

    def test_a_table_of_a_big_endian_file(self) -> None:
        table = ((np.arange(4096) / 4095) ** 2 * 65535).astype(int)
        item = lut(0, table, 16)
        item[0].LUTData = table.astype(">u2").tobytes()
        data = make(picture(), syntax=uid.ExplicitVRBigEndian, VOILUTSequence=item)
        np.testing.assert_array_equal(grey(data, FILE), scaled(table[picture()], 0, 65535))

    @pytest.mark.parametrize(
        "elements",
        [
            {},
            {"WindowCenter": 100},
            {"WindowCenter": 100, "WindowWidth": 0},
            {"WindowCenter": 100, "WindowWidth": -5},
            {"WindowCenter": 30000, "WindowWidth": 10},  # of which nothing would be seen
            {**WINDOW, "VOILUTFunction": "SMITH"},
        ],
    )
    def test_without_a_window_that_shows_anything_percentiles_are_the_window(self, elements: dict[str, Any]) -> None:
        values = picture()
        data = make(values, **elements)
        low, high = np.percentile(values, [0.5, 99.5], method="inverted_cdf")
        np.testing.assert_array_equal(grey(data, FILE), scaled(values, low, high))
        assert decode_dicom(data, FILE).decoded.mode.endswith("percentiles")

    def test_percentile_and_full_leave_the_window_of_the_file_alone(self) -> None:
        plain, windowed = make(picture()), make(picture(), **WINDOW)
        for options in (PERCENTILE, FULL):
            np.testing.assert_array_equal(grey(windowed, options), grey(plain, options))

    @pytest.mark.parametrize("limit", [None, 2001])
    def test_padding_is_no_part_of_the_percentiles(self, limit: int | None) -> None:
        values = picture(10)
        values[:10] = 2000 if limit is None else 2001
        elements = {"PixelPaddingValue": 2000} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
        low, high = np.percentile(values[10:], [0.5, 99.5], method="inverted_cdf")
        np.testing.assert_array_equal(grey(make(values, **elements), PERCENTILE), scaled(values, low, high))

    def test_an_image_of_one_value_is_black(self) -> None:
        flat = np.full((9, 9), 77)
        assert not grey(make(flat), FILE).any()
        assert not grey(make(flat, PixelPaddingValue=77), PERCENTILE).any()

    @pytest.mark.parametrize("elements", [{"RescaleSlope": "0"}, {"RescaleSlope": "0.0", "RescaleIntercept": "1"}])
    def test_a_slope_that_makes_no_sense_is_refused(self, elements: dict[str, str]) -> None:
        with pytest.raises(BadImageError, match="rescale slope"):
            grey(make(picture(), **elements))


class TestPolarity:
    @pytest.mark.parametrize(
        ("kind", "shape", "inverted"),
        [
            ("MONOCHROME2", None, False),
            ("MONOCHROME2", "IDENTITY", False),
            ("MONOCHROME1", None, True),
            ("MONOCHROME1", "IDENTITY", True),
            ("MONOCHROME1", "INVERSE", True),  # said twice, as DX images do, and done once
            ("MONOCHROME2", "INVERSE", True),
        ],
    )
    @pytest.mark.parametrize("options", [FILE, FULL, PERCENTILE], ids=["file", "full", "percentile"])
    def test_white_is_turned_once(self, kind: str, shape: str | None, inverted: bool, options: DicomOptions) -> None:
        elements = {} if shape is None else {"PresentationLUTShape": shape}
        plain = grey(make(picture(), **WINDOW), options).astype(int)
        turned = grey(make(picture(), PhotometricInterpretation=kind, **elements, **WINDOW), options)
        assert np.abs(turned - (255 - plain if inverted else plain)).max() <= 1  # halves round to even on either side
        assert (turned[picture() < 600].mean() > 200) == inverted


class TestRefusals:
    def refused(self, data: bytes, options: DicomOptions = FILE) -> str:
        with pytest.raises(BadImageError) as error:
            decode_dicom(data, options)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_several_frames_are_refused_or_chosen(self) -> None:
        frames = np.stack([picture(seed=seed) for seed in range(3)])
        for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless):
            data = make(frames, syntax=syntax)
            assert self.refused(data) == "a DICOM file of 3 frames; data.frame=N takes one, 1 the first"
            for number in (1, 2, 3):
                np.testing.assert_array_equal(
                    grey(data, DicomOptions("full", number)), scaled(frames[number - 1], 0, 4095)
                )
            assert "there is no data.frame=4" in self.refused(data, DicomOptions(frame=4))
        assert grey(make(picture()), DicomOptions(frame=4)).shape == picture().shape  # others are as they are

    def test_a_frame_is_shown_through_its_own_window(self) -> None:
        frames = np.stack([picture(), picture()])
        groups = []
        for center in (1000, 2000):
            group, inner = Dataset(), Dataset()
            inner.WindowCenter, inner.WindowWidth = center, 500
            group.FrameVOILUTSequence = Sequence([inner])
            groups.append(group)
        shared, inner = Dataset(), Dataset()
        inner.RescaleSlope, inner.RescaleIntercept = 2, 0
        shared.PixelValueTransformationSequence = Sequence([inner])
        data = make(
            frames,
            PerFrameFunctionalGroupsSequence=Sequence(groups),
            SharedFunctionalGroupsSequence=Sequence([shared]),
        )
        for number, center in ((1, 1000), (2, 2000)):
            expected = scaled(2 * picture(), center - 0.5 - 499 / 2, center - 0.5 + 499 / 2)
            np.testing.assert_array_equal(grey(data, DicomOptions("file", number)), expected)

    @pytest.mark.parametrize("kind", ["RGB", "YBR_FULL_422"])
    def test_colour_is_refused_by_name(self, kind: str) -> None:
        data = make(picture(8), bits=8, SamplesPerPixel=3, PhotometricInterpretation=kind, PlanarConfiguration=0)
        assert self.refused(data) == f"a DICOM image in colour ({kind}), not in grey"

    def test_a_palette_is_refused_by_name(self) -> None:
        message = self.refused(make(picture(8), bits=8, PhotometricInterpretation="PALETTE COLOR"))
        assert message == "a DICOM image in the colours of a palette (PALETTE COLOR), not in grey"

    def test_what_is_no_image_is_refused(self) -> None:
        assert self.refused(make(picture(), PixelData=None)) == "a DICOM file without an image"
        assert self.refused(b"anything at all" * 20) == "a DICOM file without an image"
        assert self.refused(make(picture(), Rows=None)) == "a DICOM image without height or width"
        assert "unusual number of bits" in self.refused(make(picture(), BitsStored=17))

    def test_more_pixels_than_are_read_are_refused_before_they_are_decoded(self) -> None:
        side = int(np.sqrt(MAX_PIXELS)) + 1
        assert self.refused(make(picture(), Rows=side, Columns=side)) == f"more than {MAX_PIXELS:,} pixels"

    def test_a_small_file_that_fills_the_memory_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = make(np.zeros((4000, 4000), int), syntax=uid.DeflatedExplicitVRLittleEndian)
        assert len(data) < 10**6
        assert grey(data).shape == (4000, 4000)
        monkeypatch.setattr("cxr_runner.data.dicom.dicom_file.MAX_INFLATED", 10**7)
        assert "inflates to more than 10,000,000 bytes" in self.refused(data)

    def test_a_missing_decoder_is_one_line_with_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = make(picture(), syntax=uid.JPEGLSLossless)
        monkeypatch.setattr("cxr_runner.data.dicom.dicom_pixels._DECODERS", ("pydicom", "pillow"))
        expected = "a DICOM image in JPEG-LS Lossless Image Compression, whose decoder is missing"
        assert self.refused(data) == f"{expected}; pip install 'cxr-runner[dicom]'"

    @pytest.mark.usefixtures("without_dicom")
    def test_without_the_extra_a_file_names_it(self) -> None:
        with pytest.raises(UnavailableImageError, match=r"^a DICOM file; pip install 'cxr-runner\[dicom\]' reads it$"):
            read_image(b"\0" * 128 + b"DICM", "x")

    @pytest.mark.parametrize("syntax", [uid.MPEG2MPML, uid.HTJ2KLossless, "1.2.840.10008.9.9.9.9.9"])
    def test_other_transfer_syntaxes_are_refused(self, syntax: str) -> None:
        dataset = build(picture(), syntax=uid.RLELossless)
        data = as_bytes(dataset).replace(_ui(uid.RLELossless), _ui(syntax))
        message = self.refused(data)
        assert "1.2.8" not in message
        assert message.startswith("a DICOM image in ")


def _ui(syntax: str) -> bytes:
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)
    return b"UI" + len(padded).to_bytes(2, "little") + padded


class TestColumns:
    def told(self, **elements: str) -> dict[str, str]:
        return dict(decode_dicom(make(picture(), **elements), FILE).columns)

    def test_five_columns_leave_a_header(self) -> None:
        told = self.told(
            ViewPosition="PA",
            Modality="DX",
            BodyPartExamined="CHEST",
            PatientSex="F",
            PatientAge="045Y",
            PatientName="A^B",
        )
        assert told == {"view": "PA", "modality": "DX", "body_part": "CHEST", "sex": "F", "age": "40-49"}

    @pytest.mark.parametrize(
        ("age", "decade"),
        [
            *(("045Y", "40-49"), ("007Y", "0-9"), ("011M", "0-9"), ("130M", "10-19"), ("003W", "0-9"), ("010D", "0-9")),
            *(("089Y", "80-89"), ("090Y", "90+"), ("104Y", "90+"), ("45Y", "40-49"), ("45", ""), ("XYZ", "")),
        ],
    )
    @pytest.mark.filterwarnings("ignore")  # of pydicom, on what the test writes
    def test_an_age_leaves_as_a_decade(self, age: str, decade: str) -> None:
        assert self.told(PatientAge=age).get("age", "") == decade

    @pytest.mark.filterwarnings("ignore")
    def test_text_that_is_no_usual_word_does_not_leave(self) -> None:
        assert self.told(ViewPosition="SMITH PA", Modality="J S", BodyPartExamined="WARD 7", PatientSex="SMITH") == {}


class TestPatients:
    def key(self, patient: str) -> str:
        return decode_dicom(make(picture(), PatientID=patient), FILE).patient

    def test_a_patient_is_a_hash_with_the_salt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = hmac.new(b"the salt of the tests", b"MRN 4711", hashlib.sha256).hexdigest()[:12]
        assert self.key("MRN 4711") == self.key(" MRN 4711 ") == expected
        monkeypatch.setenv("CXR_SALT", "another salt of the tests")
        assert self.key("MRN 4711") not in ("", expected)

    @pytest.mark.parametrize("patient", ["", " ", "Anonymous", "ANON", "000000", "XXXX", "unknown", "De-identified"])
    def test_who_is_nobody_in_particular_is_not_known(self, patient: str) -> None:
        assert self.key(patient) == ""

    def test_a_salt_is_made_once_for_the_user_alone_and_said(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("CXR_SALT")
        monkeypatch.setattr(salt, "user_config_path", lambda name: tmp_path / "config" / name)
        salt._salt.cache_clear()
        first = self.key("4711")
        (path,) = (tmp_path / "config" / "cxr_runner").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert capsys.readouterr().err == f"patients of DICOM files are kept as hashes, with the salt in {path}\n"
        salt._salt.cache_clear()
        assert self.key("4711") == first
        assert capsys.readouterr().err == ""
        path.write_text("")
        salt._salt.cache_clear()
        with pytest.raises(UserError, match="holds no salt; remove it"):
            self.key("4711")
        salt._salt.cache_clear()

    def test_a_salt_that_is_short_or_cannot_be_kept_is_the_users_mistake(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CXR_SALT", "secret")
        with pytest.raises(UserError, match=r"^CXR_SALT: 6 characters are too few") as error:
            self.key("4711")
        assert "secret" not in str(error.value)
        monkeypatch.delenv("CXR_SALT")
        (tmp_path / "file").write_text("")
        monkeypatch.setattr(salt, "user_config_path", lambda name: tmp_path / "file" / name)
        salt._salt.cache_clear()
        with pytest.raises(UserError, match="give one in CXR_SALT"):
            self.key("4711")


class TestDamage:
    """Whatever is in a file: an image or :class:`BadImageError`."""

    def files(self) -> dict[str, bytes]:
        small = picture(shape=(16, 16))
        named = {name: make(small, syntax=syntax, **WINDOW, PatientID="7") for name, syntax in SYNTAXES.items()}
        table = lut(0, np.arange(4096), 12)
        named["table"] = make(small, VOILUTSequence=table, ModalityLUTSequence=table)
        return named | {"JPEG": make(picture(8, shape=(16, 16)), bits=8, syntax=uid.JPEGBaseline8Bit)}

    def read(self, data: bytes) -> bool:
        with contextlib.suppress(BadImageError):
            return read_image(data, "1.dcm").decoded.values.dtype == np.uint8
        return False

    def test_any_cut_is_a_bad_image_or_an_image(self) -> None:
        for data in self.files().values():
            assert self.read(data)
            lengths = [*range(0, len(data), max(1, len(data) // 60)), len(data) - 1]
            results = [self.read(data[:length]) for length in lengths]
            assert not all(results)

    @pytest.mark.parametrize("seed", range(3))
    def test_flipped_bits_are_a_bad_image_or_an_image(self, seed: int) -> None:
        rng = random.Random(seed)
        for data in self.files().values():
            for _ in range(60):
                changed = bytearray(data)
                for _ in range(rng.choice((1, 3, 20))):
                    changed[rng.randrange(132, len(data))] ^= 1 << rng.randrange(8)
                self.read(bytes(changed))

"""What is read of the header of a DICOM file: the way from stored values to grey, and a few words about the image.

A value that is missing, damaged or makes no sense counts as missing. Of text, nothing leaves but words of the small
vocabularies below: whoever fills in a form may write a name into any field.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from cxr_runner.base.errors import BadImageError
from cxr_runner.data.dicom.windows import Lookup, Rendering, Window

_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelIntensityRelationshipLUTSequence")
# fmt: off
_VIEWS = (
    "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAO", "RAO", "LPO", "RPO", "LAT", "LATERAL", "OBLIQUE",
    "L", "R", "AP SUPINE", "AP ERECT", "PA ERECT", "POSTERO-ANTERIOR", "ANTERO-POSTERIOR", "POSTEROANTERIOR",
    "ANTEROPOSTERIOR", "LEFT LATERAL", "RIGHT LATERAL", "LORDOTIC", "AP LORDOTIC", "AXIAL", "AP AXIAL", "XTABLE",
    "DECUBITUS", "SWIMMERS", "LEFT DECUBITUS", "RIGHT DECUBITUS",
)
_MODALITIES = (
    "CR", "CT", "DR", "DX", "IO", "MG", "MR", "NM", "OT", "PT", "PX", "RF", "RG", "SC", "US", "XA", "XC",
)
_BODY_PARTS = (
    "CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "STERNUM", "HEART", "ABDOMEN", "CHESTABDOMEN", "CLAVICLE",
    "PORT CHEST", "CHEST PORT", "CHEST_PORT", "CHEST AP", "CHEST PA", "CHEST LAT", "PORTABLE CHEST", "BABYGRAM",
    "SPINE", "TSPINE", "LSPINE", "CSPINE", "THORACIC SPINE", "SHOULDER", "SCAPULA", "PELVIS", "NECK", "HEAD", "SKULL",
    "WHOLEBODY", "BREAST", "ARM", "HAND", "LEG", "KNEE", "HIP", "FOOT", "ANKLE", "UP_EXM", "LOW_EXM",
)
# fmt: on
_WORDS = {
    "view": ("ViewPosition", frozenset(_VIEWS)),
    "modality": ("Modality", frozenset(_MODALITIES)),
    "body_part": ("BodyPartExamined", frozenset(_BODY_PARTS)),
    "sex": ("PatientSex", frozenset("MFO")),
}
_YEARS_PER = {"Y": 1, "M": 12, "W": 52, "D": 365}
_OLDEST = 90  # all who are as old or older: so few that their age could tell who they are


@dataclass(frozen=True)
class Header:
    """The elements of a frame: those of its file, and those that its functional groups give beside them.

    Attributes:
        parts: pydicom's data sets; the first that has an element counts.
        big_endian: whether bytes of tables are swapped.
    """

    parts: tuple[Any, ...]
    big_endian: bool = False

    @classmethod
    def of_frame(cls, dataset: Any, index: int, *, big_endian: bool) -> "Header":
        """Return the header of the frame with an index."""
        whole = cls((dataset,), big_endian)
        groups = [*whole.items("PerFrameFunctionalGroupsSequence")[index : index + 1]]
        groups += whole.items("SharedFunctionalGroupsSequence")[:1]
        inner = [item for group in groups for name in _GROUPS for item in cls((group,)).items(name)[:1]]
        return cls((dataset, *inner), big_endian)

    def value(self, keyword: str) -> Any:
        """Return an element's value, the first of several; None where it is missing or damaged."""
        for part in self.parts:
            try:
                value = part.get(keyword)
                if value is not None and not isinstance(value, str | bytes) and hasattr(value, "__getitem__"):
                    value = value[0] if len(value) else None
            except Exception:  # what pydicom raises depends on the element, and its words may quote it
                value = None
            if value is not None and value != "":
                return value
        return None

    def items(self, keyword: str) -> Sequence[Any]:
        """Return the items of a sequence; none where it is missing or damaged."""
        for part in self.parts:
            try:
                value = part.get(keyword)
                if value is not None and len(value):
                    return list(value)
            except Exception:
                continue
        return []

    def number(self, keyword: str) -> float | None:
        """Return a finite number; None for anything else."""
        try:
            number = float(self.value(keyword))
        except (TypeError, ValueError, OverflowError):
            return None
        return number if isfinite(number) else None

    def whole(self, keyword: str) -> int | None:
        """Return a whole number; None for anything else."""
        number = self.number(keyword)
        return int(number) if number is not None and number == int(number) else None

    def word(self, keyword: str) -> str:
        """Return text in capitals without what surrounds it; '' where there is none. It must not leave as it is."""
        value = self.value(keyword)
        return " ".join(value.upper().strip("\0 ").split()) if isinstance(value, str) else ""


def columns_of(header: Header) -> Mapping[str, str]:
    """Return what a header tells of an image: ``view``, ``modality``, ``body_part``, ``sex``, ``age`` in decades."""
    columns = {name: word for name, (keyword, known) in _WORDS.items() if (word := header.word(keyword)) in known}
    if decade := _decade(header.word("PatientAge")):
        columns["age"] = decade
    return columns


def _decade(age: str) -> str:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", age)
    if match is None:
        return ""
    years = int(match[1]) // _YEARS_PER[match[2]]
    return f"{_OLDEST}+" if years >= _OLDEST else f"{years // 10 * 10}-{years // 10 * 10 + 9}"


def rendering_of(header: Header, bits: int, *, signed: bool) -> Rendering:
    """Return the way from stored values to grey.

    Args:
        header: header of the frame.
        bits: bits of a stored value.
        signed: whether stored values may be negative.

    Raises:
        BadImageError: the modality transformation makes no sense: without it, the values mean nothing.
    """
    modality = _lookup(header, "ModalityLUTSequence", signed)
    if modality is None and header.items("ModalityLUTSequence"):
        raise BadImageError("a DICOM file whose modality LUT is damaged")
    slope, intercept = _rescale(header) if modality is None else (1.0, 0.0)
    # Once, whoever says it: in DX images, white at 0 is said twice, by MONOCHROME1 and by INVERSE.
    inverted = (
        header.word("PhotometricInterpretation") == "MONOCHROME1" or header.word("PresentationLUTShape") == "INVERSE"
    )
    negative = modality is None and (signed or intercept < 0 or slope < 0)
    voi = _lookup(header, "VOILUTSequence", negative) or _window(header)
    return Rendering(bits, signed, slope, intercept, modality, voi, inverted, _padding(header, bits, signed))


def _rescale(header: Header) -> tuple[float, float]:
    given = [header.value(keyword) for keyword in ("RescaleSlope", "RescaleIntercept")]
    slope, intercept = header.number("RescaleSlope"), header.number("RescaleIntercept")
    if (given[0] is not None and not slope) or (given[1] is not None and intercept is None):
        raise BadImageError("a DICOM file whose rescale slope or intercept is no number to compute with")
    return slope or 1.0, intercept or 0.0


def _window(header: Header) -> Window | None:
    center, width = header.number("WindowCenter"), header.number("WindowWidth")
    function = header.word("VOILUTFunction") or "LINEAR"
    if center is None or width is None or function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return None
    return Window(center, width, function) if width >= 1 or (width > 0 and function != "LINEAR") else None


def _padding(header: Header, bits: int, signed: bool) -> tuple[int, int] | None:
    first, last = header.whole("PixelPaddingValue"), header.whole("PixelPaddingRangeLimit")
    if first is None:
        return None
    ends = [_as_stored(value, bits, signed) for value in (first, first if last is None else last)]
    return min(ends), max(ends)


def _as_stored(value: int, bits: int, signed: bool) -> int:
    """Return a value that may have been written without its sign, or with one, as the pixels hold it."""
    if signed:
        return value - 2**16 if value >= 2**15 and bits <= 16 else value
    return value + 2**16 if value < 0 and bits <= 16 else value


def _lookup(header: Header, keyword: str, signed: bool) -> Lookup | None:
    """Return the first table of a sequence; None where it is missing or damaged."""
    try:
        item = header.items(keyword)[0]
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count or 2**16
        entries = _entries(item.LUTData, count, header.big_endian)
    except Exception:  # see Header.value
        return None
    if signed and first >= 2**15:
        first -= 2**16
    if not 1 <= bits <= 16 or len(entries) == 0 or not entries.any():
        return None
    return Lookup(first, entries[:count].astype(np.float64), bits)


def _entries(data: Any, count: int, big_endian: bool) -> Any:
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    # A table of entries of 8 bits may be packed, two to a word.
    packed = len(data) in (count, count + 1) and count > 1
    return np.frombuffer(data, np.uint8 if packed else ">u2" if big_endian else "<u2")

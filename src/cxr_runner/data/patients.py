"""Whose image is whose: patients as a source knows them, or as names of files tell."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_runner.base.numbers import list_few, plural
from cxr_runner.data.sources.names import compile_pattern

_BY_DATA = "as the data name them"
_MOST_OF_ONE = 0.5  # share of the images that one patient may have: more, and the pattern reads something else
_ENOUGH_NAMES = 10  # of fewer images, any number may be of one patient
ENOUGH = 0.5  # share of the names that a pattern has to match


@dataclass(frozen=True)
class KnownPattern:
    """How a public data set names patients.

    Attributes:
        words: what the names are known as.
        expression: matches a patient in the path of an image.
        key: what the match consists of.
        coarser: expression that matches fewer, larger patients in the same names; '' where there is none.
        coarser_key: what that match consists of.
    """

    words: str
    expression: str
    key: str = "patient"
    coarser: str = ""
    coarser_key: str = ""


KNOWN = (
    # Whether a number that recurs with another kind is another child is unsettled; on the official split 320 of 624
    # test images share a number with train, and none shares number and kind.
    KnownPattern(
        "Kermany et al.",
        r"person\d+(?:_[a-zA-Z]+)?|NORMAL2-IM-\d+|IM-\d+|(?:NORMAL|BACTERIA|VIRUS)-\d+(?=-\d+\.)",
        "number and kind",
        r"person\d+|NORMAL2-IM-\d+|IM-\d+|(?<=[A-Z]-)\d+(?=-\d+\.)",
        "number alone",
    ),
    KnownPattern("NIH ChestX-ray14", r"(?<![^/])000[0-3]\d{4}(?=_\d{3}\.)"),
    KnownPattern("CheXpert", r"patient\d{5}(?=/study\d+/)"),
    KnownPattern("MIMIC-CXR", r"(?<![^/])p\d{8}(?=/s\d{8}/)"),
)
"""Data sets whose names tell patients, in the order in which they are tried."""


@dataclass(frozen=True)
class Patients:
    """The patients of a data set.

    Attributes:
        keys: patient of each image; '' for all where patients are not known.
        key: what a patient is known by: ``patient``, or ``number and kind``.
        coarser: the same images with fewer, larger patients, where it is not settled which are right; else empty.
        coarser_key: what these are known by.
        origin: where the patients are known from; '' where they are not known.
        strangers: number of images that no pattern fits and nothing is known of: each is a patient of his own.
        problem: why patients are not known; '' where they are.
    """

    keys: tuple[str, ...]
    key: str = "patient"
    coarser: tuple[str, ...] = ()
    coarser_key: str = ""
    origin: str = ""
    strangers: int = 0
    problem: str = ""

    @property
    def named(self) -> bool:
        """Whether the data themselves name the patients."""
        return self.origin == _BY_DATA

    def said(self) -> str:
        """Return one phrase on where patients are known from; '' where they are not known."""
        if self.problem:
            return ""
        by = f", by {self.key}" if self.key != "patient" else ""
        strangers = (
            f"; {plural(self.strangers, 'image')} of nobody known, each a patient of its own" if self.strangers else ""
        )
        return f"patients {self.origin}{by}{strangers}"


NOBODY = Patients(())
"""The patients of no images."""


def find_patients(names: Sequence[str], known: Sequence[str], pattern: str | None) -> Patients:
    """Return the patients of images.

    Args:
        names: paths of the images in their source.
        known: patient of every image as the source knows them, '' where it does not.
        pattern: regular expression, searched for in the path of an image, and where that has no match in the last part
            of it alone; None tries those of :data:`KNOWN`. What its group ``patient`` (else its first group, else the
            whole expression) matches is the patient.

    Raises:
        UserError: the pattern is no regular expression.
    """
    compiled = compile_pattern("data.patient_pattern", pattern) if pattern is not None else None
    if any(known):
        read = ["" if compiled is None else _read(compiled, name) for name in names]
        keys = [one or other for one, other in zip(known, read, strict=True)]
        return _with_strangers(names, keys, _BY_DATA)
    if compiled is not None and pattern is not None:
        keys = [_read(compiled, name) for name in names]
        origin = "by data.patient_pattern"
        problem = _problem(names, keys, f"data.patient_pattern={pattern}")
        return Patients(("",) * len(names), problem=problem) if problem else _with_strangers(names, keys, origin)
    return _recognise(names)


def _recognise(names: Sequence[str]) -> Patients:
    """Try the known patterns on each name, that which fits the most names first."""
    tried = [(known, [_read(re.compile(known.expression), name) for name in names]) for known in KNOWN]
    tried.sort(key=lambda one: -sum(map(bool, one[1])))
    keys = [next(filter(None, of_name), "") for of_name in zip(*(keys for _, keys in tried), strict=True)]
    most = max(Counter(filter(None, keys)).values(), default=0)
    if _problem(names, keys, "") or (len(names) >= _ENOUGH_NAMES and most > _MOST_OF_ONE * len(names)):
        problem = "data.patient_pattern=null: the names fit no known data set; give a regular expression"
        return Patients(("",) * len(names), problem=problem)
    fitting = [known for known, of_known in tried if any(of_known)]
    patients = _with_strangers(
        names, keys, f"known from names like those of {' and '.join(one.words for one in fitting)}"
    )
    known = fitting[0]
    coarser: tuple[str, ...] = ()
    if known.coarser:
        read = [_read(re.compile(known.coarser), name) or key for name, key in zip(names, patients.keys, strict=True)]
        coarser = tuple(read) if len(set(read)) < len(set(patients.keys)) else ()
    return Patients(patients.keys, known.key, coarser, known.coarser_key, patients.origin, patients.strangers)


def _read(pattern: re.Pattern[str], name: str) -> str:
    """Return what a pattern matches in a path; '' where it matches nothing."""
    match = pattern.search(name) or pattern.search(name.rsplit("/", 1)[-1])
    group: int | str = "patient" if "patient" in pattern.groupindex else min(pattern.groups, 1)
    return (match[group] or "") if match else ""


def _problem(names: Sequence[str], keys: Sequence[str], said: str) -> str:
    """Say that too few names tell a patient; '' where enough do."""
    unknown = [name for name, key in zip(names, keys, strict=True) if not key]
    if len(unknown) <= ENOUGH * len(names) and len(unknown) < len(names):
        return ""
    return f"{said}: matches no patient in {len(unknown):,} of {len(names):,} names ({list_few(unknown, most=3)})"


def _with_strangers(names: Sequence[str], keys: Sequence[str], origin: str) -> Patients:
    filled = tuple(key or name for name, key in zip(names, keys, strict=True))
    return Patients(filled, origin=origin, strangers=sum(not key for key in keys))

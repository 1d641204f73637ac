"""Sources of images, behind one interface: the Hub, folders, phantoms.

A source lists its images cheaply and loads them one at a time; it knows nothing of stores, splits made by this
program, or training.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # to list images takes no arrays
    from cxr_runner.data.decode import Decoded

SPLITS = ("train", "val", "test")
ROWS = "rows"  # what a source passes over, where these are no files
SYNTHETIC = "synthetic phantom data"
TIDY = "names of images must be valid UTF-8 on one line"
_UNTIDY = re.compile(r"[\x00-\x1f\ud800-\udfff]")


@dataclass(frozen=True)
class About:
    """What has to be said wherever results on the data are shown.

    Attributes:
        title: short name for people.
        citation: reference to cite; empty where nobody gave one.
        licence: licence of the images; empty where nobody gave one.
        synthetic: True where no patient was ever imaged.
    """

    title: str
    citation: str = ""
    licence: str = ""
    synthetic: bool = False


def data_heading(about: About) -> str:
    """Return the title of a data set, with the words that mark it as synthetic where it is."""
    if not about.synthetic or SYNTHETIC in about.title.lower():
        return about.title
    return f"{about.title} ({SYNTHETIC})"


def untidy(names: Iterable[str]) -> list[str]:
    """Return those names, escaped, that no table can hold: with control characters, or no valid text; see ``TIDY``."""
    return [ascii(name) for name in names if _UNTIDY.search(name)]


@dataclass(frozen=True)
class Record:
    """One image as its source lists it, before decoding.

    Attributes:
        name: unique within the source, with forward slashes.
        label: 1 for the positive class, 0 for the negative.
        split: ``train``, ``val`` or ``test`` where the source brings splits, else None.
        patient: patient of the image where the source knows; None leaves it to ``data.patient_pattern`` and the name.
        columns: what else the source knows, by name; subgroups are made of these.
    """

    name: str
    label: int
    split: str | None
    # Not printed: the text of a record is part of the signature of a folder, and thereby of stores that are in use.
    patient: str | None = field(default=None, repr=False)
    # What else the source knows of the image, by name, as text: view, sex, age ... Not printed, for the same reason.
    columns: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class PassedOver:
    """Files, or rows of a table, that a source leaves out for one reason.

    Attributes:
        what: suffix of the files, e.g. ``.dcm``, or what else tells them apart; '' for files without a suffix.
        reason: why they are left out, in a few words.
        number: how many there are.
    """

    what: str
    reason: str
    number: int


@dataclass(frozen=True)
class Listing:
    """All images of a source, in an order that is the same every time.

    Attributes:
        records: one record an image.
        class_names: names of the negative and the positive class in the source.
        remarks: lines that whoever uses the images has to be told, each time; kept with the decoded images.
        passed_over: what is left out.
        notes: lines on what was made of the source without being asked for; kept with the decoded images.
    """

    records: tuple[Record, ...]
    class_names: tuple[str, str]
    # Not printed, for the same reason as a patient.
    remarks: tuple[str, ...] = field(default=(), repr=False, compare=False)
    passed_over: tuple[PassedOver, ...] = field(default=(), repr=False, compare=False)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class LoadedImage:
    """One decoded image.

    Attributes:
        decoded: the image, in the size that the source has.
        digest: hex SHA-256 of the encoded bytes, empty where the image never was a file.
        patient: patient of the image where the file itself tells, as DICOM files do; '' where it does not.
        columns: what else the file tells, by name, as text.
    """

    decoded: "Decoded"
    digest: str
    patient: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """What every source answers. One that derives from it need not answer what has a default."""

    @property
    def about(self) -> About:
        """Title, citation and licence; known without touching the data."""

    def signature(self) -> str:
        """Return a string that differs whenever the listing or any image may differ.

        It is cheap (no decoding, no heavy imports, no network but to ask what a branch stands at), because every start
        of the program asks for it. It names the store: a source whose signature changes without need has all its
        images decoded again.

        Raises:
            UserError: the data is missing or its layout is not valid.
        """

    def scan(self) -> Listing:
        """List the images; may download.

        Raises:
            UserError: the data is missing or its layout is not valid.
        """

    def passed_over(self) -> tuple[PassedOver, ...] | None:
        """Return what is left out now; None where the listing that the store was built from tells it for good.

        Files that are left out may come and go without a change of the signature.
        """
        return None

    def notes(self) -> tuple[str, ...]:
        """Return lines on what the source is now and had to guess, beside the notes of its listing."""
        return ()

    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Return what the source knows of the images now, by name; empty where it knows nothing beside their files."""
        return {}

    def load(self, index: int) -> LoadedImage:
        """Load one image; called from several threads at once, always after :meth:`scan`.

        Args:
            index: position in the listing.

        Raises:
            BadImageError: the image cannot be read.
        """

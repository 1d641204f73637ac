"""Where images come from: three sources behind one interface.

A source lists its images cheaply and loads them one at a time; it knows nothing of stores, splits made by this
program, or training.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # to list images takes no arrays
    import numpy as np
    from numpy.typing import NDArray
from cxr_runner.data.about import About

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """One image as its source lists it, before decoding.

    Attributes:
        name: unique within the source, with forward slashes; it carries the patient key.
        label: 1 for the positive class, 0 for the negative.
        split: ``train``, ``val`` or ``test`` where the source brings its own splits, else None.
    """

    name: str
    label: int
    split: str | None


@dataclass(frozen=True)
class Listing:
    """All images of a source, in an order that is the same every time.

    Attributes:
        records: one entry an image.
        class_names: the negative and the positive class, as the source calls them.
    """

    records: tuple[Record, ...]
    class_names: tuple[str, str]


@dataclass(frozen=True)
class LoadedImage:
    """One decoded image.

    Attributes:
        grey: uint8 array of shape (height, width), 0 black to 255 white, at the source's own size.
        digest: hex SHA-256 of the encoded bytes, empty where the image never was a file.
    """

    grey: "NDArray[np.uint8]"
    digest: str


class Source(Protocol):
    """What every source answers."""

    @property
    def about(self) -> About:
        """Title, citation and licence; known without touching the data."""

    def signature(self) -> str:
        """Return a string that differs whenever the listing or any image may differ.

        It is cheap (no decoding, no network, no heavy imports), because every start of the program asks for it.

        Raises:
            UserError: the data is not there or not laid out as it must be.
        """

    def scan(self) -> Listing:
        """List the images; may download.

        Raises:
            UserError: the data is not there or not laid out as it must be.
        """

    def load(self, index: int) -> LoadedImage:
        """Load one image; called from several threads at once, always after :meth:`scan`.

        Args:
            index: position in the listing.

        Raises:
            BadImageError: the image cannot be read.
        """

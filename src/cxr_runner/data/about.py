"""What has to be said wherever results on a data set are shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # to list images takes no arrays
    pass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


SYNTHETIC = "synthetic phantom data"


@dataclass(frozen=True)
class About:
    """What has to be said wherever results on the data are shown.

    Attributes:
        title: a short name for people.
        citation: how to cite it; empty where nobody said.
        licence: its licence; empty where nobody said.
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

"""A figure of the report, before it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cxr_runner.report.missing import Missing

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure of the report.

    Attributes:
        name: name of its files, without ending, e.g. ``fig09``.
        title: title with the study's number.
        text: what it shows, and what the study reads from its figure.
        alt: what a person who cannot see it should know.
        notes: what has to be said of the runs behind it.
        missing: runs that it lacks.
        draw: draws it; None where nothing can be drawn yet.
        look: class on the page: ``photo`` keeps its colours in the dark, ``narrow`` fits a narrow screen.
        draw_column: draws it as wide as a column of a paper; None where there is no such form.
    """

    name: str
    title: str
    text: str
    alt: str = ""
    notes: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    draw: "Callable[[], Figure] | None" = None
    look: Literal["", "photo", "narrow"] = ""
    draw_column: "Callable[[], Figure] | None" = None

    def suffixed(self, suffix: str) -> "Picture":
        """Return the same picture under a name with a suffix."""
        return replace(self, name=self.name + suffix)

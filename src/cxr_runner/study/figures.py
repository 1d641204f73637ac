"""The figures of a study: which rows each compares, and what the study reads from it."""

from dataclasses import dataclass
from typing import Literal

from cxr_runner.study.claims import RowId

FigureKind = Literal["sample", "balance", "listing", "curves", "confusion", "metrics", "bars", "duration"]


@dataclass(frozen=True)
class SampleView:
    """Which images of a data set stand for a figure of the study that shows some.

    Attributes:
        text: what they show.
        prepared: whether they are shown as models see them, or else as their source gave them.
        most: at most so many of them; None for all.
    """

    text: str
    prepared: bool
    most: int | None = None


@dataclass(frozen=True)
class StudyFigure:
    """One figure of the study.

    Attributes:
        number: number that the study gives it.
        kind: kind of figure; ``curves`` are loss and accuracy of train and val by epoch.
        caption: caption in our words.
        shows: what the study reads from it, '' where it does not say.
        rows: ids of the models that it compares, in the order of what varies; empty where it is about the data.
        varies: what differs between the rows, '' where there is nothing to compare.
        conditions: how the models of a table of metrics were trained, in a few words.
        samples: images of the data set that stand for it; None where it is no picture of images.
    """

    number: int
    kind: FigureKind
    caption: str
    shows: str = ""
    rows: tuple[RowId, ...] = ()
    varies: str = ""
    conditions: str = ""
    samples: SampleView | None = None

    @property
    def name(self) -> str:
        """The name of its files in a report, without ending."""
        return f"fig{self.number:02}"

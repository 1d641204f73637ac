"""The images that runs get wrong, for the page."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_number, list_few
from cxr_runner.base.tables import Table
from cxr_runner.report.class_counts import class_names
from cxr_runner.report.compare.mistakes import Mistakes
from cxr_runner.report.compare.sized_comparison import Comparison

if TYPE_CHECKING:  # a section is handed what was compared
    from cxr_runner.report.compare.comparison import DataSetComparison


_MOST_LISTED = 6  # configurations named below an image
_HARDLY = 0.9  # of the runs that get an image wrong: hardly any gets it right
_GONE = "The store of these images is gone, so that none is shown."
_WITHHELD = "None is shown: images were left out of this report on request (--no-images)."


@dataclass(frozen=True)
class ShownImage:
    """One image.

    Attributes:
        source: address of its thumbnail as a data URI; '' where there is none.
        size: what it was made of; '' where it is not shown.
        name: its name.
        truth: name of its class.
        said: by configuration, how many of its runs get it wrong, and their mean logit.
    """

    source: str
    size: str
    name: str
    truth: str
    said: tuple[str, ...]


@dataclass(frozen=True)
class MistakesSection:
    """The images that runs get wrong.

    Attributes:
        sentences: of each class, how many images no run, or hardly any, gets right.
        groups: images below a heading that says what they have in common.
        note: why there are no thumbnails; '' where there are.
        table: the same images for files.
    """

    sentences: list[str]
    groups: dict[str, list[ShownImage]]
    note: str
    table: Table

    def suffixed(self, suffix: str) -> "MistakesSection":
        """Return the same with a suffix to the name of the table."""
        return replace(self, table=self.table.suffixed(suffix))


def mistakes_section(compared: Comparison, whole: "DataSetComparison") -> MistakesSection | None:
    """Show the images that most runs get wrong, and those that configurations disagree on; None without any.

    Args:
        compared: the configurations.
        whole: all that the runs on the data set come to.
    """
    mistakes, pair = compared.mistakes, compared.pair
    if mistakes is None:
        return None
    groups = {"Wrong in most runs": mistakes.hardest}
    if len(mistakes.configurations) > 1:
        groups["Configurations disagree"] = mistakes.disputed
    if pair and len(mistakes.configurations) > 2:
        groups[f"More often right with {pair.first.short} than with {pair.second.short}"] = pair.only_first
        groups[f"More often right with {pair.second.short} than with {pair.first.short}"] = pair.only_second
    chosen = {title: rows for title, rows in groups.items() if rows}
    if not chosen:
        return None
    shown = {title: [_image(row, mistakes, compared, whole) for row in rows] for title, rows in chosen.items()}
    note = "" if whole.thumbnails else _WITHHELD if whole.runs.withheld.images else _GONE
    return MistakesSection(_never_right(mistakes, whole), shown, note, _table(chosen, mistakes, compared, whole))


def _never_right(mistakes: Mistakes, whole: "DataSetComparison") -> list[str]:
    """Say of each class how many of its images no run gets right, and how many hardly any does."""
    predictions, classes = whole.runs.predictions, class_names(whole.runs.facts)
    never = np.isclose(mistakes.hardness, 1)
    hardly = ~never & (np.nan_to_num(mistakes.hardness) >= _HARDLY)
    kinds = {"No run gets these right": never, f"At least {_HARDLY:.0%} of the runs get these wrong": hardly}
    said = []
    for words, chosen in kinds.items():
        parts = []
        for code, name in enumerate(classes):
            of_class = (predictions.labels == code) & np.isfinite(mistakes.hardness)
            rows = np.flatnonzero(chosen & of_class)
            listed = list_few([printable(predictions.names[row]) for row in rows], most=3)
            parts.append(f"{len(rows)} of {of_class.sum()} {name}" + f" ({listed})" * bool(listed))
        if chosen.any():
            said.append(f"{words}: {'; '.join(parts)}.")
    return said


def _image(row: int, mistakes: Mistakes, compared: Comparison, whole: "DataSetComparison") -> ShownImage:
    thumbnail = whole.thumbnails.get(row)
    source = f"data:image/jpeg;base64,{base64.b64encode(thumbnail.content).decode()}" if thumbnail else ""
    size = thumbnail.words if thumbnail else ""
    labels = compared.shorts
    said = [
        f"{labels[name]}: {wrong:.0%} wrong, logit {format_number(logit, '+.2f')}"
        for name, wrong, logit in mistakes.of(row)
        if not math.isnan(wrong)
    ]
    more = len(said) - _MOST_LISTED
    shown = [*said[:_MOST_LISTED], *([f"{more} more in the table"] if more > 0 else [])]
    predictions = whole.runs.predictions
    truth = class_names(whole.runs.facts)[int(predictions.labels[row])]
    return ShownImage(source, size, printable(predictions.names[row]), truth, tuple(shown))


def _table(
    groups: Mapping[str, Sequence[int]], mistakes: Mistakes, compared: Comparison, whole: "DataSetComparison"
) -> Table:
    predictions, classes = whole.runs.predictions, class_names(whole.runs.facts)
    entries, shown = [], []
    for title, rows in groups.items():
        for row in rows:
            truth = classes[int(predictions.labels[row])]
            for name, wrong, logit in mistakes.of(row):
                image, label = printable(predictions.names[row]), compared.labels[name]
                said = {"group": title, "image": image, "class": truth, "configuration": label}
                entries.append({**said, "wrong": wrong, "logit": logit})
                cells = ("" if math.isnan(wrong) else f"{wrong:.0%}", format_number(logit, "+.2f"))
                shown.append([title, image, truth, label, *cells])
    headings = ["images", "image", "class", "configuration", "runs that are wrong", "mean logit"]
    caption = (
        "Test images that most runs get wrong, and those that configurations disagree on: the share of the runs tested "
        "on an image that are wrong, and their mean logit (positive above 0). Runs that collapsed are not among them."
    )
    data = pd.DataFrame(entries)
    return Table(
        "mistakes",
        caption,
        data,
        pd.DataFrame(shown, columns=headings),
        tuple(headings[:4]),
        "Images that runs get wrong",
    )

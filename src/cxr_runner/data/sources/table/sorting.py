"""The images that the rows of a table name: each with one label, split and patient, or a reason why it is left out."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner.data.sources import SPLITS
from cxr_runner.data.sources.names import split_of
from cxr_runner.data.sources.table.combine import CONTRADICTORY, Rule, combine_labels, only_value

if TYPE_CHECKING:
    from cxr_runner.data.sources.table.columns import TableColumns
    from cxr_runner.data.sources.table.finder import Finder
    from cxr_runner.data.sources.walk import File

NO_FILE, NO_LIST, NO_SPLIT = "no such image below data.root", "in no list of data.split_files", "no split"
SEVERAL_FILES = "several images of that name below data.root"
TWO_SPLITS, TWO_PATIENTS = "rows with different splits", "rows with different patients"

_NOBODY = frozenset({"na", "n/a", "nan", "none", "null", "unknown", "-", "?"})

Row = Mapping[str, str]


@dataclass(frozen=True)
class Image:
    """One image with what its rows say of it."""

    file: "File"
    label: int
    split: str | None
    patient: str
    row: Row


@dataclass
class Sorting:
    """Sorts the rows of a table into images; counts the rows that are left out, by reason.

    Attributes:
        columns: the columns of the table.
        finder: finds the files.
        label: returns the label of a text, or the reason why it has none.
        rule: what becomes of rows that contradict each other.
        lists: split of each file that a list names; None where there are no lists.
        left_out: number of rows by reason.
    """

    columns: "TableColumns"
    finder: "Finder"
    label: Callable[[str], int | str]
    rule: Rule
    lists: "Mapping[File, str] | None"
    left_out: Counter[str]

    def sort(self, rows: Sequence[Row]) -> list[Image]:
        """Return the images, sorted by name."""
        by_file: dict[File, list[Row]] = defaultdict(list)
        for row in rows:
            candidates = self.finder.candidates(row[self.columns.image])
            if len(candidates) != 1:
                self.left_out[SEVERAL_FILES if candidates else NO_FILE] += 1
            else:
                by_file[candidates[0]].append(row)
        return [image for file in sorted(by_file) if (image := self._image(file, by_file[file])) is not None]

    def _image(self, file: "File", rows: Sequence[Row]) -> Image | None:
        label = combine_labels([self.label(row[self.columns.label]) for row in rows], self.rule)
        split = self._split(file, rows)
        patient = self._value(self.columns.patient, rows)
        reasons = [reason for reason in (label, split) if isinstance(reason, str) and reason not in SPLITS]
        if patient is None:
            reasons.append(TWO_PATIENTS)
        if reasons or not isinstance(label, int) or patient is None:
            self.left_out[str(reasons[0])] += len(rows)
            return None
        return Image(file, label, split, patient_as_text(patient), rows[0])

    def _split(self, file: "File", rows: Sequence[Row]) -> str | None:
        """Return the split of an image, None where the table brings none, or the reason why it has none."""
        if self.lists is not None:
            return self.lists.get(file, NO_LIST)
        if self.columns.split is None:
            return None
        value = self._value(self.columns.split, rows)
        if value is None:
            return TWO_SPLITS
        return split_of(value) or (NO_SPLIT if not value else f"split {value}")

    @staticmethod
    def _value(header: str | None, rows: Sequence[Row]) -> str | None:
        return "" if header is None else only_value([row[header] for row in rows])


def patient_as_text(text: str) -> str:
    """Return a patient as text: ``3.0``, made of ``3`` by spreadsheets, is 3; leading zeros stay; ``NA`` is nobody."""
    if text.casefold() in _NOBODY:
        return ""
    return re.sub(r"^(\d+)\.0$", r"\1", text)


def is_contradiction(reason: str) -> bool:
    """Return whether rows of an image contradict each other."""
    return reason in (CONTRADICTORY, TWO_SPLITS, TWO_PATIENTS)

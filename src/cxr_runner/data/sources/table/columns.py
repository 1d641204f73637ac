"""Which column of a table holds what: as the user says, else where a header leaves no doubt."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.config.data_schema import TableConfig
from cxr_runner.data.sources.names import split_of
from cxr_runner.data.sources.table.finder import Finder
from cxr_runner.data.sources.table.rows import TableRows

_IMAGE = ("image", "imageindex", "imageid", "imagepath", "imagename", "path", "filename", "filepath", "file")
_USUAL: Mapping[str, Sequence[str]] = {
    "image_column": _IMAGE,
    "label_column": ("label", "labels", "findinglabels", "finding", "findings", "target", "class", "diagnosis"),
    "patient_column": ("patient", "patientid", "patientno", "patientnumber", "subject", "subjectid"),
    "split_column": ("split", "subset"),
    "columns.view": ("view", "viewposition", "appa"),
    "columns.sex": ("sex", "patientsex", "gender", "patientgender"),
    "columns.age": ("age", "patientage"),
}
_LOOKED_AT = 1000  # rows from which the column of the images is guessed
_MOST_SPLITS = 6  # spellings of three names
_FOUND = 0.5  # share of these that must name a file


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table by what they hold.

    Attributes:
        image: header of the column with the names of the images.
        label: header of the column with the labels.
        patient: header of the column with the patients, if any.
        split: header of the column with the splits, if any.
        canonical: headers by ``view``, ``sex``, ``age`` and ``patient``, as filters and subgroups call them.
        guessed: phrases that say which columns were guessed.
    """

    image: str
    label: str
    patient: str | None
    split: str | None
    canonical: Mapping[str, str]
    guessed: tuple[str, ...]


def locate_columns(config: TableConfig, table: TableRows, finder: Finder) -> TableColumns:
    """Find the columns of a table.

    Args:
        config: headers as the user gives them.
        table: the table.
        finder: finds the files that a column may name.

    Raises:
        UserError: there is no such column, or it is not clear which one is meant.
    """
    found: dict[str, str] = {}
    guessed = []
    for key, given in _given(config).items():
        header = pick_header(f"data.{key}", given, table.headers) if given is not None else _usual(key, table.headers)
        if header is None and key == "image_column":
            header = image_header(table, finder)
        if header is None and key == "split_column":
            header = _of_splits(table)
        if header is not None:
            found[key] = header
            guessed += [f"data.{key}={header}"] if given is None else []
    for key, holds in (("image_column", "the names of the images"), ("label_column", "the labels")):
        if key not in found:
            valid = f"say which column holds {holds}: {list_few(list(table.headers), most=15)}"
            raise UserError.for_key(f"data.{key}", None, valid)
    canonical = {name: found[f"columns.{name}"] for name in ("view", "sex", "age") if f"columns.{name}" in found}
    if "patient_column" in found:
        canonical["patient"] = found["patient_column"]
    return TableColumns(
        found["image_column"],
        found["label_column"],
        found.get("patient_column"),
        found.get("split_column"),
        canonical,
        (f"columns taken by their headers: {', '.join(guessed)}",) if guessed else (),
    )


def image_header(table: TableRows, finder: Finder) -> str | None:
    """Return the header of the column that names images, by a usual header or by content; None where none is clear."""
    return _usual("image_column", table.headers) or _by_content(table, finder)


def pick_header(key: str, given: str, headers: Sequence[str]) -> str:
    """Return the header that a user means, in any case and with any spaces.

    Args:
        key: key of the configuration, for messages.
        given: what the user gives.
        headers: headers of the table.

    Raises:
        UserError: there is no such column.
    """
    if given in headers:
        return given
    alike = [header for header in headers if _plain(header) == _plain(given)]
    if len(alike) == 1:
        return alike[0]
    near = get_close_matches(_plain(given), [_plain(header) for header in headers], n=1)
    meant = next((header for header in headers if near and _plain(header) == near[0]), None)
    nearest = f", did you mean {meant}?" if meant else ","
    raise UserError.for_key(key, given, f"no such column{nearest} valid are {list_few(list(headers), most=15)}")


def _given(config: TableConfig) -> dict[str, str | None]:
    return {
        "image_column": config.image_column,
        "label_column": config.label_column,
        "patient_column": config.patient_column,
        "split_column": config.split_column,
        "columns.view": config.columns.view,
        "columns.sex": config.columns.sex,
        "columns.age": config.columns.age,
    }


def _usual(key: str, headers: Sequence[str]) -> str | None:
    """Return the only header that is usual for a column."""
    usual = [header for header in headers if _plain(header) in _USUAL[key]]
    return usual[0] if len(usual) == 1 else None


def _by_content(table: TableRows, finder: Finder) -> str | None:
    """Return the only column most of whose first values name files."""
    rows = table.rows[:_LOOKED_AT]
    shares = {
        header: sum(bool(row[position]) and finder.find(row[position]) is not None for row in rows)
        for position, header in enumerate(table.headers)
    }
    found = [header for header, number in shares.items() if number > _FOUND * max(1, len(rows))]
    return found[0] if len(found) == 1 else None


def _of_splits(table: TableRows) -> str | None:
    """Return the only column all of whose values name splits, and more than one."""
    found = []
    for position, header in enumerate(table.headers):
        values = {row[position] for row in table.rows} - {""}
        if 2 <= len(values) <= _MOST_SPLITS and all(map(split_of, values)):
            found.append(header)
    return found[0] if len(found) == 1 else None


def _plain(header: str) -> str:
    return re.sub(r"[\W_]+", "", header.casefold())

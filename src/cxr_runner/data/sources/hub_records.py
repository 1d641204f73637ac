"""The images in the rows of a set: labels of two classes, splits, unique names; other rows are counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few, plural
from cxr_runner.data.sources import PassedOver, Record
from cxr_runner.data.sources.names import fold, split_of

if TYPE_CHECKING:
    from cxr_runner.data.sources.classes import Classes
    from cxr_runner.data.sources.hub_rows import Rows
    from cxr_runner.data.sources.hub_set import HubSet

_NO_LABEL, _NO_SPLIT = "without a label", "in no split that is known"


class FileRows(NamedTuple):
    """The rows of a file, and the split that it belongs to."""

    split: str | None
    rows: "Rows"


class Listed(NamedTuple):
    """The images of a set.

    Attributes:
        records: one an image.
        places: of each record, the position of its file and its row there.
        passed_over: rows that are left out, counted.
        notes: lines on what was made of the rows without being asked for.
    """

    records: list[Record]
    places: list[tuple[int, int]]
    passed_over: tuple[PassedOver, ...]
    notes: tuple[str, ...]


def list_classes(files: Sequence[FileRows]) -> list[str]:
    """Return the classes that rows have, as each is first spelled, in the order of their numbers if they have any."""
    found = {label for file in files for label in file.rows.labels if label is not None}
    numbered = [name for file in files for name in file.rows.class_names or () if name in found]
    spelled: dict[str, str] = {}
    for name in [*numbered, *sorted(found)]:
        spelled.setdefault(fold(name), name)
    return list(spelled.values())


def list_records(files: Sequence[FileRows], classes: "Classes", ignored: Iterable[str], described: "HubSet") -> Listed:
    """List the images of a set.

    Args:
        files: what was read, in order.
        classes: how the labels become two classes.
        ignored: classes that ``data.ignore`` leaves out.
        described: the set.

    Raises:
        UserError: no row is in a split, or more is passed over than is allowed.
    """
    left_out = set(map(fold, ignored))
    if described.columns.split is not None:
        _check_splits(files, described.columns.split)
    counted: Counter[tuple[str, str]] = Counter()
    records: list[Record] = []
    places: list[tuple[int, int]] = []
    for place, name, split, label, patient in _rows(files):
        if label is None:
            counted["rows", _NO_LABEL] += 1
        elif fold(label) not in classes.labels:
            counted[f"rows of {label}", "in data.ignore" if fold(label) in left_out else "of another class"] += 1
        elif split == "":
            counted["rows", _NO_SPLIT] += 1
        else:
            records.append(Record(name, classes.labels[fold(label)], split, patient))
            places.append(place)
    _check_unused(counted, len(records), described)
    notes = tuple(dict.fromkeys(note for file in files for note in file.rows.notes))
    if records and not described.preset and {record.split for record in records} == {"train"}:
        # What brings no splits of its own is called train on the Hub.
        records = [Record(record.name, record.label, None, record.patient) for record in records]
        notes += ("all images are in train, which is taken as no splits",)
    unique = _unique(record.name for record in records)
    records = [Record(name, one.label, one.split, one.patient) for name, one in zip(unique, records, strict=True)]
    passed_over = tuple(PassedOver(what, why, number) for (what, why), number in sorted(counted.items()))
    return Listed(records, places, passed_over, notes)


def _rows(
    files: Sequence[FileRows],
) -> Iterator[tuple[tuple[int, int], str, str | None, str | None, str | None]]:
    """Yield place, name, split, label and patient of every row; the split is '' where a column tells none."""
    numbers: Counter[str] = Counter()  # rows of a split are counted on from file to file
    for position, (of_file, rows) in enumerate(files):
        group = of_file or "rows"
        splits = [of_file] * len(rows.labels) if rows.splits is None else [split_of(one) or "" for one in rows.splits]
        columns = zip(rows.names, splits, rows.labels, rows.patients, strict=True)
        for row, (name, split, label, patient) in enumerate(columns):
            yield (position, row), name or f"{group}/{numbers[group]}", split, label, patient
            numbers[group] += 1


def _check_splits(files: Sequence[FileRows], column: str) -> None:
    values = {value for file in files for value in file.rows.splits or ()}
    if not any(map(split_of, values)):
        valid = f"names no split but {list_few(sorted(values))}; valid are train, val (valid, validation, dev) and test"
        raise UserError.for_key("data.split_column", column, valid)


def _check_unused(counted: Counter[tuple[str, str]], num_records: int, described: "HubSet") -> None:
    """Refuse a set of which too large a share is passed over without being asked for."""
    unused = {why: counted["rows", why] for why in (_NO_LABEL, _NO_SPLIT) if counted["rows", why]}
    number, total = sum(unused.values()), sum(unused.values()) + num_records
    if number > described.allow_unused * total:
        listed = " and ".join(f"{count:,} {why}" for why, count in unused.items())
        valid = f"{number:,} of {plural(total, 'row')} would be passed over ({listed}); allow more"
        raise UserError.for_key("data.allow_unused", described.allow_unused, valid)


def _unique(names: Iterable[str]) -> Iterator[str]:
    """Give names that come again their number as a folder in front."""
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{seen[name]}/{name}"

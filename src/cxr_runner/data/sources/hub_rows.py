"""The rows of a table: encoded images, and what the columns beside them say of each."""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cxr_runner.base.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from cxr_runner.data.sources.hub_columns import Found, Schema


@dataclass(frozen=True)
class Rows:
    """What a table holds, one entry a row.

    Attributes:
        images: encoded images, as one Arrow column of bytes; null where there is none.
        labels: names of classes; None where there is none.
        splits: what the split column says, '' where it says nothing; None without such a column.
        patients: patients; None where they are not known.
        names: paths of images; None where no column tells.
        class_names: names of the classes in the order of their numbers, where labels are numbers with names.
        notes: lines on columns that were guessed.
    """

    images: "pa.ChunkedArray"
    labels: list[str | None]
    splits: list[str] | None
    patients: list[str | None]
    names: list[str | None]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_rows(table: "pa.Table", schema: "Schema", found: "Found") -> Rows:
    """Take a table apart.

    Args:
        table: the columns that are needed.
        schema: what is known of them.
        found: which is which.

    Raises:
        UserError: a label is no name of a class, or the images are elsewhere.
    """
    images, paths = _split_images(table[found.image], is_struct=found.image in schema.images)
    schema.check_inside(found.image, len(images), len(images) - images.null_count, sum(map(bool, paths)))
    nothing = [None] * len(table)
    named_patients = table[found.patient].to_pylist() if found.patient else nothing
    given = table[found.name].to_pylist() if found.name else nothing
    # The number of a row in some table says less than a path, if both are there.
    first, second = (paths, given) if found.name and found.name.lower() == "id" else (given, paths)
    return Rows(
        images,
        _named(table, found.label, schema, "data.label_column"),
        [one or "" for one in _named(table, found.split, schema, "data.split_column")] if found.split else None,
        [None if patient is None else str(patient).strip() or None for patient in named_patients],
        [_shorten(one) or _shorten(other) for one, other in zip(first, second, strict=True)],
        schema.class_names.get(found.label),
        found.notes,
    )


def _split_images(column: "pa.ChunkedArray", *, is_struct: bool) -> tuple["pa.ChunkedArray", list[Any]]:
    """Return the bytes of images, without copying them, and their paths."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    if not is_struct:
        return column, [None] * len(column)
    has_paths = any(field.name == "path" for field in column.type)
    paths = pc.struct_field(column, "path").to_pylist() if has_paths else [None] * len(column)
    return pc.struct_field(column, "bytes"), paths


def _named(table: "pa.Table", column: str, schema: "Schema", key: str) -> list[str | None]:
    """Return the names of classes or splits as text; None where a row has none, which ``datasets`` writes as -1."""
    values: list[Any] = table[column].to_pylist()
    class_names = schema.class_names.get(column)
    if class_names is None:
        return [_text(value, column, key) for value in values]
    names: dict[Any, str | None] = {None: None, -1: None, **dict(enumerate(class_names))}
    if strange := sorted({value for value in values if value not in names}):
        valid = f"holds {strange[0]}, but its classes have the numbers 0 to {len(class_names) - 1}"
        raise UserError.for_key(key, column, valid)
    return [names[value] for value in values]


def _text(value: Any, column: str, key: str) -> str | None:
    """Return a label as text. A column of numbers with gaps comes as floats, which are no less numbers of classes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if not value.is_integer():
            raise UserError.for_key(key, column, f"holds {value:g}, which is a measurement and no class")
        value = int(value)
    return None if value is None else str(value).strip() or None


def _shorten(path: Any) -> str | None:
    """Return class and file of a path: what stands before them is a folder of the machine that wrote it."""
    parts = PurePosixPath("" if path is None else str(path)).parts[-2:]
    return "/".join(parts) if parts and PurePosixPath(*parts).name else None

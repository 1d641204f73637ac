"""Which columns hold images, labels, splits, patients and names: those asked for, or the ones without doubt."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources.names import fold

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from cxr_runner.data.sources.hub_set import Columns

_LABELS = ("label", "labels", "class")
_NAMES = ("image_file_path", "file_name", "filename", "path")
_SPLITS, _PATIENTS = ("split", "subset"), ("patient", "patientid", "subject", "subjectid")
_PLACES = (*_NAMES, "image", "img", "image_path", "file_path", "file", "url", "image_url")  # of images elsewhere


@dataclass(frozen=True)
class Schema:
    """The columns of a file.

    Attributes:
        fields: Arrow types by name.
        class_names: names of the classes of those columns whose numbers stand for classes.
    """

    fields: Mapping[str, "pa.DataType"]
    class_names: Mapping[str, tuple[str, ...]]

    @property
    def images(self) -> list[str]:
        """Columns that hold encoded images with their paths, as ``datasets`` writes them."""
        return [name for name, kind in self.fields.items() if _is_image_struct(kind)]

    def check_inside(self, column: str, num_rows: int, num_images: int, num_paths: int) -> None:
        """Refuse a file of which every image is but a path.

        Args:
            column: column of the images.
            num_rows: number of rows.
            num_images: number of those with bytes.
            num_paths: number of those with a path.

        Raises:
            UserError: it is one.
        """
        if num_rows and not num_images and num_paths:
            raise UserError.for_key("data.image_column", column, _elsewhere(column))


@dataclass(frozen=True)
class Found:
    """The columns to read.

    Attributes:
        image: encoded images.
        label: classes.
        split: splits, None where the files tell them.
        patient: patients, None where no column tells them.
        name: paths of images, None where no column tells them.
        notes: which were guessed.
    """

    image: str
    label: str
    split: str | None = None
    patient: str | None = None
    name: str | None = None
    notes: tuple[str, ...] = ()

    def listed(self) -> list[str]:
        """Return all of them, each once."""
        columns = (self.name, self.image, self.label, self.split, self.patient)
        return list(dict.fromkeys(column for column in columns if column is not None))


def read_schema(schema: "pa.Schema") -> Schema:
    """Read the types of a file's columns, and the classes that ``datasets`` has written beside them."""
    import pyarrow as pa

    features = _read_features((schema.metadata or {}).get(b"huggingface"))
    class_names = {}
    for name in schema.names:
        numbers = pa.types.is_integer(schema.field(name).type) if schema.names.count(name) == 1 else False
        if numbers and (names := _class_names(features.get(name))):
            class_names[name] = names
    fields = {name: schema.field(number).type for number, name in enumerate(schema.names)}
    return Schema(fields, class_names)


def _is_image_struct(kind: "pa.DataType") -> bool:
    """Return whether a column holds ``bytes`` and perhaps ``path``."""
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and any(field.name == "bytes" and _is_binary(field.type) for field in kind)


def _is_binary(kind: "pa.DataType") -> bool:
    """Return whether values are bytes."""
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: "pa.DataType") -> bool:
    """Return whether values are texts."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def find_columns(schema: Schema, wanted: "Columns") -> Found:
    """Find the columns to read.

    Args:
        schema: columns of a file.
        wanted: those that are asked for.

    Raises:
        UserError: one does not exist, holds something else, or has to be named because several may be meant.
    """
    for key in ("image", "label", "split", "patient"):
        _check_exists(f"data.{key}_column", getattr(wanted, key), schema)
    image = wanted.image or _guess_image(schema)
    _check_image(wanted.image, image, schema)
    split = wanted.split or _only(schema, _SPLITS, _is_text)
    patient = wanted.patient or _only(schema, _PATIENTS, _is_name)
    taken = {image, split, patient}
    label = wanted.label or _guess_label(schema, taken)
    _check_type("data.label_column", label, schema, _is_label, "one label in each row")
    _check_type("data.patient_column", wanted.patient, schema, _is_name, "text or whole numbers")
    _check_type("data.split_column", wanted.split, schema, _is_text, "names of splits")
    name = wanted.name or _find_name(schema, {*taken, label})
    notes = [] if wanted.image else [f"images are taken from column {image} (data.image_column)"]
    notes += [] if wanted.label else [f"labels are taken from column {label} (data.label_column)"]
    notes += [f"splits are taken from column {split} (data.split_column)"] if split and not wanted.split else []
    notes += (
        [f"patients are taken from column {patient} (data.patient_column)"] if patient and not wanted.patient else []
    )
    return Found(image, label, split, patient, name, tuple(notes))


def _only(schema: Schema, usual: Sequence[str], fits: Callable[[Any], bool]) -> str | None:
    """Return the only column of a usual name that holds what it must; None where there is none, or several."""
    found = [name for name, kind in schema.fields.items() if fold(name).replace("_", "") in usual and fits(kind)]
    return found[0] if len(found) == 1 else None


def _check_exists(key: str, column: str | None, schema: Schema) -> None:
    if column is None or column in schema.fields:
        return
    near = get_close_matches(fold(column), {fold(name): name for name in schema.fields}, n=1)
    nearest = next((f"; did you mean {name}?" for name in schema.fields if near and fold(name) == near[0]), "")
    raise UserError.for_key(key, column, f"no such column, valid are {_listed(schema)}{nearest}")


def _guess_image(schema: Schema) -> str:
    found = schema.images
    called = [name for name in found or schema.fields if fold(name) == "image"]
    if len(found) == 1:
        return found[0]
    if len(called) == 1 and (found or _is_binary(schema.fields[called[0]])):
        return called[0]
    if found:
        valid = f"several columns hold images ({list_few(found)}); name one"
        raise UserError.for_key("data.image_column", None, valid)
    places = [name for name, kind in schema.fields.items() if _is_text(kind) and fold(name) in _PLACES]
    if places:
        raise UserError.for_key("data.image_column", None, _elsewhere(places[0]))
    raise UserError.for_key("data.image_column", None, f"no column holds encoded images; there are {_listed(schema)}")


def _elsewhere(column: str) -> str:
    """Say that a table tells where its images are, and has none."""
    valid = f"the images are not in the parquet files, column {column} holds paths or addresses only"
    return f"{valid}; data.revision=refs/convert/parquet may have them, or download them for data=folder data.root=DIR"


def _check_image(given: str | None, column: str, schema: Schema) -> None:
    kind = schema.fields[column]
    if _is_image_struct(kind) or _is_binary(kind):
        return
    others = f"; valid are {list_few(schema.images)}" if schema.images else ""
    valid = _elsewhere(column) if _is_text(kind) else f"holds {kind} and no encoded images{others}"
    raise UserError.for_key("data.image_column", given, valid)


def _guess_label(schema: Schema, taken: set[str | None]) -> str:
    classes = [name for name in schema.class_names if name not in taken]
    called = [name for name in schema.fields if fold(name) in _LABELS and name not in taken]
    either = [name for name in classes if name in called] or list(dict.fromkeys([*classes, *called]))
    if len(either) == 1:
        return either[0]
    found = (
        f"several may be meant ({list_few(either)})" if either else f"none is called label; there are {_listed(schema)}"
    )
    raise UserError.for_key("data.label_column", None, f"{found}; name the column of the labels")


def _check_type(
    key: str, column: str | None, schema: Schema, is_valid: Callable[["pa.DataType"], bool], what: str
) -> None:
    if column is None or is_valid(schema.fields[column]):
        return
    if key == "data.split_column" and column in schema.class_names:
        return
    raise UserError.for_key(key, column, f"holds {schema.fields[column]}, {what} is needed")


def _is_label(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)


def _is_name(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return _is_text(kind) or pa.types.is_integer(kind)


def _find_name(schema: Schema, taken: set[str | None]) -> str | None:
    """Return the column with the names of files; without one an ``id`` names images that have no path of their own."""
    names = [(column, _is_text) for column in _NAMES] + [("id", _is_name)]
    for wanted, is_valid in names:
        for column, kind in schema.fields.items():
            if fold(column) == wanted and column not in taken and is_valid(kind):
                return column
    return None


def _listed(schema: Schema) -> str:
    return list_few(list(schema.fields), most=8)


def _read_features(metadata: bytes | None) -> Mapping[str, Any]:
    """Return the features that ``datasets`` has written into a file; none where somebody else has."""
    try:
        features = json.loads(metadata or b"{}")["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> tuple[str, ...] | None:
    """Return the names of classes, in the order of their numbers, of a feature that has them."""
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    from datasets import Features

    try:
        names: Sequence[str] = Features.from_dict({"column": feature})["column"].names
    except Exception:  # what somebody else has written may raise anything
        return None
    return tuple(names) if names and all(isinstance(name, str) for name in names) else None

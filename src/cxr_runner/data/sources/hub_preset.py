"""What is insisted on in a set whose files are known one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]


class MismatchError(Exception):
    """A file does not hold what it must; the message says how."""


@dataclass(frozen=True)
class Expected:
    """What a set must hold; the defaults are what the study was trained on.

    Attributes:
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        class_names: names of the negative and the positive class.
    """

    train: int = 4077
    val: int = 1165
    test: int = 582
    class_names: tuple[str, str] = ("NORMAL", "PNEUMONIA")


@dataclass(frozen=True)
class KnownSet:
    """A set whose files are known one by one, and insisted on.

    Attributes:
        choice: what ``data`` is to choose it, for messages.
        expected: what its files must hold.
        sums: hex SHA-256 of the files by split; None where it is not known.
        outer: folder that a copy may leave out, with a slash.
        layout: how a copy must be laid out, for messages.
    """

    choice: str
    expected: Expected
    sums: Mapping[str, str | None]
    outer: str
    layout: str

    def find_mismatch(
        self, table: "pa.Table", class_names: tuple[str, ...] | None, is_image: bool, split: str
    ) -> str | None:
        """Say what is wrong with the table of a split, if anything is.

        Args:
            table: its columns of names, images and labels, in this order.
            class_names: classes that the numbers of its labels stand for, None where they stand for none.
            is_image: whether its images are encoded images.
            split: ``train``, ``val`` or ``test``.
        """
        (name, paths), (image, _), (_, labels) = zip(table.column_names, table.columns, strict=True)
        expected = self.expected
        if not is_image:
            return f"expected images in column {image}, found {table.schema.field(image).type}"
        if class_names != expected.class_names:
            found = ", ".join(class_names or ["none"])
            return f"expected classes {', '.join(expected.class_names)}, found {found}"
        if len(table) != (count := getattr(expected, split)):
            return f"expected {count} {split} images, found {len(table)}"
        if strange := {str(label) for label in labels.to_pylist()} - {"0", "1"}:
            return f"expected labels 0 and 1, found {', '.join(sorted(strange)[:5])}"
        if not all(isinstance(path, str) and PurePosixPath(path).name for path in paths.to_pylist()):
            return f"expected the path of a file in every row of column {name}, found none in some"
        return None

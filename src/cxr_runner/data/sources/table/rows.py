"""The rows of a table, all of them text, from whichever kind of file."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxr_runner.base.files import MOST_CSV, regular
from cxr_runner.base.numbers import plural

KINDS = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson")
"""Endings of files that hold tables; ``.gz`` or ``.zip`` may stand around those of text."""


class TableError(Exception):
    """A file that cannot be read as a table; the message says why."""


@dataclass(frozen=True)
class TableRows:
    """The rows of a table.

    Attributes:
        headers: names of the columns, each once.
        rows: text of every column, in the order of the headers.
        remark: what was guessed on reading; '' for nothing.
    """

    headers: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remark: str = ""


def read_table_rows(path: Path) -> TableRows:
    """Read a table.

    Raises:
        OSError: the file cannot be read.
        TableError: it holds no table.
    """
    regular(path, MOST_CSV)
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _from_records(_parquet_records(path))
    content, name = _unpack(path, name)
    if name.endswith((".jsonl", ".ndjson")):
        return _from_records(_json_records(content))
    if not name.endswith(KINDS):
        raise TableError(f"valid are {', '.join(KINDS)}, the texts also as .gz or .zip")
    text, encoding = _decode(content)
    return _from_text(text, encoding, "\t" if name.endswith(".tsv") else None)


def read_lines(path: Path) -> list[str]:
    """Read a list of names, one a line.

    Raises:
        OSError: the file cannot be read.
    """
    text, _ = _decode(regular(path, MOST_CSV).read_bytes())
    return [line.strip() for line in text.splitlines() if line.strip()]


def _unpack(path: Path, name: str) -> tuple[bytes, str]:
    """Return the content of a file and its name, without what was packed around it."""
    try:
        if name.endswith(".gz"):
            with gzip.open(path) as packed:
                return _at_most(packed), name.removesuffix(".gz")
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                inside = [one for one in archive.namelist() if one.lower().endswith(KINDS) and "__MACOSX" not in one]
                if len(inside) != 1:
                    raise TableError(f"holds {len(inside)} tables, where one is expected")
                with archive.open(inside[0]) as packed:
                    return _at_most(packed), PurePosixPath(inside[0]).name.lower()
    except (EOFError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise TableError(f"is damaged ({error})") from None
    return path.read_bytes(), name


def _at_most(packed: Any) -> bytes:
    content: bytes = packed.read(MOST_CSV + 1)
    if len(content) > MOST_CSV:
        raise TableError(f"unpacks to more than {MOST_CSV:,} bytes")
    return content


def _decode(content: bytes) -> tuple[str, str]:
    """Return a text and the name of an encoding that had to be guessed."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace"), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"


def _from_text(text: str, encoding: str, delimiter: str | None) -> TableRows:
    if text.lower().startswith("sep="):  # Excel's way to name it
        delimiter, text = text[4:5], text.partition("\n")[2]
    while text.startswith("#"):
        text = text.partition("\n")[2]
    head = text.split("\n", 1)[0]
    if delimiter is None:
        delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(MOST_CSV)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [line for line in reader if any(line)]
    except csv.Error as error:
        where = f"line {reader.line_num:,}" if reader else ""
        raise TableError(f"cannot be read as text with {delimiter!r} between values ({where}: {error})") from None
    if not lines:
        raise TableError("is empty")
    headers = [header.strip() for header in lines[0]]
    while headers and not headers[-1]:  # trailing empty columns
        headers.pop()
    rows = [_fitted(line, len(headers), number) for number, line in enumerate(lines[1:], start=2)]
    remarks = [f"the table is read as {encoding}, since it is no UTF-8"] if encoding else []
    if number := sum(any("\n" in value for value in row) for row in rows):
        remarks.append(f"{plural(number, 'row')} of the table run over several lines: a quote may not be closed")
    remark = "; ".join(remarks)
    return TableRows(_unique(headers), rows, remark)


def _fitted(line: Sequence[str], length: int, number: int) -> tuple[str, ...]:
    """Return a row with as many values as there are headers: empty ones may be missing or too many."""
    if any(value.strip() for value in line[length:]):
        raise TableError(f"row {number:,} has {len(line)} values for {length} columns")
    padded = [value.strip() for value in line[:length]] + [""] * (length - len(line))
    return tuple(padded)


def _unique(headers: Sequence[str]) -> tuple[str, ...]:
    """Return the headers; one that comes again gets its number."""
    seen: dict[str, int] = {}
    unique = []
    for header in headers:
        seen[header] = seen.get(header, 0) + 1
        unique.append(header if seen[header] == 1 else f"{header}.{seen[header]}")
    return tuple(unique)


def _parquet_records(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        records: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except OSError:
        raise
    except Exception as error:  # what the metadata says of the columns may raise anything
        raise TableError(f"cannot be read as parquet ({str(error).splitlines()[0]})") from None
    return records


def _json_records(content: bytes) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise TableError(f"line {number:,} is no JSON") from None
        if not isinstance(record, dict):
            raise TableError(f"line {number:,} is no JSON object")
        yield record


def _from_records(records: Any) -> TableRows:
    listed = list(records)
    if not listed:
        raise TableError("is empty")
    headers = tuple(dict.fromkeys(str(key) for record in listed for key in record))
    return TableRows(headers, [tuple(_as_text(record.get(header)) for header in headers) for record in listed])


def _as_text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    return str(value).strip()

"""Predictions of many runs as few tables: an image a row, a run a column.

Runs on one split have the same images: names, patients and labels are stored once. Logits keep their text, and with it
every bit. Probabilities are left out, which are ``1 / (1 + exp(-logit))``.
"""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import NamedTuple

LOGIT, DERIVED = "logit", "probability"


class TestedImages(NamedTuple):
    """What the predictions of runs on one split share.

    Attributes:
        header: names of the columns but logit and probability.
        position: number of columns before the logit.
        rows: the values of these columns, an image a row.
    """

    header: tuple[str, ...]
    position: int
    rows: tuple[tuple[str, ...], ...]


def split_predictions(content: bytes) -> tuple[TestedImages, list[str]]:
    """Divide a ``predictions.csv`` into its images and the logits.

    Raises:
        ValueError: it is no table with a column of logits.
    """
    header, *rows = _read(content)
    if LOGIT not in header:
        raise ValueError("no column logit")
    kept = [index for index, name in enumerate(header) if name not in (LOGIT, DERIVED)]
    position = header.index(LOGIT)
    images = tuple(tuple(row[index] for index in kept) for row in rows)
    return TestedImages(tuple(header[index] for index in kept), position, images), [row[position] for row in rows]


def join_predictions(images: TestedImages, logits: list[str]) -> bytes:
    """Return what :func:`split_predictions` divides, without probabilities."""
    at = images.position
    lines = [images.header, *images.rows]
    return _write((*line[:at], cell, *line[at:]) for line, cell in zip(lines, [LOGIT, *logits], strict=True))


def write_table_of_runs(images: TestedImages, columns: Mapping[str, list[str]]) -> bytes:
    """Return a table with the images, and the logits of every run under its path."""
    lines = [images.header, *images.rows]
    cells = zip(*([path, *logits] for path, logits in columns.items()), strict=True)
    return _write((*line, *of_runs) for line, of_runs in zip(lines, cells, strict=True))


def read_table_of_runs(content: bytes, num_columns: int, position: int) -> tuple[TestedImages, dict[str, list[str]]]:
    """Read what :func:`write_table_of_runs` returned.

    Args:
        content: the table.
        num_columns: number of columns before those of runs.
        position: number of columns before the logit in the tables of single runs.

    Raises:
        ValueError: it is no such table.
    """
    header, *rows = _read(content)
    if not 0 <= position <= num_columns < len(header):
        raise ValueError("a table of predictions has other columns than the archive says")
    images = TestedImages(tuple(header[:num_columns]), position, tuple(tuple(row[:num_columns]) for row in rows))
    by_run = zip(header[num_columns:], zip(*(row[num_columns:] for row in rows), strict=True), strict=True)
    return images, {path: list(logits) for path, logits in by_run}


def _read(content: bytes) -> list[list[str]]:
    """Return the lines of a table, the header first; ValueError where it is none."""
    try:
        lines = list(csv.reader(StringIO(content.decode("utf-8"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no table ({error})") from None
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise ValueError("no table, or lines of different lengths")
    return lines


def _write(lines: Iterator[tuple[str, ...]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()

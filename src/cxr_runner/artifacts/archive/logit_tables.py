"""Predictions of many runs in little space: what their images are once, and a matrix of logits, runs x images.

Probabilities are left out, which are ``1 / (1 + exp(-logit))``. The bytes of the matrix are sorted by their place in a
number (all first bytes, then all second ones): signs and exponents repeat, the last digits do not, and apart from them
the first compress well. The matrix of an archive of 340 runs takes 1.1 MB so, and 1.4 MB as text.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOGIT, DERIVED = "logit", "probability"
Logits = NDArray[np.float32] | NDArray[np.float64]


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


def split_predictions(content: bytes) -> tuple[TestedImages, Logits]:
    """Divide a ``predictions.csv`` into its images and the logits.

    Returns:
        The images, and logits [images]: float32 where these are written the same as what is read, as those of a run
        are; float64 otherwise.

    Raises:
        ValueError: it is no table with a column of logits.
    """
    header, *rows = _read(content)
    if LOGIT not in header:
        raise ValueError("no column logit")
    kept = [index for index, name in enumerate(header) if name not in (LOGIT, DERIVED)]
    position = header.index(LOGIT)
    images = tuple(tuple(row[index] for index in kept) for row in rows)
    logits: Logits = np.array([row[position] or "nan" for row in rows], np.float64)
    narrow = logits.astype(np.float32)
    if write_logits(narrow) == write_logits(logits):
        logits = narrow
    return TestedImages(tuple(header[index] for index in kept), position, images), logits


def join_predictions(images: TestedImages, logits: Logits) -> bytes:
    """Return what :func:`split_predictions` divides, without probabilities."""
    at = images.position
    lines, cells = [images.header, *images.rows], [LOGIT, *write_logits(logits)]
    return _write((*line[:at], cell, *line[at:]) for line, cell in zip(lines, cells, strict=True))


def write_logits(logits: Logits) -> list[str]:
    """Return logits as the shortest texts that read back to the same numbers; '' for one that is none."""
    return ["" if text == "nan" else text for text in map(str, logits)]


def write_images(images: TestedImages) -> bytes:
    """Return the images as a table."""
    return _write([images.header, *images.rows])


def read_images(content: bytes, position: int) -> TestedImages:
    """Read what :func:`write_images` returned; ValueError where it is no such table."""
    header, *rows = _read(content)
    if not 0 <= position <= len(header):
        raise ValueError("a table of images has other columns than the archive says")
    return TestedImages(tuple(header), position, tuple(map(tuple, rows)))


def write_matrix(logits: Sequence[Logits]) -> bytes:
    """Return the logits of runs, [images] each and of one type, with the bytes sorted by their place."""
    matrix = np.stack(logits)
    little = matrix.astype(matrix.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).reshape(-1, matrix.itemsize).T.tobytes()


def read_matrix(content: bytes, dtype: str, num_runs: int) -> Logits:
    """Read what :func:`write_matrix` returned.

    Args:
        content: the bytes.
        dtype: ``float32`` or ``float64``.
        num_runs: number of runs.

    Returns:
        Logits [runs, images].

    Raises:
        ValueError: there are not as many bytes.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"logits are float32 or float64, not {dtype}")
    little = np.dtype(dtype).newbyteorder("<")
    numbers = np.frombuffer(content, np.uint8).reshape(little.itemsize, -1).T.copy().view(little)
    matrix: Logits = numbers.astype(np.dtype(dtype)).reshape(num_runs, -1)
    return matrix


def _read(content: bytes) -> list[list[str]]:
    """Return the lines of a table, the header first; ValueError where it is none."""
    try:
        lines = list(csv.reader(StringIO(content.decode("utf-8"), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"no table ({error})") from None
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise ValueError("no table, or lines of different lengths")
    return lines


def _write(lines: Iterable[tuple[str, ...]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()

"""Images as somebody hands them over, files or arrays, become what a model was trained on: grey squares of uint8."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.data.decode import DEPTHS, Decoded, resize_square
from cxr_runner.data.extras import AS_IN_FILE, DicomOptions
from cxr_runner.data.sources.image_file import load_file
from cxr_runner.data.sources.table.columns import image_header
from cxr_runner.data.sources.table.finder import Finder
from cxr_runner.data.sources.table.rows import TableError, read_table_rows
from cxr_runner.data.sources.walk import TABLES, File, Kind, TooManyEntriesError, Tree, read_tree

Given = str | Path | NDArray[Any]
_KEY = "images"


@dataclass(frozen=True)
class Preparation:
    """What is made of an image before a model sees it.

    Attributes:
        side: side of the square that it is stretched to, in pixels.
        bits: bits from black to white of images with more than 8; None takes those that each needs.
        dicom: what is made of DICOM files.
    """

    side: int
    bits: int | None = None
    dicom: DicomOptions = AS_IN_FILE


@dataclass(frozen=True)
class Prepared:
    """One image as a model sees it, or why there is none.

    Attributes:
        name: the file as given, or the position of an array.
        square: uint8 [side, side]; black for an image that cannot be read.
        mode: kind of pixels of its file, e.g. ``L;16``.
        error: why it cannot be read; '' where it can.
    """

    name: str
    square: NDArray[np.uint8]
    mode: str = ""
    error: str = ""


@dataclass(frozen=True)
class Asked:
    """The images that somebody asks about.

    Attributes:
        images: files and arrays.
        names: a name for each.
        missing: names that a table holds and no file has, with the reason.
    """

    images: tuple[Path | NDArray[Any], ...]
    names: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()


def prepare(name: str, image: Path | NDArray[Any], preparation: Preparation) -> Prepared:
    """Read, turn to grey and stretch one image, as in training.

    Args:
        name: what it is called.
        image: file; or array [height, width] of uint8, of uint16, or of floats from 0, black, to 1, white.
        preparation: what is to be made of it.
    """
    try:
        if isinstance(image, Path):
            decoded = load_file(image, preparation.dicom).decoded
        else:
            decoded = _from_array(image)
        grey = decoded.grey(preparation.bits or decoded.bits)
    except BadImageError as error:
        return Prepared(name, np.zeros((preparation.side, preparation.side), np.uint8), error=str(error))
    return Prepared(name, np.ascontiguousarray(resize_square(grey, preparation.side)), decoded.mode)


def find_images(given: Given | Sequence[Given]) -> Asked:
    """Find out which images are meant.

    Args:
        given: one of these or several: files, folders with images at any depth, tables one column of which names
            images, arrays.

    Raises:
        UserError: there is no such file, a folder holds no image, or a table names none.
    """
    parts = [_one(one, number) for number, one in enumerate(_several(given))]
    images = tuple(image for part in parts for image in part.images)
    if not images:
        raise UserError(f"{_KEY}: there is none")
    names = tuple(name for part in parts for name in part.names)
    return Asked(images, names, tuple(pair for part in parts for pair in part.missing))


def _several(given: Given | Sequence[Given]) -> list[Given]:
    if isinstance(given, str | Path):
        return [given]
    return [given] if isinstance(given, np.ndarray) and given.ndim == 2 else list(given)


def _one(given: Given, number: int) -> Asked:
    if not isinstance(given, str | Path):
        return Asked((np.asarray(given),), (str(number),))
    path = Path(given).expanduser()
    if path.is_dir():
        files = [path / file.name for file in _tree(path).files[Kind.IMAGE]]
        if not files:
            raise UserError.for_key(_KEY, given, "holds no image")
        return Asked(tuple(files), tuple(map(str, files)))
    if not path.exists():
        raise UserError.for_key(_KEY, given, "there is no such file or folder")
    return _of_table(path) if path.name.lower().endswith(TABLES) else Asked((path,), (str(given),))


def _of_table(path: Path) -> Asked:
    """Return the images that a table names, which lie anywhere below its folder."""
    try:
        table = read_table_rows(path)
    except OSError as error:
        raise UserError.for_key(_KEY, path, f"cannot be read ({error.strerror})") from None
    except TableError as error:
        raise UserError.for_key(_KEY, path, str(error)) from None
    finder = Finder(_tree(path.absolute().parent).files[Kind.IMAGE])
    header = image_header(table, finder)
    if header is None:
        valid = f"no column is called image or holds names of images below {path.parent}"
        raise UserError.for_key(_KEY, path, valid)
    position = table.headers.index(header)
    wanted = list(dict.fromkeys(row[position] for row in table.rows if row[position]))
    finder.expect(wanted)
    found = {name: finder.find(name) for name in wanted}
    files = {name: path.parent / file.name for name, file in found.items() if isinstance(file, File)}
    missing = tuple((name, f"no file below {path.parent}") for name, file in found.items() if file is None)
    return Asked(tuple(files.values()), tuple(files), missing)


def _tree(folder: Path) -> Tree:
    try:
        return read_tree(folder)
    except (OSError, TooManyEntriesError) as error:
        raise UserError.for_key(_KEY, folder, f"cannot be listed ({error})") from None


def _from_array(image: NDArray[Any]) -> Decoded:
    if image.ndim != 2 or not image.size:
        raise BadImageError(f"an array of shape {image.shape}, not [height, width]")
    if image.dtype == np.uint8:
        return Decoded(image)
    if image.dtype == np.uint16:
        return Decoded(image, "", "L;16", next(bits for bits in DEPTHS if int(image.max()) < 2**bits))
    if not np.issubdtype(image.dtype, np.floating) or not (image.min() >= 0 and image.max() <= 1):
        raise BadImageError(f"an array of {image.dtype}, not of uint8, uint16, or floats from 0 to 1")
    return Decoded(np.rint(image * 255).astype(np.uint8))


def in_chunks(asked: Asked, size: int) -> Iterator[Asked]:
    """Yield the images some at a time."""
    for start in range(0, len(asked.images), size):
        yield Asked(asked.images[start : start + size], asked.names[start : start + size])

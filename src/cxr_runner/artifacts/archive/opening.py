"""Opens archives: safely, whoever made them, in a temporary folder that looks like the tree of outputs they are of."""

import lzma
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from cxr_runner.artifacts.archive.logit_tables import join_predictions, read_images, read_matrix
from cxr_runner.artifacts.archive.packing import ARCHIVE_FORMAT, CONTENTS
from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.checksums import checksum
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import regular
from cxr_runner.base.scratch import scratch_folder

MOST_BYTES = 2**30  # of all files of an archive, unpacked, and of the predictions that they become
MOST_TABLE = 2**28  # bytes of one table of predictions, which is read into memory
_MOST_MEMORY = 2**28  # bytes that the decompressor may take; the strongest setting needs a quarter
_CHUNK = 2**20


@contextmanager
def opened_archive(path: Path) -> Iterator[Path]:
    """Give a folder with the runs of an archive, as in a tree of outputs; it is removed at the end.

    Raises:
        UserError: it is no archive of ``cxr-report --archive``, is damaged, or larger than any.
    """
    with scratch_folder("cxr-archive-") as scratch:
        unpacked, tree = scratch / "archive.tar", scratch / "outputs"
        tree.mkdir()
        try:
            with regular(path).open("rb") as source, unpacked.open("wb") as target:
                _decompress(source, target)
            with tarfile.open(unpacked, "r:") as archive:
                _extract(archive, tree)
            unpacked.unlink()
            _spread_predictions(tree)
        except (OSError, EOFError, LookupError, TypeError, ValueError, lzma.LZMAError, tarfile.TarError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UserError.for_key(
                "ROOT", path, f"is no archive of cxr-report --archive that is whole ({why})"
            ) from None
        yield tree


def _decompress(source: BinaryIO, target: BinaryIO) -> None:
    """Decompress a whole file; ValueError where more comes out than any archive holds.

    It goes to the disk first: of a header that claims to be 10 GB, ``tarfile`` would read so much into memory.
    """
    decompressor, size = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY), 0
    while not decompressor.eof:
        compressed = source.read(_CHUNK) if decompressor.needs_input else b""
        if decompressor.needs_input and not compressed:
            raise EOFError("it is cut off")
        chunk = decompressor.decompress(compressed, _CHUNK)
        size += target.write(chunk)
        if size > MOST_BYTES:
            raise ValueError(f"it holds more than {MOST_BYTES:,} bytes")


def _extract(archive: tarfile.TarFile, tree: Path) -> None:
    """Write the files of an archive below a folder; ValueError where one is no plain file, or would lie elsewhere."""
    for member in archive:
        source = archive.extractfile(member) if member.isreg() else None
        if source is None:
            raise ValueError(f"it holds {member.name}, which is no file")
        target = _below(tree, member.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)


def _below(tree: Path, name: str) -> Path:
    """Return the path of a file in the tree; ValueError for a name that leads out of it, on any system."""
    if PurePosixPath(name).is_absolute() or set("\\:") & set(name) or ".." in PurePosixPath(name).parts:
        raise ValueError(f"it holds {name}, which is not below a folder")
    return tree / name


def _spread_predictions(tree: Path) -> None:
    """Give every run its ``predictions.csv`` from the tables; ValueError where these are not as they were written."""
    contents, intact = read_checked_json(tree / CONTENTS)
    if not intact:
        raise ValueError(f"no {CONTENTS}, or one that was changed")
    if contents.get("format") != ARCHIVE_FORMAT:
        raise ValueError(f"format {contents.get('format')}, this version reads {ARCHIVE_FORMAT}")
    size = 0
    for about in contents["tables"]:
        size = _spread_table(tree, about, size)


def _spread_table(tree: Path, about: Mapping[str, Any], size: int) -> int:
    """Spread one table; return how many bytes have been written with these."""
    of_images, of_logits = (_take(tree, name, expected) for name, expected in about["checksums"].items())
    images, runs = read_images(of_images, about["position"]), about["runs"]
    for run, logits in zip(runs, read_matrix(of_logits, about["dtype"], len(runs)), strict=True):
        target = RunDir(_below(tree, run))
        if not target.status.is_file():
            raise ValueError(f"it has predictions of {run}, which is not in it")
        predictions = join_predictions(images, logits)
        if (size := size + len(predictions)) > MOST_BYTES:
            raise ValueError(f"it holds more than {MOST_BYTES:,} bytes")
        target.predictions.write_bytes(predictions)
    return size


def _take(tree: Path, name: str, expected: str) -> bytes:
    """Return the content of a file of the tree, and remove it; ValueError where it is not as it was written."""
    path = regular(_below(tree, name), MOST_TABLE)
    content = path.read_bytes()
    path.unlink()
    if checksum(content) != expected:
        raise ValueError(f"{name} has changed since it was written")
    return content

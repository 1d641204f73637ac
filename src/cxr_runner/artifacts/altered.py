"""Whether the files of a finished run are what they were when it became done, by the checksums in its ``status.json``.

The checksums are XXH3, as everywhere here. They are against accidents, and SHA-256 would be no more than that: whoever
changes a result on purpose can change ``status.json`` as well. XXH3 reads weights at several GB/s, so that a sweep that
meets many finished runs hardly waits.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.checksums import checksum_of_file


def checksums_of(paths: Iterable[Path]) -> dict[str, str]:
    """Return the checksums of those files that there are, by their names."""
    return {path.name: checksum_of_file(path) for path in paths if path.is_file()}


def read_status(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a ``status.json``.

    Returns:
        Its content, empty where it cannot be read; and whether it is as it was written. One without a checksum, of a
        run from before there were any, is taken as it is.
    """
    status, intact = read_checked_json(path)
    return status, "checksums" not in status if intact is None else intact


def recorded_checksums(status: Mapping[str, Any]) -> dict[str, str]:
    """Return the checksums that a status holds, by the names of the files; none for a run from before."""
    recorded = status.get("checksums")
    return {str(name): str(value) for name, value in recorded.items()} if isinstance(recorded, Mapping) else {}


def find_altered(paths: Iterable[Path], recorded: Mapping[str, str]) -> str:
    """Return the name of the first file whose content is not the recorded one; '' where there is none.

    A file that is not there is lost, which is another matter: nothing wrong can be read from it.
    """
    for path in paths:
        try:
            if path.is_file() and path.name in recorded and checksum_of_file(path) != recorded[path.name]:
                return path.name
        except OSError:  # a disk that fails
            return path.name
    return ""

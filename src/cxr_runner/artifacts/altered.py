"""Whether the files of a finished run are what they were when it became done, by the checksums in its ``status.json``.

The checksums are XXH3, as everywhere here. They are against accidents, and SHA-256 would be no more than that: whoever
changes a result on purpose can change ``status.json`` as well. XXH3 reads weights at several GB/s, so that a sweep that
meets many finished runs hardly waits.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cxr_runner.base.checksums import checksum, checksum_of_file
from cxr_runner.base.files import MOST_JSON, parse_json, read_content, write_text

_BLANK = "0" * 16  # stands for the checksum of status.json itself while that is taken


def checksums_of(paths: Iterable[Path]) -> dict[str, str]:
    """Return the checksums of those files that there are, by their names."""
    return {path.name: checksum_of_file(path) for path in paths if path.is_file()}


def write_status(path: Path, content: Mapping[str, Any]) -> None:
    """Write the ``status.json`` of a finished run, which ends with the checksum of itself."""
    blank = json.dumps({**content, "checksum": _BLANK}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    before, _, behind = blank.rpartition(_BLANK)
    write_text(path, before + checksum(blank.encode()) + behind)


def read_status(path: Path) -> tuple[dict[str, Any], bool]:
    """Read a ``status.json``.

    Returns:
        Its content, empty where it cannot be read; and whether it is as it was written. One without any checksum, of a
        run that is not finished or from before there were any, is taken as it is.
    """
    content = read_content(path, MOST_JSON)
    status = parse_json(content) or {}
    if content is None or "checksum" not in status:
        return status, "checksums" not in status
    recorded = str(status["checksum"])
    if not re.fullmatch("[0-9a-f]{16}", recorded):
        return status, False
    before, _, behind = content.rpartition(recorded.encode())
    return status, checksum(before + _BLANK.encode() + behind) == recorded


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

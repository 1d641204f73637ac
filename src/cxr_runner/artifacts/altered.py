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

import yaml

from cxr_runner.base.checksums import checksum, checksum_of_file

# The readers of a path check the same; the bytes are needed here, for a checksum of what is read.
from cxr_runner.base.files import _LOADER, MOST_JSON, _check_events, _without_duplicates, regular, write_text

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


def read_content(path: Path, most_bytes: int) -> bytes | None:
    """Read a file; None where it is missing, no regular file, or larger than any of ours."""
    try:
        return regular(path, most_bytes).read_bytes()
    except OSError:
        return None


def parse_json(content: bytes | None) -> dict[str, Any] | None:
    """Parse a JSON object as :func:`cxr_runner.base.files.read_json` does; None where it is none."""
    if content is None:
        return None
    try:
        parsed = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def parse_yaml(content: bytes | None) -> dict[str, Any]:
    """Parse a YAML mapping as :func:`cxr_runner.base.files.read_yaml` does; empty where it is none."""
    if content is None:
        return {}
    try:
        text = content.decode("utf-8")
        _check_events(text)
        parsed = yaml.load(text, _LOADER)
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    return parsed if isinstance(parsed, dict) else {}

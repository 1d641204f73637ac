"""Files that are written completely or not at all, and read only where they are regular files."""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:  # all but write_csv work without pandas, which takes long to import
    import pandas as pd

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML has it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it is renamed to ``path``, on an error it is removed."""
    # A random name, not the process id: processes on two machines, or in two containers, may have the same id.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # without it, a power cut may leave the new name on an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder; no other process may write there meanwhile."""
    for path in folder.glob(".*.tmp*"):
        path.unlink(missing_ok=True)


def regular(path: Path) -> Path:
    """Return a path if it is that of a regular file: reading a pipe with the file's name would never end.

    Raises:
        FileNotFoundError: there is no regular file.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where the file is missing, damaged or something else."""
    try:
        content = json.loads(regular(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; empty where the file is missing, damaged or something else."""
    try:
        content = yaml.load(regular(path).read_text("utf-8"), _LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8; lines end as in ``text`` on every system."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object; NaN and infinity are refused, which JSON does not have."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a YAML mapping, its keys in the order given."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table; floats as the shortest text that reads back to the same number."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")

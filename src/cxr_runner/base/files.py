"""Files that are written completely or not at all, and read only where they are regular files."""

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:  # all but write_csv work without pandas, which takes long to import
    import pandas as pd

MOST_JSON, MOST_YAML, MOST_CSV = 2**26, 2**20, 2**30  # bytes that a file of ours never has
_MOST_DEPTH = 50  # of nested YAML; ours has four


class _Dumper(yaml.SafeDumper):
    """Writes text so that it reads back the same: PyYAML leaves the control character 0x85 to be read as a space."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if "\x85" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)
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


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to write to; on success it takes the place of ``path``, on an error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp") for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder; no other process may write there meanwhile."""
    for path in folder.glob(".*.tmp*"):
        path.unlink(missing_ok=True)


def regular(path: Path, most_bytes: int | None = None) -> Path:
    """Return a path if it is that of a regular file that can be read: with a pipe of its name it would never end.

    Whatever others may have written is opened by way of this function.

    Args:
        path: path of the file.
        most_bytes: size that no file of the kind has; None where a large file does no harm, as one that is mapped.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it is no regular file, or a larger one.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if most_bytes is not None and status.st_size > most_bytes:
        raise OSError(errno.EFBIG, f"has {status.st_size:,} bytes, at most {most_bytes:,} are read", str(path))
    return path


def read_content(path: Path, most_bytes: int) -> bytes | None:
    """Read a file; None where it is missing, no regular file, or larger than any of ours."""
    try:
        return regular(path, most_bytes).read_bytes()
    except OSError:
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where the file is missing, damaged or something else. No key may stand twice."""
    return parse_json(read_content(path, MOST_JSON))


def parse_json(content: bytes | None) -> dict[str, Any] | None:
    """Parse what :func:`read_content` has read, as :func:`read_json` does."""
    try:
        parsed = None if content is None else json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; empty where the file is missing, damaged or something else.

    Aliases, anchors and tags are refused: with a few of them a small file stands for a content without end.
    """
    return parse_yaml(read_content(path, MOST_YAML))


def parse_yaml(content: bytes | None) -> dict[str, Any]:
    """Parse what :func:`read_content` has read, as :func:`read_yaml` does."""
    if content is None:
        return {}
    try:
        text = content.decode("utf-8")
        _check_events(text)
        parsed = yaml.load(text, _LOADER)
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content


def _check_events(text: str) -> None:
    """Raise ValueError where a YAML text has what no file of ours has."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise ValueError("aliases, anchors and tags are not read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deeply")


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
        temporary.write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True), "utf-8")


def write_csv(path: Path, table: "pd.DataFrame", digits: int | None = None) -> None:
    """Write a table; floats as the shortest text that reads back to the same number, or with so many digits."""
    with replacing(path) as temporary:
        form = None if digits is None else f"%.{digits}g"
        table.to_csv(temporary, index=False, lineterminator="\n", float_format=form)

"""JSON objects that end with a checksum of themselves: any change of the file is noticed by whoever reads it."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_runner.base.checksums import checksum
from cxr_runner.base.files import MOST_JSON, parse_json, read_content, write_text

_BLANK = "0" * 16  # stands for the checksum while that is taken


def write_checked_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with a last key ``checksum``; NaN and infinity are refused, which JSON does not have."""
    blank = json.dumps({**content, "checksum": _BLANK}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    before, _, behind = blank.rpartition(_BLANK)
    write_text(path, before + checksum(blank.encode()) + behind)


def read_checked_json(path: Path) -> tuple[dict[str, Any], bool | None]:
    """Read what :func:`write_checked_json` has written.

    Returns:
        The content without its checksum, empty where it cannot be read; and whether the file is as it was written, None
        where that cannot be told: there is no file, or one without a checksum, as older versions left it.
    """
    content = read_content(path, MOST_JSON)
    parsed = parse_json(content)
    if content is None or parsed is None:
        return {}, None if content is None else False
    if "checksum" not in parsed:
        return parsed, None
    recorded = str(parsed.pop("checksum"))
    if not re.fullmatch("[0-9a-f]{16}", recorded):
        return parsed, False
    before, _, behind = content.rpartition(recorded.encode())
    return parsed, checksum(before + _BLANK.encode() + behind) == recorded


def json_ready(content: Any) -> Any:
    """Return content as JSON has it: None for a number that is none, lists for tuples."""
    if isinstance(content, Mapping):
        return {key: json_ready(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [json_ready(value) for value in content]
    if isinstance(content, float):  # as those of NumPy are
        return float(content) if math.isfinite(content) else None
    return content

"""What ``cxr-data cache`` does: it lists what is kept of decoded images, and removes it."""

import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.errors import UserError
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_bytes, plural
from cxr_runner.data.upkeep import Kept, list_cache, remove, remove_old_starts

_SECONDS = {"h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
_LONGEST_TITLE = 40


def perform_cache(overrides: Sequence[str], *, clear: bool, unused_for: str | None) -> None:
    """List the cache, or remove what nobody uses.

    Args:
        overrides: must be empty: the cache is that of ``CXR_CACHE``.
        clear: whether to remove.
        unused_for: for how long what is removed was not used, e.g. ``30d``; None for anything.

    Raises:
        UserError: a mistake in the arguments, or the cache cannot be read or written.
    """
    if overrides:
        raise UserError(f"cache: takes no KEY=VALUE such as {overrides[0]}; it lists the cache of CXR_CACHE")
    if unused_for is not None and not clear:
        raise UserError(f"--unused-for={unused_for}: goes with --clear")
    seconds = 0 if unused_for is None else _read_seconds(unused_for)
    cache = cache_dir()
    try:
        kept = list_cache(cache)
        lines = _clear(kept, time.time() - seconds, bool(unused_for)) if clear else _list(kept, cache)
        for line in lines:
            print(line)
    except OSError as error:
        valid = f"{error.filename or 'it'} cannot be read or changed ({error.strerror})"
        raise UserError.for_key("CXR_CACHE", cache, valid) from error


def _read_seconds(text: str) -> int:
    if not (match := re.fullmatch(r"([0-9]{1,5})([hdw])", text)):
        raise UserError(f"--unused-for={text}: must be a number of hours, days or weeks, such as 12h, 30d or 4w")
    return int(match[1]) * _SECONDS[match[2]]


def _list(kept: Sequence[Kept], cache: Path) -> list[str]:
    rows = [("data set", "size", "images", "Gram matrix", "starts", "last used", "folder", "")]
    rows += [
        (
            _title(one),
            f"{one.image_size}x{one.image_size}",
            f"{one.num_images:,}, {format_bytes(one.image_bytes)}",
            format_bytes(one.gram_bytes) if one.gram_bytes else "-",
            f"{one.num_starts:,}, {format_bytes(one.start_bytes)}" if one.num_starts else "-",
            _day(one.used),
            one.path.name,
            one.problem,
        )
        for one in kept
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = f"{plural(len(kept), 'folder')}, {format_bytes(sum(one.num_bytes for one in kept))}, in {cache}"
    return [*lines, total] if kept else [total]


def _clear(kept: Sequence[Kept], before: float, by_age: bool) -> list[str]:
    """Remove what was last used before a time, and return what to say of it."""
    lines, freed = [], 0
    for one in kept:
        if not one.problem and one.used > before:
            number, num_bytes = remove_old_starts(one, before) if by_age else (0, 0)
            freed += num_bytes
            if number:
                lines.append(f"removed {plural(number, 'start')} of {_say(one)}: {format_bytes(num_bytes)}")
            continue
        if why := remove(one):
            lines.append(f"left {_say(one)}: {why}")
        else:
            freed += one.num_bytes
            lines.append(f"removed {_say(one)}: {format_bytes(one.num_bytes)}")
    return [*lines, f"{format_bytes(freed)} of {format_bytes(sum(one.num_bytes for one in kept))} removed"]


def _say(one: Kept) -> str:
    about = f"{_title(one)}, {one.image_size}x{one.image_size}, last used {_day(one.used)}"
    return f"{one.path.name} ({about}{', ' if one.problem else ''}{one.problem})"


def _title(one: Kept) -> str:
    title = printable(one.title) or "unknown"
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 3]}..."


def _day(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).date().isoformat()
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return "unknown"

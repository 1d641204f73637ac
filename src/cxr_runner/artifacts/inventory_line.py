"""What was read from a source of images and what was passed over, on one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import list_few, plural


@dataclass(frozen=True)
class _Images:
    """The images of a class in a split; ``formats`` and ``bits`` count them by what their files are."""

    name: str
    split: str
    images: int
    formats: dict[str, int]
    bits: dict[str, int]

    @property
    def kinds(self) -> tuple[dict[str, int], ...]:
        return (self.formats, self.bits)


def inventory_line(inventory: object) -> str:
    """Put an inventory on one line.

    Args:
        inventory: entry ``inventory`` of a ``data.json``, whatever it may be.

    Returns:
        Images by class and split, formats, bits, files passed over, rows left out; '' where nothing of it can be read.
    """
    if not isinstance(inventory, Mapping):
        return ""
    listed = map(_images, _mappings(inventory.get("classes")))
    entries = [entry for entry in listed if entry.images]
    shared = [_shared([entry.kinds[number] for entry in entries]) for number in range(2)]
    by_class: dict[str, list[str]] = {}
    for entry in entries:
        by_class.setdefault(entry.name, []).append(_of_split(entry, shared))
    said = [f"{name}: {', '.join(texts)}" for name, texts in by_class.items()]
    said += [f"all {', '.join(filter(None, shared))}"] if any(shared) else []
    said += [f"read as {bits} bits"] if (bits := _count(inventory.get("bits"))) else []
    passed_over = [text for entry in _mappings(inventory.get("passed_over")) if (text := _passed_over(entry))]
    said += [f"passed over: {list_few(passed_over)}"] if passed_over else []
    rows = [text for entry in _mappings(inventory.get("rows")) if (text := _left_out(entry))]
    said += [f"left out: {list_few(rows)}"] if rows else []
    return "; ".join(said)


def _images(entry: Mapping[str, Any]) -> _Images:
    name, split = printable(entry.get("class") or "a class"), printable(entry.get("split") or "")
    bits = {f"{depth} bits": number for depth, number in _counts(entry.get("bits")).items()}
    return _Images(name, split, _count(entry.get("images")), _counts(entry.get("formats")), bits)


def _shared(counts: Sequence[Mapping[str, int]]) -> str:
    """Return the kind that all images have in common, which is said once; '' where there is none."""
    distinct = {kind for one in counts for kind in one}
    return next(iter(distinct)) if len(distinct) == 1 and all(counts) else ""


def _of_split(entry: _Images, shared: Sequence[str]) -> str:
    """Count the images of a class in a split, with their kinds where not all images have the same."""
    kinds = [_kinds(counts) for counts, common in zip(entry.kinds, shared, strict=True) if counts and not common]
    counted = f"{entry.split} {entry.images:,}".strip()
    return f"{counted} ({'; '.join(kinds)})" if kinds else counted


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number:,}" if len(counts) > 1 else kind for kind, number in counts.items())


def _passed_over(entry: Mapping[str, Any]) -> str:
    """Say how many files of a kind were passed over, and why; '' where there is no number."""
    files = entry.get("files")
    number = len(files) if isinstance(files, list) else _count(files)
    suffix, reason = (printable(entry.get(key) or "") for key in ("suffix", "reason"))
    said = f"{number:,} {suffix}" if suffix else plural(number, "file")
    return (f"{said} ({reason})" if reason else said) if number else ""


def _left_out(entry: Mapping[str, Any]) -> str:
    """Say how many rows of a table were left out, and why; '' where there is no number."""
    number = _count(entry.get("rows"))
    reason = printable(entry.get("reason") or "")
    return plural(number, "row") + (f" ({reason})" if reason else "") if number else ""


def _mappings(listed: object) -> list[Mapping[str, Any]]:
    return [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []


def _counts(value: object) -> dict[str, int]:
    counts = value.items() if isinstance(value, Mapping) else ()
    return {printable(kind): number for kind, count in counts if (number := _count(count))}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0

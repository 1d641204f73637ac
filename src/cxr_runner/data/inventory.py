"""The inventory of a data set: what was read, how it looked in its source, and what was passed over.

It is a dictionary ready for JSON, as ``data.json`` of a run holds it:

- ``classes``: one entry for every class in every split: ``class``, ``split``, ``images``; numbers of images by
  ``formats``, ``modes`` and ``bits`` that they need (see :class:`~cxr_runner.data.decode.Decoded`); least and largest
  ``width`` and ``height`` in pixels; the first ``folders`` that they lie in, and ``num_folders``;
- ``passed_over``: ``suffix``, ``reason`` and number of ``files`` that the source leaves out;
- ``rows``: number of rows of a table that are left out, by ``reason``;
- ``filtered``: number of images that ``data.where`` leaves out by what their files tell;
- ``bits``: bits that black to white takes in images with more than 8; None where there is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxr_runner.base.numbers import list_few, plural
from cxr_runner.data.sources import ROWS, SPLITS, PassedOver

if TYPE_CHECKING:  # a description that was kept is shown without pandas
    import pandas as pd

_MOST_FOLDERS = 8


def take_inventory(
    table: "pd.DataFrame", class_names: Sequence[str], passed_over: Sequence[PassedOver], bits: int | None
) -> dict[str, Any]:
    """Count what a data set is made of.

    Args:
        table: images, with columns ``name``, ``label``, ``split``, ``format``, ``mode``, ``bits``, ``width`` and
            ``height``.
        class_names: names of labels 0 and 1.
        passed_over: what the source leaves out.
        bits: bits that images with more than 8 were scaled by.
    """
    classes = [
        {"class": class_name, "split": split, **_counted(part)}
        for split in SPLITS
        for label, class_name in enumerate(class_names)
        if len(part := table[(table["split"] == split) & (table["label"] == label)])
    ]
    rows = [{"reason": one.reason, "rows": one.number} for one in passed_over if one.what == ROWS]
    return {"classes": classes, "passed_over": passed_over_as_dicts(passed_over), "rows": rows, "bits": bits}


def passed_over_as_dicts(passed_over: Sequence[PassedOver]) -> list[dict[str, str | int]]:
    """Return the files that are left out as an inventory holds them."""
    return [{"suffix": one.what, "reason": one.reason, "files": one.number} for one in passed_over if one.what != ROWS]


def summarize_inventory(inventory: Mapping[str, Any]) -> str:
    """Return one phrase: formats, modes, sizes and bits of all images, and what was passed over."""
    classes = inventory["classes"]
    widths, heights = ([size for one in classes for size in one[side]] for side in ("width", "height"))
    sizes = f"{min(widths)}x{min(heights)}"
    if (max(widths), max(heights)) != (min(widths), min(heights)):
        sizes += f" to {max(widths)}x{max(heights)}"
    formats, modes = (_named(_total(one[key] for one in classes)) for key in ("formats", "modes"))
    parts = [f"{formats} ({modes}), {sizes}"]
    if inventory["bits"] is not None:
        parts.append(f"scaled by {inventory['bits']} bits")
    if inventory.get("filtered"):
        parts.append(f"{inventory['filtered']:,} left out by data.where")
    if inventory.get("rows"):
        parts.append(f"left out {list_few([_of_rows(one) for one in inventory['rows']])}")
    if inventory["passed_over"]:
        counts = [
            f"{one['files']:,} {one['suffix'] or 'no suffix'} ({one['reason']})" for one in inventory["passed_over"]
        ]
        parts.append(f"passed over {list_few(counts)}")
    return "; ".join(parts)


def list_inventory(inventory: Mapping[str, Any]) -> list[str]:
    """Return a line for each class in each split, and one for all that was passed over for one reason."""
    lines = []
    for one in inventory["classes"]:
        sides = " x ".join(_range(*one[side]) for side in ("width", "height"))
        deep = any(mode.endswith(";16") for mode in one["modes"])
        bits = f"{_named(one['bits'])} bits" + (f" of {inventory['bits']}" if deep else "")
        folders = list_few([folder or "the root" for folder in one["folders"]], most=3)
        more = f" ({one['num_folders']:,} folders)" if one["num_folders"] > len(one["folders"]) else ""
        kinds = f"{_named(one['formats'])}, {_named(one['modes'])}"
        what = f"{plural(one['images'], 'image')}, {kinds}, {bits}, {sides} pixels"
        lines.append(f"{one['split']} {one['class']}: {what}, in {folders}{more}")
    return (
        lines
        + [
            f"passed over: {one['files']:,} {one['suffix'] or 'without suffix'}, {one['reason']}"
            for one in inventory["passed_over"]
        ]
        + [f"left out: {_of_rows(one)}" for one in inventory.get("rows", ())]
    )


def _of_rows(one: Mapping[str, Any]) -> str:
    return f"{plural(one['rows'], 'row')} ({one['reason']})"


def _counted(part: "pd.DataFrame") -> dict[str, Any]:
    folders = sorted({name.rpartition("/")[0] for name in part["name"]})
    counts = {
        key: {str(value): int(number) for value, number in part[column].value_counts().sort_index().items()}
        for key, column in (("formats", "format"), ("modes", "mode"), ("bits", "bits"))
    }
    sizes = {side: [int(part[side].min()), int(part[side].max())] for side in ("width", "height")}
    return {"images": len(part), **counts, **sizes, "folders": folders[:_MOST_FOLDERS], "num_folders": len(folders)}


def _total(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _named(counts: Mapping[str, int]) -> str:
    """Name the only value, or all with their counts."""
    if len(counts) == 1:
        return next(iter(counts))
    return " and ".join(f"{number:,} {value}" for value, number in counts.items())


def _range(least: int, largest: int) -> str:
    return str(least) if least == largest else f"{least}-{largest}"

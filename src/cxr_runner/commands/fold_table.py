"""The folds of a data set in a table, as ``cxr-data describe`` prints it."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import plural

_MOST_REPEATS = 3  # whose folds are listed


def list_folds(descriptions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table of folds for each seed of the split, in lines; of splits without folds, how many there are.

    Args:
        descriptions: one for each split, as :meth:`cxr_runner.data.dataset.Dataset.describe` gives it, in the order of
            their seeds.
    """
    if descriptions[0]["split"]["folds"] is None:
        different = len({one["fingerprint"] for one in descriptions})
        return [f"  the first of {plural(different, 'split')}"] if len(descriptions) > 1 else []
    lines = []
    repeats = [(seed, list(folds)) for seed, folds in groupby(descriptions, key=lambda one: one["split"]["seed"])]
    for seed, folds in repeats[:_MOST_REPEATS]:
        split = folds[0]["split"]
        what = f"{split['folds']} folds, each {split['rotates']} in its turn"
        lines += [f"  {what} (data.split.seed={seed}, by {_unit(split)})", *_table(folds)]
    if (more := len(repeats) - _MOST_REPEATS) > 0:
        lines.append(f"  and {plural(more, 'more split')} into folds")
    return lines


def _unit(split: Mapping[str, Any]) -> str:
    return "patient" if split["strategy"] == "patient" else "image"


def _table(folds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows of one table, below their headers."""
    rows = [["fold", "images", "patients", *map(printable, _counts(folds[0])), "positive"]]
    for one in folds:
        counts = _counts(one)
        total, patients = sum(counts.values()), one["num_patients"]
        shown = "not known" if patients is None else f"{patients[one['split']['rotates']]:,}"
        share = f"{counts[one['positive_class']] / total:.1%}"
        rows.append([str(one["split"]["fold"]), f"{total:,}", shown, *(f"{n:,}" for n in counts.values()), share])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["    " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _counts(description: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of images of each class in the fold."""
    counts: dict[str, int] = description["counts"][description["split"]["rotates"]]
    return counts

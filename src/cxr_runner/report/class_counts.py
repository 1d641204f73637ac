"""The images of each class, as the runs were trained on them."""

from collections.abc import Mapping
from typing import Any

from cxr_runner.base.markdown import printable


def class_counts(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the images of each class in each split, from ``data.json``; nothing where it does not say so."""
    counts = facts.get("counts")
    if not isinstance(counts, dict):
        return {}
    checked: dict[str, dict[str, int]] = {}
    for split, classes in counts.items():
        if not isinstance(classes, dict) or not classes:
            return {}
        if not all(isinstance(number, int) and 0 <= number < 10**9 for number in classes.values()):
            return {}
        checked[str(split)] = {str(name): number for name, number in classes.items()}
    return checked if len({tuple(classes) for classes in checked.values()}) == 1 else {}


def class_names(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the negative and the positive class, from ``data.json``; those words where it has none."""
    positive = printable(facts.get("positive_class") or "") or "positive"
    names = {name for classes in class_counts(facts).values() for name in classes}
    others = [printable(name) for name in names if printable(name) != positive]
    return (others[0] if len(others) == 1 else "negative"), positive

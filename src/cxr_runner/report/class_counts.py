"""The images of each class, as the runs were trained on them."""

from collections.abc import Mapping
from typing import Any


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

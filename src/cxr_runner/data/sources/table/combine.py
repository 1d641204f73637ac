"""One image out of the rows that name it."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

CONTRADICTORY, TIED = "rows that contradict each other", "as many rows for as against"
Rule = Literal["refuse", "any", "all", "majority"]


def combine_labels(labels: Sequence[int | str], rule: Rule) -> int | str:
    """Return the label of an image with one or several rows.

    Args:
        labels: 0, 1 or the reason why a row has neither, of each row.
        rule: ``any`` (positive if any row is), ``all`` (positive if all are), ``majority``, or ``refuse``, which
            decides nothing where rows contradict each other.

    Returns:
        0, 1, or the reason why the image is left out. TableRows without a label count for nothing beside others.
    """
    known = [label for label in labels if isinstance(label, int)]
    if not known:
        return Counter(map(str, labels)).most_common(1)[0][0]
    positives = sum(known)
    if positives in (0, len(known)):
        return int(positives > 0)
    match rule:
        case "any":
            return 1
        case "all":
            return 0
        case "majority":
            return TIED if 2 * positives == len(known) else int(2 * positives > len(known))
        case "refuse":
            return CONTRADICTORY


def only_value(values: Sequence[str]) -> str | None:
    """Return the only value that rows of an image have, '' for none; None where they contradict each other."""
    different = {value for value in values if value}
    return None if len(different) > 1 else next(iter(different), "")

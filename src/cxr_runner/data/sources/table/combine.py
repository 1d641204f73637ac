"""One image out of the rows that name it."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

NO_LABEL, OTHER = "no label", "a label that is in neither class"
CONTRADICTORY, TIED = "rows that contradict each other", "no majority of the rows"
Rule = Literal["refuse", "any", "all", "majority"]


def combine_labels(labels: Sequence[int | str], rule: Rule) -> int | str:
    """Return the label of an image with one or several rows.

    Args:
        labels: 0, 1 or the reason why a row has neither, of each row.
        rule: ``any`` (positive if any row is), ``all`` (positive if all are), ``majority``, or ``refuse``, which
            decides nothing where rows contradict each other.

    Returns:
        0, 1, or the reason why the image is left out. A row with a label of neither class is a vote for neither; one
        without a label is no vote.
    """
    votes = [label for label in labels if label != NO_LABEL]
    positives, negatives = votes.count(1), votes.count(0)
    if not positives and not negatives:
        return Counter(map(str, labels)).most_common(1)[0][0]
    if len(votes) in (positives, negatives):
        return int(positives > 0)
    match rule:
        case "any":
            return int(positives > 0)
        case "all":
            return OTHER if not negatives else 0
        case "majority":
            return TIED if 2 * max(positives, negatives) <= len(votes) else int(positives > negatives)
        case "refuse":
            return CONTRADICTORY


def only_value(values: Sequence[str]) -> str | None:
    """Return the only value that rows of an image have, '' for none; None where they contradict each other."""
    different = {value for value in values if value}
    return None if len(different) > 1 else next(iter(different), "")

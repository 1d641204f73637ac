"""How images compare with those that a model was trained on, in a line each."""

from collections import Counter

import pandas as pd

from cxr_runner.inference.training_images import (
    BORDERS,
    BRIGHTER,
    DARKER,
    DEEPER,
    INVERTED,
    NEAR,
    SAME,
    SHALLOWER,
    USUAL,
)

NOT_COMPARED = "the training images are not here, so that no image was compared with them"
_WORDS = {
    INVERTED: "inverted",
    DARKER: "darker than 99 % of its images",
    BRIGHTER: "brighter than 99 % of its images",
    BORDERS: "with borders darker or brighter than those of 98 % of its images",
    DEEPER: "of more than 8 bits, which it has none of",
    SHALLOWER: "of 8 bits, which it has none of",
}


def describe_familiarity(compared: pd.DataFrame) -> list[str]:
    """Say which images the model has seen, and which are unlike all that it has; nothing where none are.

    Args:
        compared: ``overlap`` and ``unlike`` of every image, of :class:`TrainingImages`.
    """
    lines, total = [], len(compared)
    counts = compared["overlap"].value_counts()
    if number := int((compared["overlap"] != "").sum()):
        parts = [f"{counts[kind]:,} {kind}" for kind in (SAME, NEAR) if kind in counts]
        lines.append(f"{number:,} of {total:,} images were in the training set (train or val): {', '.join(parts)}")
    reasons = Counter(reason for text in compared["unlike"] for reason in text.split("; ") if reason)
    # Of images like those of the training set, one in fifty is outside of its usual range.
    for kinds in ((DARKER, BRIGHTER), (BORDERS,)):
        if sum(reasons[kind] for kind in kinds) <= _most_by_chance(total):
            reasons = Counter({kind: number for kind, number in reasons.items() if kind not in kinds})
    if reasons:
        parts = [f"{reasons[kind]:,} {words}" for kind, words in _WORDS.items() if kind in reasons]
        lines.append(f"of {total:,} images, these are unlike the training set: {', '.join(parts)}")
    return lines


def _most_by_chance(total: int) -> float:
    """Return how many images outside the usual range no more than one set in a hundred has by chance."""
    from scipy.stats import binom  # here: it takes a second to import

    return float(binom.ppf(0.99, total, 1 - (USUAL[1] - USUAL[0])))

"""The study: what it published, as data, how to run it, and what its own figures give away.

``published`` reads ``study.yaml``; ``grid`` and ``sweep`` train both tables; ``recovery`` finds the counts behind any
table of rounded metrics, and ``errata``, ``slips`` and ``consequences`` hold the study against itself.
"""

from cxr_runner.study.published import (
    FAMILIES,
    Confusion,
    Family,
    Published,
    Row,
    Study,
    StudyFigure,
    load_study,
    match_row,
    same_setting,
)
from cxr_runner.study.recovery import Counts, Evaluation, Reported, Solution, matching_counts, possible_counts, recover

__all__ = [
    "FAMILIES",
    "Confusion",
    "Counts",
    "Evaluation",
    "Family",
    "Published",
    "Reported",
    "Row",
    "Solution",
    "Study",
    "StudyFigure",
    "load_study",
    "match_row",
    "matching_counts",
    "possible_counts",
    "recover",
    "same_setting",
]

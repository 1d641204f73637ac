"""The study: what it published, as data, how to run it, and what its printed numbers give away.

``study_file`` reads ``copetti.yaml`` into what ``published`` and ``claims`` define, ``matching`` tells which row a run
repeats; ``grid`` plans both tables; ``recovery`` finds the counts behind any
table of rounded metrics, and ``errata``, ``misprints`` and ``consequences`` compare its numbers with each other.
"""

from cxr_runner.study.figures import StudyFigure
from cxr_runner.study.matching import match_row, same_setting
from cxr_runner.study.published import (
    FAMILIES,
    ComparedMetric,
    Confusion,
    Family,
    Published,
    Row,
    Study,
)
from cxr_runner.study.recovery import Counts, Evaluation, Reported, Solution, matching_counts, possible_counts, recover
from cxr_runner.study.study_file import load_study

__all__ = [
    "FAMILIES",
    "ComparedMetric",
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

"""Studies as data: rows, published values, figures and claims, and what their printed numbers give away.

``study_file`` reads a file, whose schema is ``document``, into what ``published``, ``study_rows`` and ``claims``
define; ``matching`` tells which row a run repeats; ``grid`` plans the runs; ``recovery`` finds the counts behind any
table of rounded metrics, and ``errata``, ``misprints`` and ``consequences`` compare a study's numbers with each other.
"""

from cxr_runner.study.figures import StudyFigure
from cxr_runner.study.matching import match_row
from cxr_runner.study.published import ComparedMetric, Confusion, Study
from cxr_runner.study.recovery import Counts, Evaluation, Reported, Solution, matching_counts, possible_counts, recover
from cxr_runner.study.study_file import load_study
from cxr_runner.study.study_rows import FAMILIES, Published, Row, same_setting

__all__ = [
    "FAMILIES",
    "ComparedMetric",
    "Confusion",
    "Counts",
    "Evaluation",
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

"""Between which bounds a number has to lie for a claim, and at which level a test decides."""

import math

from cxr_runner.study import Study
from cxr_runner.study.claims import Condition


def region(condition: Condition, study: Study) -> tuple[float, float]:
    """Return between which bounds a number has to lie for a condition to hold."""
    rules, margin = study.rules, study.definitions[condition.statistic].margin
    infinite = float("inf")
    return {
        "higher": (0.0, infinite),
        "much higher": (0.0, infinite),
        "lower": (-infinite, 0.0),
        "not higher": (-infinite, margin),
        "not lower": (-margin, infinite),
        "alike": (-margin, margin),
        "above": (condition.bound, infinite),
        "most": (rules.mostly, infinite),
        "few": (-infinite, rules.mostly),
        "never": (-infinite, rules.never["share"]),
    }[condition.expect]


def as_stated(condition: Condition, estimate: float, study: Study) -> bool:
    """Say whether a number lies where a condition has it, however uncertain it is."""
    low, high = region(condition, study)
    return low <= estimate <= high


def strictest(study: Study) -> float:
    """Return the level of the first step of Holm's method, at which a claim is decided whatever the others are."""
    return study.rules.level / len(study.claims)


def nearest(condition: Condition, estimate: float, study: Study) -> float:
    """Return the bound that a number lies nearest to."""
    return min(region(condition, study), key=lambda bound: abs(bound - estimate))


def num_sides(condition: Condition, study: Study) -> int:
    """Return on how many sides of its region a number can lie that is not as claimed."""
    return sum(map(math.isfinite, region(condition, study)))


def strictest_level(condition: Condition, estimate: float, study: Study, num_tests: int) -> float:
    """Return the strictest two-sided level of one test; a contradiction pays for all tests and sides of a claim."""
    level = strictest(study)
    return level if as_stated(condition, estimate, study) else level / (num_tests * num_sides(condition, study))

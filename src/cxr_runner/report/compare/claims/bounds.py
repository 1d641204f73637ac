"""Between which bounds a number has to lie for a claim, and what its tests say of that."""

import math
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.stats import Estimate

if TYPE_CHECKING:  # they are named here, and made elsewhere
    from cxr_runner.study import Study
    from cxr_runner.study.claims import Condition


class PValues(NamedTuple):
    """The p value against a number's not being as claimed, and that against its being so; nan for no test."""

    support: float = math.nan
    contradiction: float = math.nan


NO_TEST = PValues()


def region(condition: "Condition", study: "Study") -> tuple[float, float]:
    """Return between which bounds a number has to lie for a condition to hold."""
    rules, margin, middle = study.rules, study.definitions[condition.statistic].margin, condition.bound
    infinite = math.inf
    return {
        "higher": (0.0, infinite),
        "much higher": (0.0, infinite),
        "lower": (-infinite, 0.0),
        "not higher": (-infinite, margin),
        "not lower": (-margin, infinite),
        "alike": (-margin, margin),
        "above": (middle, infinite),
        "about": (middle - margin, middle + margin),
        "often": (rules.often, infinite),
        "often not": (-infinite, 1 - rules.often),
        "never": (-infinite, rules.never["share"]),
    }[condition.expect]


def region_p_values(effect: Estimate, condition: "Condition", study: "Study") -> PValues:
    """Test whether a mean lies where a condition has it.

    Each bound has a one-sided test. A claim with a direction has one bound; "alike" and "about" have two, and both
    must be excluded (two one-sided tests, as :func:`cxr_runner.stats.equivalence` makes them), while a contradiction
    that may come from either side pays for two.
    """
    low, high = region(condition, study)
    bounds = [(low, "greater", "less")] * math.isfinite(low) + [(high, "less", "greater")] * math.isfinite(high)
    support = [effect.p_value(bound, within) for bound, within, _ in bounds]  # type: ignore[arg-type]
    contradiction = [effect.p_value(bound, beyond) for bound, _, beyond in bounds]  # type: ignore[arg-type]
    return PValues(max(support), min(1.0, len(bounds) * min(contradiction)))


def as_stated(condition: "Condition", estimate: float, study: "Study") -> bool:
    """Say whether a number lies where a condition has it, however uncertain it is."""
    low, high = region(condition, study)
    return low <= estimate <= high


def nearest(condition: "Condition", estimate: float, study: "Study") -> float:
    """Return the bound that a number lies nearest to."""
    return min(region(condition, study), key=lambda bound: abs(bound - estimate))


def num_sides(condition: "Condition", study: "Study") -> int:
    """Return on how many sides of its region a number can lie that is not as claimed."""
    return sum(map(math.isfinite, region(condition, study)))

"""How many more seeds, splits or test images would make a number sure enough.

What is seen is uncertain itself, and so is what would be needed: :func:`what_would_decide` says from how many to how
many, for a mean over runs of several splits, and :class:`Share` for a share of runs.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cxr_runner.stats.intervals import added_error, wilson
from cxr_runner.stats.replicates import SOURCES, Estimate, Source

MAX_NEEDED = 10_000  # seeds or images beyond which it is only said that nobody can have so many
CERTAINTY = 0.8  # of the range of how many would be needed


class Needed(NamedTuple):
    """How many, in all, would decide; None where no number does.

    Attributes:
        fewest: where the true difference is large: the lower end of the range.
        likely: where it is as seen.
        most: where it is small; None too where what is seen does not exclude that there is none.
    """

    fewest: int | None
    likely: int | None
    most: int | None


def what_would_decide(
    difference: Estimate, num_images: int, bound: float = 0.0, level: float = 0.05, power: float = 0.8
) -> dict[Source, Needed | None]:
    """Return how many seeds, splits or test images would make the interval exclude the bound, each on its own.

    The range is that of the true difference in standard errors, an 80 % interval by the noncentral t distribution, and
    holds the true number about so often. It is wide: where 34 seeds would do, since the true difference is half a
    standard deviation, ten seeds say 10 to 330 in eight of ten cases, and nearly half of the ranges have no upper end.

    Args:
        difference: difference of two configurations, or another mean over runs.
        num_images: number of test images of a split now.
        bound: value that the interval is to exclude.
        level: level of the two-sided test.
        power: share of cases in which that number does.

    Returns:
        For each source the numbers in all, those that are there included; None where nothing is known of it: of a
        single seed or split, of a single run, without test images. :class:`Needed` of three None says that no number
        would do, since something else is the limit.

    Source:
        Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 2; the interval: Steiger and
        Fouladi, "Noncentrality interval estimation and the evaluation of statistical models" (1997).
    """
    numbers = {"seeds": difference.num_seeds, "splits": difference.num_splits, "images": num_images}
    found: dict[Source, Needed | None] = {}
    for source in SOURCES:
        if getattr(difference.shares, source) is None or (source == "images" and not difference.variance.by_images):
            found[source] = None
            continue
        told = _told_apart(difference, source, numbers[source], level, power)
        most, likely, fewest = (
            next((number for number, least in told if distance >= least), None)
            for distance in _distances(difference, bound)
        )
        found[source] = Needed(fewest, likely, most)
    return found


def _distances(difference: Estimate, bound: float) -> tuple[float, float, float]:
    """Return how far from the bound the mean is: at least, as seen, and at most."""
    from scipy.special import nctdtrinc  # here, because scipy takes a second to import

    distance, freedom = abs(difference.mean - bound) / difference.error, min(difference.freedom, 1e6)
    tail = (1 - CERTAINTY) / 2
    least, most = (float(nctdtrinc(freedom, chance, distance)) for chance in (1 - tail, tail))
    return least * difference.error, distance * difference.error, most * difference.error


def _told_apart(
    difference: Estimate, source: Source, number: int, level: float, power: float
) -> list[tuple[int, float]]:
    """Return with how many of a source which true distance is told from none; more may tell less, with less freedom."""
    factors = [candidate / number for candidate in _candidates(number)]
    if source == "images":
        factors = list(np.geomspace(1, 1000, 300))
    found = []
    for factor in factors:
        error, freedom = added_error(difference.variance.variances(**{source: factor}))
        found.append((math.ceil(number * factor - 1e-9), _multiple(level, power, freedom) * error))
    return found


@dataclass(frozen=True)
class Share:
    """How many of some runs do a thing.

    Attributes:
        count: number of runs that do.
        total: number of all runs.
    """

    count: int
    total: int

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval."""
        _, low, high = wilson(self.count, self.total)
        return low, high

    def p_above(self, bound: float) -> float:
        """Return the exact p value against the share being at most the bound."""
        from scipy.special import bdtrc

        return float(bdtrc(self.count - 1, self.total, bound)) if self.count else 1.0

    def p_below(self, bound: float) -> float:
        """Return the exact p value against the share being at least the bound."""
        from scipy.special import bdtr

        return float(bdtr(self.count, self.total, bound)) if self.total else 1.0

    def needed(self, bound: float, level: float, power: float) -> Needed:
        """Return how many runs would tell a share such as the one seen from the bound, by the normal approximation.

        The range is that of the true share, an 80 % Wilson interval.

        Args:
            bound: share that is to be excluded.
            level: level of the two-sided test.
            power: share of cases in which that number does.

        Source:
            Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions" (2003), section 2.5.
        """
        seen, *ends = wilson(self.count, self.total, CERTAINTY)
        near, far = sorted(ends, key=lambda end: abs(end - bound))
        likely = min(max(seen, 0.5 / self.total), 1 - 0.5 / self.total)  # none and all are uncertain
        crossed = (near - bound) * (likely - bound) <= 0
        return Needed(
            self._enough(far, bound, level, power),
            self._enough(likely, bound, level, power),
            None if crossed else self._enough(near, bound, level, power),
        )

    def _enough(self, share: float, bound: float, level: float, power: float) -> int | None:
        from scipy.special import ndtri

        if share == bound:
            return None
        spread = float(ndtri(1 - level / 2)) * math.sqrt(bound * (1 - bound))
        spread += float(ndtri(power)) * math.sqrt(share * (1 - share))
        number = math.ceil((spread / (share - bound)) ** 2)
        return number if number <= MAX_NEEDED else None


def _candidates(least: int = 3) -> list[int]:
    """Return numbers of seeds to try: all small ones, then in steps of a tenth."""
    numbers = list(range(least, max(50, least + 1)))
    while numbers[-1] < MAX_NEEDED:
        numbers.append(math.ceil(numbers[-1] * 1.1))
    return numbers


def _multiple(level: float, power: float, freedom: float) -> float:
    """Return how many standard errors large a difference must be to be detected."""
    from scipy.special import ndtri, stdtrit

    if math.isinf(freedom):
        return float(ndtri(1 - level / 2) + ndtri(power))
    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power))

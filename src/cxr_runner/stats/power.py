"""How sure a number is that seeds and test images make uncertain, and how many of either would make it sure.

A difference of two models is a mean over seeds, and where it is one of test metrics also over images. Both models are
trained with the same seeds and tested on the same images, so differences are taken seed by seed and image by image. The
variances of the two means add up, and Student's t has the degrees of freedom of Welch and Satterthwaite. A bootstrap
would give intervals too, but from few seeds too narrow ones, and not how many seeds or images would be needed.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats import added_error, wilson

MAX_NEEDED = 10_000  # seeds or images beyond which it is only said that nobody can have so many


@dataclass(frozen=True)
class Effect:
    """A number with what makes it uncertain.

    Attributes:
        seeds: float [seeds], the number with each seed.
        images: float [patients], what each adds to it, the images of a patient together; their mean is 0. Empty where
            no test images are involved.
        images_each: number of images of a patient, on average.
    """

    seeds: NDArray[np.float64]
    images: NDArray[np.float64]
    images_each: float = 1.0

    @property
    def estimate(self) -> float:
        """The mean over the seeds."""
        return float(self.seeds.mean()) if len(self.seeds) else math.nan

    @property
    def variances(self) -> tuple[float, float]:
        """The variance of one seed and that of one patient; nan for a single seed."""
        by_seed = float(self.seeds.var(ddof=1)) if len(self.seeds) > 1 else math.nan
        return by_seed, float(self.images.var(ddof=1)) if len(self.images) > 1 else 0.0

    @property
    def error(self) -> tuple[float, float]:
        """The standard error and its degrees of freedom, of two seeds or more."""
        counts = (len(self.seeds), len(self.images))
        return added_error([(spread / n, n - 1) for spread, n in zip(self.variances, counts, strict=True) if n > 1])

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of the number; nan for fewer than two seeds."""
        from scipy.special import stdtrit  # here, because scipy takes a second to import

        if len(self.seeds) < 2:
            return math.nan, math.nan
        error, freedom = self.error
        half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
        return self.estimate - half, self.estimate + half

    def p_above(self, bound: float) -> float:
        """Return the p value against the number being at most the bound; 1 for fewer than two seeds."""
        from scipy.special import stdtr

        if len(self.seeds) < 2:
            return 1.0
        distance, (error, freedom) = self.estimate - bound, self.error
        if error < 1e-15:  # all seeds alike
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(freedom, -distance / error))

    def p_below(self, bound: float) -> float:
        """Return the p value against the number being at least the bound."""
        return Effect(-self.seeds, -self.images).p_above(-bound)

    def seeds_needed(self, bound: float, level: float, power: float) -> int | None:
        """Return how many seeds would tell a difference as large as the one seen from the bound, on these images.

        Args:
            bound: bound that the number is compared with.
            level: level of the two-sided test.
            power: share of cases in which the number of seeds would do.

        Returns:
            None where no number up to :data:`MAX_NEEDED` would do, or a single seed shows no spread.

        Source:
            Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 2, with Student's t.
        """
        by_seed, by_image = self.variances
        of_images = by_image / max(1, len(self.images))
        distance = abs(self.estimate - bound)
        for seeds in _candidates():
            error = math.sqrt(by_seed / seeds + of_images) if not math.isnan(by_seed) else math.nan
            if distance >= _multiple(level, power, seeds - 1) * error:
                return seeds
        return None

    def images_needed(self, bound: float, level: float, power: float) -> int | None:
        """Return how many test images would do if seeds were no question; None without images or beyond any number."""
        distance, by_image = abs(self.estimate - bound), self.variances[1]
        if not by_image or not distance:
            return None
        patients = by_image * (_multiple(level, power, math.inf) / distance) ** 2
        needed = math.ceil(patients * self.images_each)
        return needed if needed <= MAX_NEEDED * 100 else None


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

    def needed(self, bound: float, level: float, power: float) -> int | None:
        """Return how many runs would tell a share such as the one seen from the bound, by the normal approximation.

        Source:
            Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions" (2003), section 2.5.
        """
        from scipy.special import ndtri

        share = min(max(self.count / self.total, 0.5 / self.total), 1 - 0.5 / self.total)  # none and all are uncertain
        if share == bound:
            return None
        spread = float(ndtri(1 - level / 2)) * math.sqrt(bound * (1 - bound))
        spread += float(ndtri(power)) * math.sqrt(share * (1 - share))
        needed = math.ceil((spread / (share - bound)) ** 2)
        return needed if needed <= MAX_NEEDED else None


def _candidates() -> list[int]:
    """Return numbers of seeds to try: all small ones, then in steps of a tenth."""
    numbers = list(range(3, 50))
    while numbers[-1] < MAX_NEEDED:
        numbers.append(math.ceil(numbers[-1] * 1.1))
    return numbers


def _multiple(level: float, power: float, freedom: float) -> float:
    """Return how many standard errors large a difference must be to be detected."""
    from scipy.special import ndtri, stdtrit

    if math.isinf(freedom):
        return float(ndtri(1 - level / 2) + ndtri(power))
    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power))

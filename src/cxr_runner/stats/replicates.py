"""The mean of a metric over runs of several splits and seeds, as uncertain as splits, seeds and test images make it."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_runner.stats.components import Components, crossed_components
from cxr_runner.stats.intervals import CONFIDENCE, added_error

Alternative = Literal["two-sided", "greater", "less"]
Source = Literal["seeds", "splits", "images"]
SOURCES: tuple[Source, ...] = ("seeds", "splits", "images")


@dataclass(frozen=True)
class Sources:
    """A figure for each thing that makes a metric uncertain; None where it is not known.

    Attributes:
        seeds: of the seeds of runs.
        splits: of the choice of training images.
        images: of the choice of test images.
    """

    seeds: float | None
    splits: float | None
    images: float | None


@dataclass(frozen=True)
class Estimate:
    """The mean of a metric, or of a difference of two configurations, over runs.

    Attributes:
        mean: mean over all runs.
        low: lower end of the interval; nan of a single run.
        high: upper end.
        p: p value against a mean of 0.
        error: standard error of the mean.
        freedom: degrees of freedom of Student's t, may be infinite.
        num_runs: number of runs.
        num_splits: number of splits among them.
        num_seeds: number of seeds among them.
        spread: standard deviation that each source gives one run.
        shares: share of each source in the variance of the mean; they add up to 1.
        doubled: half the width of the interval with twice as many seeds, splits or images.
        confidence: confidence of the interval.
    """

    mean: float
    low: float
    high: float
    p: float
    error: float
    freedom: float
    num_runs: int
    num_splits: int
    num_seeds: int
    spread: Sources
    shares: Sources
    doubled: Sources
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def worth_more_of(self) -> Source | None:
        """What to double for the narrowest interval; None where nothing is known to make it narrower."""
        known: list[tuple[float, Source]] = []
        for name in SOURCES:
            half = getattr(self.doubled, name)
            if half is not None and half < self.half_width * (1 - 1e-9):
                known.append((half, name))
        return min(known)[1] if known else None

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the interval with another confidence."""
        half = _half(self.error, self.freedom, confidence)
        return self.mean - half, self.mean + half

    def p_value(self, bound: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """Return the p value against a mean equal to the bound, or at most it (greater), or at least it (less)."""
        from scipy.special import stdtr  # here, because scipy takes a second to import

        distance = self.mean - bound
        if math.isnan(self.error):
            return math.nan
        if self.error < 1e-15:  # all runs alike
            distance = 0.0 if abs(distance) < 1e-15 else distance
            beyond = {"two-sided": distance != 0, "greater": distance > 0, "less": distance < 0}[alternative]
            return 0.0 if beyond else 1.0
        ratio = distance / self.error
        if alternative == "two-sided":
            return float(2 * stdtr(self.freedom, -abs(ratio)))
        return float(stdtr(self.freedom, ratio if alternative == "less" else -ratio))


def mean_over_runs(
    values: ArrayLike,
    splits: ArrayLike,
    seeds: ArrayLike,
    held_ratio: float,
    by_images: float,
    shared_test: bool = False,
    confidence: float = CONFIDENCE,
    alternative: Alternative = "two-sided",
) -> Estimate:
    """Return the mean of a metric over runs of several splits and seeds, with its interval and what makes it uncertain.

    Args:
        values: float [runs], a metric, or the difference of two configurations on the same splits and seeds.
        splits: int [runs], number of the split.
        seeds: int [runs], seed of the run; in every split it gives the same initial weights.
        held_ratio: number of images of the fold that rotates over number of training images, 0.25 of five folds.
        by_images: variance that the choice of test images gives the mean over the seeds of one split; 0 where no test
            images are involved.
        shared_test: whether all splits are tested on the same images.
        confidence: confidence of the interval.
        alternative: alternative to a mean of 0 that ``p`` is for.

    Returns:
        Estimate. Of one split it is that of :func:`~cxr_runner.stats.intervals.mean_over_seeds`: training sets are not
        seen to vary. Of one seed the part of seeds is not known. Of a single run there is no interval.
    """
    numbers = np.asarray(values, np.float64)
    grid = _grid(numbers, splits, seeds, held_ratio, by_images, shared_test)
    mean = float(numbers.mean()) if len(numbers) else math.nan
    error, freedom = added_error(grid.variances())
    half = _half(error, freedom, confidence)
    counts = (len(numbers), grid.num_splits, grid.num_seeds)
    figures = (grid.spread(), grid.shares(), grid.doubled(confidence))
    ends = (mean, mean - half, mean + half)
    estimate = Estimate(*ends, math.nan, error, freedom, *counts, *figures, confidence)
    return replace(estimate, p=estimate.p_value(0.0, alternative))


@dataclass(frozen=True)
class _Grid:
    """What the variance of a mean over runs is made of."""

    num_splits: int
    num_seeds: int
    worth_splits: float  # number of splits with as many runs each whose mean is as uncertain
    worth_seeds: float
    components: Components
    held_ratio: float
    by_images: float  # of one split
    shared_test: bool

    @property
    def _rest(self) -> float:
        """The part of the variance of a split's mean that more seeds would make smaller."""
        if self.num_splits == 1 or math.isnan(self.components.seeds):
            return 0.0
        return min(self.components.rest / self.worth_seeds, self.components.split_mean)

    def variances(self, seeds: int = 1, splits: int = 1, images: int = 1) -> list[tuple[float, float]]:
        """Return the variances of the mean with their degrees of freedom, with so many times as much of each source."""
        if self.num_splits == 1:
            of_seeds = self.components.rest / (seeds * self.num_seeds)  # nan of a single run
            return [(of_seeds, max(1, seeds * self.num_seeds - 1)), (self.by_images / images, np.inf)]
        less = self._rest * (1 - 1 / seeds) + self._images_within * (1 - 1 / images)
        share = 1 / (splits * self.worth_splits) + self.held_ratio
        found = [(share * (self.components.split_mean - less), splits * self.num_splits - 1.0)]
        if self.components.seeds > 0:  # neither nan nor 0
            found.append((self.components.seeds / (seeds * self.worth_seeds), seeds * self.num_seeds - 1))
        if self.shared_test:
            found.append((self.by_images / images, np.inf))
        return found

    @property
    def _images_within(self) -> float:
        """The part of the variance of a split's mean that its test images give it; 0 where all splits share them."""
        return 0.0 if self.shared_test else min(self.by_images, self.components.split_mean - self._rest)

    def shares(self) -> Sources:
        """Return the share of each source in the variance of the mean."""
        whole = sum(variance for variance, _ in self.variances())
        if not whole > 0:
            return Sources(None, None, None)
        if self.num_splits == 1:
            images = self.by_images / whole
            return Sources(1 - images, None, images)
        share = (1 / self.worth_splits + self.held_ratio) / whole
        images = self.by_images / whole if self.shared_test else share * self._images_within
        training = share * (self.components.split_mean - self._rest - self._images_within)
        known = not math.isnan(self.components.seeds)
        return Sources(max(0.0, 1 - images - training) if known else None, training, images)

    def spread(self) -> Sources:
        """Return the standard deviation that each source gives one run."""
        parts = self.components
        images = math.sqrt(self.by_images)
        if self.num_splits == 1:
            return Sources(math.sqrt(parts.rest) if self.num_seeds > 1 else None, None, images)
        training = max(0.0, parts.split_mean - self._rest - (0.0 if self.shared_test else self.by_images))
        seeds = None if math.isnan(parts.seeds) else math.sqrt(parts.seeds + parts.rest)
        return Sources(seeds, math.sqrt(training), images)

    def doubled(self, confidence: float) -> Sources:
        """Return half the width of the interval with twice as much of each source."""
        half = {name: _half(*added_error(self.variances(**{name: 2})), confidence) for name in SOURCES}
        if self.num_splits == 1:
            half["splits"] = math.nan
        elif math.isnan(self.components.seeds):
            half["seeds"] = math.nan
        return Sources(**{name: None if math.isnan(value) else value for name, value in half.items()})


def _grid(
    values: NDArray[np.float64],
    splits: ArrayLike,
    seeds: ArrayLike,
    held_ratio: float,
    by_images: float,
    shared_test: bool,
) -> _Grid:
    codes = [np.unique(np.asarray(one), return_inverse=True)[1].ravel() for one in (splits, seeds)]
    counts = [np.bincount(one) for one in codes]
    worth = [float(len(values) ** 2 / np.square(one).sum()) if len(values) else math.nan for one in counts]
    components = crossed_components(values, *codes) if len(values) else Components(0.0, math.nan, math.nan, 0.0)
    num_splits, num_seeds = (max(1, len(one)) for one in counts)
    return _Grid(num_splits, num_seeds, worth[0], worth[1], components, held_ratio, by_images, shared_test)


def _half(error: float, freedom: float, confidence: float) -> float:
    """Return half the width of Student's interval."""
    from scipy.special import stdtrit

    return math.nan if math.isnan(error) else float(stdtrit(freedom, (1 + confidence) / 2)) * error

"""The mean of a metric over runs of several splits and seeds, as uncertain as splits, seeds and test images make it.

The model is y = mean + split + seed + rest: seeds are crossed with splits, since a seed gives the same initial weights
in all of them. The variance of the mean over J splits and K seeds is a sum, and Student's t has Satterthwaite's degrees
of freedom. S^2 is the variance of the splits' means, r the number of images of the fold that rotates over that of
training images, var() a variance component of the two-way grid.

- Splits tested on their own folds: (max(1/J, r / (1 + r)) + r) S^2, with J - 1 degrees of freedom. This is Nadeau and
  Bengio's (1/J + r) S^2 up to as many splits as test every image once, J = (1 + r) / r. More splits tell S^2 better,
  but have the images in common: with 1/J, ten repeats of five folds gave intervals that were too narrow. It is at
  least max(1/J, r / (1 + r)) times the variance that resampling its test images gives a split: a few splits may be
  alike by luck.
- Splits that share the test images: (1/J + 1/r) var(splits), with J - 1 degrees of freedom, + var(rest) / JK + the
  variance by images. Two training sets have 1 / (1 + r) of their images in common; as much of the variance between
  training sets is common to all splits, and only the other r / (1 + r) is seen between them.
- Either: + var(seeds) / K, with K - 1 degrees of freedom.
- One split: var(runs) / K + the variance by images. That training sets vary is not seen.

Source:
    Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), 239-281; repeated folds:
    Bouckaert and Frank, "Evaluating the Replicability of Significance Tests for Comparing Learning Algorithms", PAKDD
    2004; seeds beside splits: Bouthillier et al., "Accounting for Variance in Machine Learning Benchmarks", MLSys 2021.
    The bounds by r / (1 + r), the case of shared test images and the sum are this project's; how often the intervals
    hold the truth is simulated in ``docs/statistics.md``.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cxr_runner.stats.components import MeanVariance, mean_variance
from cxr_runner.stats.intervals import CONFIDENCE, added_error

Alternative = Literal["two-sided", "greater", "less"]
Source = Literal["seeds", "splits", "images"]
NO_BOUNDS = (-math.inf, math.inf)
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
        low: lower end of the interval, within the bounds; nan of a single run.
        high: upper end.
        p: p value against a mean of 0.
        error: standard error of the mean.
        freedom: degrees of freedom of Student's t, may be infinite.
        num_runs: number of runs.
        num_splits: number of splits among them.
        num_seeds: number of seeds among them.
        spread: standard deviation that each source gives one run; images, the mean over the seeds of one split.
        shares: share of each source in the variance of the mean; those known add up to 1.
        doubled: half the width of the interval with twice as many seeds, splits or images.
        variance: what the variance of the mean is made of.
        confidence: confidence of the interval.
        bounds: what the true mean cannot lie outside of.
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
    variance: MeanVariance
    confidence: float = CONFIDENCE
    bounds: tuple[float, float] = NO_BOUNDS

    @property
    def half_width(self) -> float:
        """Half the width of the interval where no bound cuts it off."""
        return _half(self.error, self.freedom, self.confidence)

    @property
    def worth_more_of(self) -> Source | None:
        """What to double for the narrowest interval; None where nothing known makes it narrower."""
        halves = {name: getattr(self.doubled, name) for name in SOURCES}
        known = {name: half for name, half in halves.items() if half is not None}
        best = min(known, key=lambda name: known[name], default=None)
        return best if best is not None and known[best] < self.half_width * (1 - 1e-9) else None

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the interval with another confidence."""
        return _ends(self.mean, _half(self.error, self.freedom, confidence), self.bounds)

    def p_value(self, bound: float = 0.0, alternative: Alternative = "two-sided") -> float:
        """Return the p value against a mean equal to the bound, or at most it (greater), or at least it (less)."""
        from scipy.special import stdtr  # here, because scipy takes a second to import

        distance = self.mean - bound
        if math.isnan(self.error):
            return math.nan
        if self.error < 1e-15:  # all runs alike
            distance = distance if abs(distance) > 1e-15 else 0.0
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
    bounds: tuple[float, float] = NO_BOUNDS,
) -> Estimate:
    """Return the mean of a metric over runs of several splits and seeds, with its interval and what makes it uncertain.

    The formulas and their sources stand at the head of this module.

    Args:
        values: float [runs], a metric, or the difference of two configurations on the same splits and seeds.
        splits: int [runs], number of the split.
        seeds: int [runs], seed of the run; no two runs have the same split and seed, some may be missing.
        held_ratio: number of images of the fold that rotates over number of training images, 0.25 of five folds.
        by_images: variance that the choice of test images gives the mean over the seeds of one split, by resampling
            patients; the mean over the splits. 0 where no test images are involved.
        shared_test: whether all splits are tested on the same images.
        confidence: confidence of the interval.
        alternative: alternative to a mean of 0 that ``p`` is for.
        bounds: what the true mean cannot be beyond, 0 and 1 of a rate; cut off there, an interval holds it as often.

    Returns:
        Estimate. Of one split it is that of :func:`~cxr_runner.stats.intervals.mean_over_seeds`. Of one seed, and where
        no seed was trained on two splits, the part of seeds is None and not in the interval beyond what splits show of
        it. Of a single run there is no interval.
    """
    numbers = np.asarray(values, np.float64)
    variance = mean_variance(numbers, splits, seeds, held_ratio, by_images, shared_test)
    error, freedom = added_error(variance.variances())
    mean = float(numbers.mean()) if len(numbers) else math.nan
    low, high = _ends(mean, _half(error, freedom, confidence), bounds)
    estimate = Estimate(
        mean=mean,
        low=low,
        high=high,
        p=math.nan,
        error=error,
        freedom=float(freedom),
        num_runs=len(numbers),
        num_splits=variance.num_splits,
        num_seeds=variance.num_seeds,
        spread=Sources(*variance.spread()),
        shares=Sources(*variance.shares()),
        doubled=_doubled(variance, confidence),
        variance=variance,
        confidence=confidence,
        bounds=bounds,
    )
    return replace(estimate, p=estimate.p_value(0.0, alternative))


def _doubled(variance: MeanVariance, confidence: float) -> Sources:
    """Return half the width of the interval with twice as much of each source."""
    known = zip(SOURCES, variance.shares(), strict=True)
    halves = [
        _half(*added_error(variance.variances(**{name: 2})), confidence) if share is not None else None
        for name, share in known
    ]
    return Sources(*halves)


def _ends(mean: float, half: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return both ends of an interval, cut off at the bounds; nan without one."""
    return float(np.maximum(mean - half, bounds[0])), float(np.minimum(mean + half, bounds[1]))


def _half(error: float, freedom: float, confidence: float) -> float:
    """Return half the width of Student's interval."""
    from scipy.special import stdtrit

    return math.nan if math.isnan(error) else float(stdtrit(freedom, (1 + confidence) / 2)) * error

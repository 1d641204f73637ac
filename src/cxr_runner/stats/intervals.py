"""Intervals: of a share, of a mean over seeds, and of anything else by resampling images."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
REPLICATES = (
    2000  # the ends of a 95 % interval then rest on 50 replicates each, and are good to a twentieth of its width
)
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Interval(NamedTuple):
    """An estimate and the two ends of its interval; the ends are nan where there is none."""

    estimate: float
    low: float
    high: float


class Difference(NamedTuple):
    """The first figure minus the second, the two ends of its interval, and the two-sided p value that it is 0."""

    estimate: float
    low: float
    high: float
    p: float


def wilson(correct: float, num_images: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the Wilson score interval of a share; nan for no images.

    Args:
        correct: images that are classified correctly; a fraction where the share is a mean of several.
        num_images: out of so many; a fraction where they do not all weigh the same, see :func:`effective_images`.
        confidence: confidence of the interval.

    Source:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
        Statistical Association 22 (1927), 209-212.
    """
    from scipy.special import ndtri  # here, because scipy takes a second to import

    if num_images < 1:
        return Interval(np.nan, np.nan, np.nan)
    share, z2 = correct / num_images, ndtri((1 + confidence) / 2) ** 2 / num_images
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    centre = (share + z2 / 2) / (1 + z2)
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def effective_images(num_images: int, batch_size: int) -> float:
    """Return the effective number of images where accuracies of batches are averaged.

    The images of the last batch weigh more than others where it is smaller, so that the mean is as uncertain as
    that of fewer images of equal weight. The variance of the mean over B batches
    of n_b images is p (1 - p) sum(1 / n_b) / B^2, that of N images weighed alike p (1 - p) / N.

    Args:
        num_images: number of images, at least one.
        batch_size: size of all batches but the last, which holds the remaining images.
    """
    sizes = [min(batch_size, num_images - start) for start in range(0, num_images, batch_size)]
    return len(sizes) ** 2 / sum(1 / size for size in sizes)


def resample(
    num_images: int, groups: Sequence[Hashable] | None = None, replicates: int = REPLICATES, seed: int = 0
) -> NDArray[np.float64]:
    """Draw as many images as there are, with replacement, many times over.

    Args:
        num_images: number of images of the test split.
        groups: patient of every image: whole patients are drawn then, since the images of one are alike; None where
            patients are not known.
        replicates: number of draws.
        seed: seed of the draws.

    Returns:
        How often each image was drawn, float [images, replicates]. What two models are compared by must be computed
        with the same draws: that makes a comparison paired.

    Source:
        Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979), 1-26; of clusters:
        Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007), 369-390.
    """
    codes = np.arange(num_images) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    assert len(codes) == num_images
    num_groups = int(codes.max()) + 1
    drawn = np.random.default_rng(seed).integers(num_groups, size=(replicates, num_groups))
    drawn += np.arange(replicates)[:, None] * num_groups
    counts = np.bincount(drawn.ravel(), minlength=replicates * num_groups).reshape(replicates, num_groups)
    return np.ascontiguousarray(counts.T[codes].astype(np.float64))


def bootstrap(statistic: Statistic, weights: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """Return the percentile interval of a statistic.

    Args:
        statistic: takes the weight of every image, float [images, replicates], and returns float [replicates].
        weights: draws as :func:`resample` returns them.
        confidence: confidence of the interval.
    """
    return percentile_interval(_estimate(statistic, weights), statistic(weights), confidence)


def percentile_interval(estimate: float, replicates: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """Return the interval that replicates of an estimate span; those that are nan count for nothing.

    The percentile interval and not BCa: the two are alike at some hundred images.

    Args:
        estimate: estimate on the images as they are.
        replicates: float [replicates], the same on resampled ones.
        confidence: confidence of the interval.

    Source:
        Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    finite = replicates[np.isfinite(replicates)]
    if not len(finite):
        return Interval(estimate, np.nan, np.nan)
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def added_error(variances: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the standard error of a number that several things make uncertain, and its degrees of freedom.

    Args:
        variances: variance that each gives the number, and the degrees of freedom of that, which may be infinite.

    Source:
        Satterthwaite, "An Approximate Distribution of Estimates of Variance Components", Biometrics Bulletin 2 (1946),
        110-114.
    """
    variance = sum(one for one, _ in variances)
    below = sum(one**2 / freedom for one, freedom in variances)
    return float(np.sqrt(variance)), variance**2 / below if below else np.inf


def mean_over_seeds(
    values: NDArray[np.float64], replicates: NDArray[np.float64], confidence: float = CONFIDENCE
) -> Difference:
    """Return the mean of a metric over seeds, or of a difference, as uncertain as seeds and test images make it.

    The variances that seeds and images give the mean add up; Student's t has the degrees of freedom of Welch and
    Satterthwaite, those of the images taken as unlimited. Seeds drawn anew would give too narrow an interval: there are
    few of them.

    Args:
        values: float [seeds], on the test images as they are.
        replicates: float [seeds, replicates], on resampled ones; those that are nan count for nothing.
        confidence: confidence of the interval.

    Returns:
        The interval and the p value of a mean of 0; nan for fewer than two seeds, which show no spread.
    """
    from scipy.special import stdtr, stdtrit

    mean, num_seeds = float(values.mean()) if len(values) else np.nan, len(values)
    if num_seeds < 2:
        return Difference(mean, np.nan, np.nan, np.nan)
    of_seeds, of_images = float(values.var(ddof=1)) / num_seeds, float(np.nanvar(replicates.mean(axis=0)))
    error, freedom = added_error([(of_seeds, num_seeds - 1), (of_images, np.inf)])
    if error < 1e-15:  # all alike
        return Difference(mean, mean, mean, float(abs(mean) < 1e-15))
    half = stdtrit(freedom, (1 + confidence) / 2) * error
    return Difference(mean, float(mean - half), float(mean + half), float(2 * stdtr(freedom, -abs(mean) / error)))


def _estimate(statistic: Statistic, weights: NDArray[np.float64]) -> float:
    return float(statistic(np.ones((len(weights), 1)))[0])  # each image as often as it is there

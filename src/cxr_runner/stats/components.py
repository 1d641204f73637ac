"""Variance of runs whose seeds and splits are crossed: its components, and the variance of their mean."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Codes = NDArray[np.intp]


class Components(NamedTuple):
    """What makes the metric of a run vary: y = mean + split + seed + rest.

    Attributes:
        splits: variance of the splits' main effect; nan where it cannot be told from the rest.
        seeds: variance of the seeds' main effect, which a seed has in all splits; nan likewise.
        rest: variance of what a seed does in one split only; of one split that of its runs.
        split_mean: variance of the mean over the seeds of one split, the rest included: what S^2 of the split means is
            in a complete grid; nan of one split.
        seeds_each: number of seeds of a split that ``split_mean`` is a mean over.
    """

    splits: float
    seeds: float
    rest: float
    split_mean: float
    seeds_each: float


def crossed_components(values: NDArray[np.float64], splits: Codes, seeds: Codes) -> Components:
    """Estimate the variance components of a two-way grid without replication by the method of moments.

    What splits add to a least-squares fit of the seeds, what seeds add to one of the splits, and the residuals of both
    together are set equal to their expectations (Henderson's method 3). In a complete grid that is the two-way analysis
    of variance; where runs are missing it is still unbiased, and a seed with which all runs collapse does not make
    splits seem different. Variances below 0 are set to 0.

    Args:
        values: float [runs].
        splits: int [runs], counted from 0 without gaps.
        seeds: int [runs], likewise; no two runs have the same split and seed.

    Source:
        Henderson, "Estimation of Variance and Covariance Components", Biometrics 9 (1953), 226-252; Searle, Casella and
        McCulloch, "Variance Components" (1992), section 5.5.
    """
    total, num_splits, num_seeds = len(values), int(splits.max()) + 1, int(seeds.max()) + 1
    if num_splits == 1:
        return Components(np.nan, np.nan, float(values.var(ddof=1)) if total > 1 else np.nan, np.nan, total)
    within_splits = _within(values, splits)
    columns = _within(np.equal.outer(seeds, np.arange(num_seeds)).astype(np.float64), splits)
    fit, _, rank, _ = np.linalg.lstsq(columns, within_splits)
    rank += num_splits  # of both factors together
    if rank in (num_splits, num_seeds, total):  # seeds in one split each, splits of one seed each, no residual
        split_means = np.bincount(splits, values) / np.bincount(splits)
        return Components(np.nan, np.nan, np.nan, float(split_means.var(ddof=1)), total / num_splits)
    left = float(np.square(within_splits - columns @ fit).sum())
    rest = left / (total - rank)
    added = [float(np.square(one).sum()) - left for one in (_within(values, seeds), within_splits)]  # by splits, seeds
    split_mean, seed_mean = max(0.0, added[0]) / (total - num_seeds), max(0.0, added[1]) / (total - num_splits)
    seeds_each = (total - num_seeds) / (rank - num_seeds)
    splits_each = (total - num_splits) / (rank - num_splits)
    found = max(0.0, split_mean - rest / seeds_each), max(0.0, seed_mean - rest / splits_each)
    return Components(*found, rest, split_mean, seeds_each)


def _within(values: NDArray[np.float64], codes: Codes) -> NDArray[np.float64]:
    """Return values, float [runs, ...], minus the mean of their group."""
    groups = np.equal.outer(np.arange(codes.max() + 1), codes).astype(np.float64)
    groups /= groups.sum(axis=1, keepdims=True)
    return np.asarray(values - (groups @ values)[codes])


@dataclass(frozen=True)
class MeanVariance:
    """What the variance of a mean over runs is made of; see :func:`~cxr_runner.stats.replicates.mean_over_runs`.

    Attributes:
        num_runs: number of runs.
        num_splits: number of splits.
        num_seeds: number of seeds.
        split_weight: sum of the squared shares of the splits in the runs: 1/J in a complete grid.
        seed_weight: the same of the seeds.
        parts: variance components.
        held_ratio: number of images of the fold that rotates over number of training images.
        by_images: variance that the choice of test images gives the mean over the seeds of one split.
        shared_test: whether all splits are tested on the same images.
    """

    num_runs: int
    num_splits: int
    num_seeds: int
    split_weight: float
    seed_weight: float
    parts: Components
    held_ratio: float
    by_images: float
    shared_test: bool

    @property
    def seeds_known(self) -> bool:
        """Whether what seeds do in all splits and in one can be told apart."""
        return not math.isnan(self.parts.rest)

    @property
    def rest(self) -> float:
        """The part of the variance of a split's mean that more seeds make smaller."""
        return min(self.parts.rest / self.parts.seeds_each, self.parts.split_mean) if self.seeds_known else 0.0

    @property
    def images_within(self) -> float:
        """The part of the variance of a split's mean that is by its test images, as far as these are its own."""
        return 0.0 if self.shared_test else min(self.by_images, self.parts.split_mean - self.rest)

    @property
    def training(self) -> float:
        """The part of the variance of a split's mean that is by its training images."""
        if self.shared_test and self.seeds_known:
            return self.parts.splits
        return self.parts.split_mean - self.rest - self.images_within

    def apart(self, more: float = 1) -> float:
        """Return the share of one split's variance that splits leave in that of the mean if only tests differ.

        Splits that each test images of their own leave 1/J, until all images are tested.
        """
        return max(self.split_weight / more, self.held_ratio / (1 + self.held_ratio))

    def factor(self, more: float = 1) -> float:
        """Return how often the variance of one split is in that of the mean, with so many times as many splits."""
        ratio = self.held_ratio
        if self.shared_test:  # with a ratio of 0 all training sets are the same
            return self.split_weight / more + (1 / ratio if ratio > 0 else 0.0)
        return self.apart(more) + ratio

    def pieces(self, seeds: float = 1, splits: float = 1, images: float = 1) -> dict[str, float]:
        """Return what each source gives the variance of the mean, with so many times as much of each.

        ``rest`` is by seeds, and estimated with the degrees of freedom of the splits.
        """
        if self.num_splits == 1:
            return {"seeds": self.parts.rest / (seeds * max(1, self.num_runs)), "images": self.by_images / images}
        factor = self.factor(splits)
        found = {"splits": factor * self.training, "rest": factor * self.rest / seeds}
        if self.seeds_known:
            found["seeds"] = self.parts.seeds * self.seed_weight / seeds
        # A few splits may be alike by luck; they differ at least by what resampling shows of their images.
        lacking = max(0.0, self.apart(splits) * self.by_images - factor * self.parts.split_mean)
        found["images"] = (factor * self.images_within + lacking) / images
        if self.shared_test:
            found["images"] = self.by_images / images
            found["rest"] = self.parts.rest / (self.num_runs * seeds * splits) if self.seeds_known else 0.0
        return found

    def variances(self, seeds: float = 1, splits: float = 1, images: float = 1) -> list[tuple[float, float]]:
        """Return the parts of the variance of the mean with their degrees of freedom, with so many times as much."""
        pieces = self.pieces(seeds, splits, images)
        of_seeds, of_splits = max(1, seeds * self.num_seeds - 1), max(1, splits * self.num_splits - 1)
        found = [(pieces.get("seeds", 0.0), float(of_seeds))]
        if self.num_splits == 1 or self.shared_test:
            found += [(pieces["images"], math.inf), (pieces.get("splits", 0.0), of_splits)]
            return [*found, (pieces.get("rest", 0.0), of_splits * of_seeds)]
        return [*found, (pieces["splits"] + pieces["rest"] + pieces["images"], of_splits)]

    def shares(self) -> tuple[float | None, float | None, float | None]:
        """Return the share of seeds, splits and images in the variance of the mean; None where it is not known."""
        pieces = self.pieces()
        whole = sum(pieces.values())
        if not whole > 1e-30:  # a single run, or all alike
            return None, None, None
        of_seeds = pieces.get("seeds", 0.0) + pieces.get("rest", 0.0)
        known = self.num_splits == 1 or self.seeds_known
        splits = pieces["splits"] / whole if "splits" in pieces else None
        return (of_seeds / whole if known else None, splits, pieces["images"] / whole)

    def spread(self) -> tuple[float | None, float | None, float | None]:
        """Return the standard deviation that seeds, splits and images give one run; None where it is not known."""
        images = math.sqrt(self.by_images)
        if self.num_splits == 1:
            return (math.sqrt(self.parts.rest) if self.seeds_known else None, None, images)
        seeds = math.sqrt(self.parts.seeds + self.parts.rest) if self.seeds_known else None
        return (seeds, math.sqrt(self.training), images)


def mean_variance(
    values: NDArray[np.float64],
    splits: ArrayLike,
    seeds: ArrayLike,
    held_ratio: float,
    by_images: float,
    shared_test: bool,
) -> MeanVariance:
    """Return what the variance of the mean of the runs is made of; arguments as of ``mean_over_runs``."""
    if not len(values):
        return MeanVariance(0, 1, 0, 1.0, 1.0, Components(*[math.nan] * 5), held_ratio, by_images, shared_test)
    codes = [np.unique(np.asarray(one), return_inverse=True)[1].ravel() for one in (splits, seeds)]
    counts = [np.bincount(one) for one in codes]
    weights = [float(np.square(one / len(values)).sum()) for one in counts]
    parts = crossed_components(values, *codes)
    numbers = (len(values), len(counts[0]), len(counts[1]))
    return MeanVariance(*numbers, weights[0], weights[1], parts, held_ratio, by_images, shared_test)

"""Variance components of runs that are crossed: every seed is trained on every split, or nearly."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]


class Components(NamedTuple):
    """What makes the metric of a run vary: y = mean + split + seed + rest.

    Attributes:
        splits: variance of the splits' main effect; 0 of one split, nan where it cannot be told from the rest.
        seeds: variance of the seeds' main effect, which a seed has in all splits; nan likewise.
        rest: variance of what a seed does in one split only; of one split or seed that of the runs.
        split_mean: variance of the mean over the seeds of one split, the rest included: what S^2 of the split means is
            in a complete grid. 0 of one split.
    """

    splits: float
    seeds: float
    rest: float
    split_mean: float


def crossed_components(values: NDArray[np.float64], splits: Codes, seeds: Codes) -> Components:
    """Estimate the variance components of a two-way grid without replication by the method of moments.

    Sums of squares between splits, between seeds and of all runs are set equal to their expectations and solved for
    the variances (Henderson's method 1). In a complete grid that is the analysis of variance of the textbooks; where
    runs are missing it stays unbiased. Variances below 0 are set to 0.

    Args:
        values: float [runs].
        splits: int [runs], counted from 0 without gaps.
        seeds: int [runs], likewise.

    Source:
        Henderson, "Estimation of Variance and Covariance Components", Biometrics 9 (1953), 226-252; Searle, Casella and
        McCulloch, "Variance Components" (1992), section 5.3.
    """
    total, by_split, by_seed = len(values), np.bincount(splits), np.bincount(seeds)
    num_splits, num_seeds = len(by_split), len(by_seed)
    deviations = values - values.mean()
    squares = float(np.square(deviations).sum())
    if num_splits == 1 or num_seeds == 1 or total < num_splits + num_seeds:
        variance = squares / (total - 1) if total > 1 else np.nan
        unknown = 0.0 if num_splits == 1 else np.nan
        split_means = np.bincount(splits, values) / by_split
        between = float(split_means.var(ddof=1)) if num_splits > 1 else 0.0
        return Components(unknown, np.nan, variance, between)
    of_splits = float((np.square(np.bincount(splits, deviations)) / by_split).sum())
    of_seeds = float((np.square(np.bincount(seeds, deviations)) / by_seed).sum())
    level = np.square(by_split).sum() / total, np.square(by_seed).sum() / total
    moments = np.array(
        [  # how often the variance of splits, of seeds and of the rest is in each sum of squares
            [total - level[0], num_splits - level[1], num_splits - 1],
            [num_seeds - level[0], total - level[1], num_seeds - 1],
            [total - level[0], total - level[1], total - 1],
        ]
    )
    solved = np.linalg.solve(moments, [of_splits, of_seeds, squares])
    split, seed, rest = (max(0.0, float(one)) for one in solved)
    between = (of_splits - moments[0, 1] * seed) / moments[0, 0]
    return Components(split, seed, rest, max(0.0, float(between)))

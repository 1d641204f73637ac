"""Groups of images within one test split: a share with its interval, groups compared, groups tested for a difference.

Images of one patient are alike. They are counted together wherever a variance is estimated or labels are permuted:
``units``, int [images], are the patients, or a number of its own for every image whose patient is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.stats.intervals import CONFIDENCE, Interval, added_error, wilson

PERMUTATIONS = 9_999  # so that no p value is below 0.0001, which leaves room for Holm's correction of many tests
_MOST_CELLS = 4_000_000  # of the tables of permutations that are in memory at once
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredGroup:
    """The images of one group.

    Attributes:
        scores: float [runs, images], logits or anything in their order.
        labels: int [images], 0 or 1, both among them.
        units: int [images].
    """

    scores: NDArray[np.float64]
    labels: Numbers
    units: Numbers


def share_interval(correct: NDArray[np.bool_], units: Numbers, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean share over runs with Wilson's interval of so many images as make it as uncertain as it is.

    The variances over patients and over runs add up to that of the mean; the effective number of images is that whose
    share has the same one, at most the true number. Of one run on images of as many patients it is Wilson's interval
    as it stands. A bootstrap would give no width at all where every image is decided correctly, as in small groups.

    Args:
        correct: bool [runs, images], at least one of each.
        units: int [images].
        confidence: confidence of the interval.

    Source:
        Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts
        estimated from survey data", Survey Methodology 24 (1998), 193-201; with Wilson's interval: Dean and Pagano,
        "Evaluating Confidence Interval Methods for Binomial Proportions in Clustered Surveys", Journal of Survey
        Statistics and Methodology 3 (2015), 484-503.
    """
    from scipy.special import ndtri, stdtrit  # here, because scipy takes a second to import

    by_image, num_runs, num_images = correct.mean(axis=0), *correct.shape
    share, sums = float(by_image.mean()), _sums(by_image - by_image.mean(), units)
    num_units = len(sums)
    if num_units < 2:
        effective = 1.0
    elif not 0 < share < 1:
        effective = float(num_units)
    else:
        # The factor is 1 where every image is a unit, and that of cluster-robust variances where there are few units.
        factor = num_units * (num_images - 1) / ((num_units - 1) * num_images)
        of_images = float(np.square(sums).sum()) / num_images**2 * factor
        of_runs = float(correct.mean(axis=1).var(ddof=1)) / num_runs if num_runs > 1 else 0.0
        freedom = np.inf if num_units == num_images else num_units - 1
        error, freedom = added_error([(of_images, freedom), (of_runs, max(1, num_runs - 1))])
        tail = (1 + confidence) / 2
        wider = float(stdtrit(freedom, tail) / ndtri(tail)) if np.isfinite(freedom) else 1.0
        effective = share * (1 - share) / (error * wider) ** 2 if error else float(num_images)
    effective = min(max(effective, 1.0), num_images)
    return wilson(share * effective, effective, confidence)


def independent_difference(first: Interval, second: Interval) -> Interval:
    """Return the first estimate minus the second with an interval made of theirs.

    Both are taken as independent. Where the same patients or runs are behind both, what these have in common cancels
    in the difference, and the interval is too wide rather than too narrow.

    Source:
        Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
        methods", Statistics in Medicine 17 (1998), 873-890, method 10; of any estimates: Zou and Donner,
        "Construction of confidence limits about effect measures", Statistics in Medicine 27 (2008), 1693-1702.
    """
    difference = first.estimate - second.estimate
    below = np.hypot(first.estimate - first.low, second.high - second.estimate)
    above = np.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(difference, float(difference - below), float(difference + above))


def compare_shares(
    correct: NDArray[np.bool_], levels: Numbers, units: Numbers, permutations: int = PERMUTATIONS
) -> float:
    """Return the p value that a share is the same in all levels, by permutation.

    Levels are permuted among patients, with the sum of the deviations of a patient's images over its standard error as
    score: without that, a level in which patients have many images would often seem to differ. Images of one patient
    in several levels count as of several patients: what they share makes the test miss more, not find more.

    Args:
        correct: bool [runs, images], all of the class that the share is of.
        levels: int [images].
        units: int [images].
        permutations: see :func:`permutation_test`.
    """
    deviations = correct.mean(axis=0) - correct.mean()
    pieces, codes = np.unique(np.stack([levels, units]), axis=1, return_inverse=True)
    sums, sizes = np.bincount(codes.ravel(), deviations), np.bincount(codes.ravel())
    scores = sums / np.sqrt(sizes * (1 + (sizes - 1) * _likeness(deviations, codes.ravel())))
    return permutation_test(scores, pieces[0], permutations)


def permutation_test(scores: NDArray[np.float64], levels: Numbers, permutations: int = PERMUTATIONS) -> float:
    """Return the p value that the mean score is the same in all levels: that which level a unit is in does not matter.

    The statistic is the sum of squares between the levels, for two levels and scores of 0 and 1 that of Fisher's and
    Pearson's tests. Permutations are drawn as tables of score by level, which is the same and many times faster.

    Args:
        scores: float [units], one score a unit.
        levels: int [units].
        permutations: number of permutations; the p value is at least 1 / (permutations + 1).

    Source:
        Pitman, "Significance Tests Which May be Applied to Samples from any Populations", Supplement to the Journal of
        the Royal Statistical Society 4 (1937), 119-130; the one counted in: Phipson and Smyth, "Permutation P-values
        Should Never Be Zero", Statistical Applications in Genetics and Molecular Biology 9 (2010), article 39.
    """
    from scipy.stats import random_table

    values, rows = np.unique(np.round(scores - scores.mean(), 9), return_inverse=True)
    columns = np.unique(levels, return_inverse=True)[1]
    table = np.zeros((len(values), columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    if min(table.shape) < 2:
        return 1.0  # every permutation is the same
    sizes, rng = table.sum(axis=0), np.random.default_rng(0)
    law = random_table(table.sum(axis=1), sizes)

    def between(tables: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.square(np.einsum("v,...vl->...l", values, tables)) @ (1 / sizes))

    least, reached = float(between(table)) * (1 - 1e-9), 0
    step = max(1, _MOST_CELLS // table.size)
    for start in range(0, permutations, step):
        drawn = law.rvs(size=min(step, permutations - start), random_state=rng)
        reached += int((between(drawn) >= least).sum())
    return (reached + 1) / (permutations + 1)


def compare_aurocs(groups: Sequence[ScoredGroup]) -> float:
    """Return the p value that the AUROC, the mean over runs, is the same in all groups; nan where nothing varies.

    DeLong's structural components, taken within each group, give the variances. They are pooled over the groups, as in
    an analysis of variance: a small group without an error would seem certain by its components alone. Scores that lie
    higher in one group, in both classes alike, change nothing.

    Args:
        groups: images of each group, no image in two.

    Source:
        DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845; sums over the images of a patient: Obuchowski,
        "Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997), 567-578.
    """
    from scipy.stats import f as fisher

    areas = np.zeros(len(groups))
    deviations: tuple[list[NDArray[np.float64]], ...] = ([], [])  # of the positive, of the negative images
    units: tuple[list[Numbers], ...] = ([], [])
    for number, group in enumerate(groups):
        positive = group.labels == 1
        components = [_components(run[positive], run[~positive]) for run in group.scores]
        for side, chosen in enumerate((positive, ~positive)):
            mean = np.mean([one[side] for one in components], axis=0)
            areas[number] = mean.mean()
            deviations[side].append(mean - mean.mean())
            units[side].append(group.units[chosen])
    if len(groups) < 2 or min(freedoms := [_freedom(side) for side in units]) < 1:
        return np.nan
    variances = np.sum([_variances(*side) for side in zip(deviations, units, strict=True)], axis=0)
    if variances.max() < 1e-15:
        return np.nan
    weights = 1 / variances
    between = float(weights @ np.square(areas - np.average(areas, weights=weights)))
    return float(fisher.sf(between / (len(groups) - 1), len(groups) - 1, min(freedoms)))


def _freedom(units: Sequence[Numbers]) -> int:
    """Return how many patients there are in all groups, less one for the mean of each."""
    return sum(len(np.unique(one)) for one in units) - len(units)


def _variances(deviations: Sequence[NDArray[np.float64]], units: Sequence[Numbers]) -> NDArray[np.float64]:
    """Return the variance of the mean of each group, from the variance of an image and the likeness in all of them."""
    values = np.concatenate(deviations)
    numbered = np.concatenate([np.stack([np.full_like(one, number), one]) for number, one in enumerate(units)], axis=1)
    variance = float(np.square(values).sum()) / (len(values) - len(units))
    likeness = _likeness(values, np.unique(numbered, axis=1, return_inverse=True)[1].ravel())
    sizes = [np.unique(one, return_counts=True)[1] for one in units]
    return np.array([variance * (one * (1 + (one - 1) * likeness)).sum() / one.sum() ** 2 for one in sizes])


def _likeness(deviations: NDArray[np.float64], codes: Numbers) -> float:
    """Return the correlation of images of one patient, from 0 to 1; 0 where every image is of another one.

    Args:
        deviations: float [images], from the mean.
        codes: int [images], patients counted from 0.
    """
    sums, sizes = np.bincount(codes, deviations), np.bincount(codes)
    pairs, spread = float((sizes * (sizes - 1)).sum()), float(np.square(deviations).sum())
    if not pairs or not spread:
        return 0.0
    return float(np.clip((float(np.square(sums).sum()) - spread) / pairs / (spread / len(deviations)), 0, 1))


def _components(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return of each positive image the share of negative ones below it, of each negative that of positives above."""
    return _below(positives, negatives), _below(-negatives, -positives)


def _below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return of each score the share of the others that are lower, level ones counted half."""
    ordered = np.sort(others)
    ranks = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(ranks / (2 * len(others)))


def _sums(values: NDArray[np.float64], units: Numbers) -> NDArray[np.float64]:
    """Return the sum of the values of each unit."""
    return np.asarray(np.bincount(np.unique(units, return_inverse=True)[1], values))

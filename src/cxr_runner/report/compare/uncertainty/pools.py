"""Predictions put together: of all folds of a repeat, each image by the model that has not seen it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.report.collected import SplitLogits


class Pool(NamedTuple):
    """What so many models, or sets of models of one fold each, say of the same images.

    Attributes:
        rows: int [images], rows of the images of the predictions.
        logits: float [members, images].
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float64]


class OperatingCurves(NamedTuple):
    """ROC and precision-recall curve of a configuration: mean and range over its members."""

    roc: stats.CurveBand
    precision_recall: stats.CurveBand


def pool_folds(splits: Sequence[SplitLogits]) -> list[Pool]:
    """Put the folds of each repeat together, seed by seed; a split that is none of several folds stays by itself.

    Runs that collapsed are left out. Of a seed that lacks a fold, or collapsed with one, there is no whole: it is left
    out as well. Logits of the folds are put side by side as they are, though their models differ.
    """
    repeats: dict[tuple[int, int | None], list[SplitLogits]] = {}
    for number, one in enumerate(splits):
        folded = one.split.folds is not None
        repeats.setdefault((one.split.seed if folded else number, one.split.folds), []).append(one)
    pools = [_pool(parts) for (_, folds), parts in repeats.items() if len(parts) == (folds or 1)]
    return [pool for pool in pools if len(pool.logits)]


def _pool(parts: Sequence[SplitLogits]) -> Pool:
    trained = [{seed for seed, lost in zip(one.seeds, one.collapsed, strict=True) if not lost} for one in parts]
    seeds = sorted(set.intersection(*trained))
    logits = [one.test[[one.seeds.index(seed) for seed in seeds]] for one in parts]
    return Pool(np.concatenate([one.test_rows for one in parts]), np.concatenate(logits, axis=1))


def operating_curves(pools: Sequence[Pool], labels: NDArray[np.int64]) -> OperatingCurves | None:
    """Return ROC and precision-recall curve, mean and range over all members of all pools; None without any.

    Args:
        pools: pooled logits of a configuration.
        labels: int [images], 0 or 1, of all images of the predictions.
    """
    if not pools:
        return None
    weights = [len(pool.logits) for pool in pools]
    return OperatingCurves(
        _together([stats.roc_points(pool.logits, labels[pool.rows]) for pool in pools], weights),
        _together([stats.pr_points(pool.logits, labels[pool.rows]) for pool in pools], weights),
    )


def _together(bands: Sequence[stats.CurveBand], weights: Sequence[int]) -> stats.CurveBand:
    mean = np.average([band.mean for band in bands], axis=0, weights=weights)
    low, high = np.min([band.low for band in bands], axis=0), np.max([band.high for band in bands], axis=0)
    return stats.CurveBand(bands[0].grid, mean, low, high)

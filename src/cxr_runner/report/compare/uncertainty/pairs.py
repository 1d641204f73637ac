"""Configurations compared by pairs, on the same test images, splits and seeds."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.collected import SplitLogits
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS, Resampling

PAIR_LEVEL = 0.05  # of the tests of single pairs of runs, which are counted
_MOST_RUN_PAIRS = 20_000  # of single runs compared by McNemar and DeLong; beyond that, every so many are left out


def pair_table(resampling: Resampling, names: Sequence[str]) -> pd.DataFrame | None:
    """Compare configurations by pairs; None where there are not two.

    Args:
        resampling: metrics of the configurations.
        names: names of configurations.

    Returns:
        One row a pair: ``first``, ``second``; of each metric the ``_difference`` first minus second as a mean over the
        splits and seeds that both have, ``_low``, ``_high``, ``_p`` and ``_holm``, corrected for all pairs; and, run
        against run on the same split with the same seed, how many such ``run_pairs`` there are, how many of them
        McNemar's test (``mcnemar_below``) and DeLong's (``delong_below``) tell apart at 5 %, and the images that
        ``only_first`` or ``only_second`` decides correctly, means over them.
    """
    pairs = list(combinations(names, 2))
    if not pairs:
        return None
    most = max(1, _MOST_RUN_PAIRS // len(pairs))
    data = pd.DataFrame([_pair(resampling, *pair, most) for pair in pairs])
    for metric in RESAMPLED_METRICS:
        data[f"{metric}_holm"] = stats.holm(data[f"{metric}_p"])
    return data


def _pair(resampling: Resampling, first: str, second: str, most: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"first": first, "second": second}
    for metric in RESAMPLED_METRICS:
        difference = resampling.metric(first, metric).minus(resampling.metric(second, metric)).estimate()
        entry |= {f"{metric}_difference": difference.mean, f"{metric}_p": difference.p}
        entry |= {f"{metric}_low": difference.low, f"{metric}_high": difference.high}
    return entry | _run_by_run(resampling, first, second, most)


def _run_by_run(resampling: Resampling, first: str, second: str, most: int) -> dict[str, float]:
    others = {one.split: one for one in resampling.splits(second)}
    matched = [
        (one, others[one.split], seed)
        for one in resampling.splits(first)
        if one.split in others
        for seed in one.seeds
        if seed in others[one.split].seeds
    ]
    chosen = matched[:: -(-len(matched) // most)] if matched else []
    tests = [_two_runs(resampling, *two) for two in chosen]
    counts: dict[str, float] = {"run_pairs": len(tests)}
    counts |= {f"{name}_below": sum(test[name] < PAIR_LEVEL for test in tests) for name in ("mcnemar", "delong")}
    for name in ("only_first", "only_second"):
        counts[name] = float(np.mean([test[name] for test in tests])) if tests else np.nan
    return counts


def _two_runs(resampling: Resampling, one: SplitLogits, other: SplitLogits, seed: int) -> dict[str, float]:
    labels = resampling.predictions.labels[one.test_rows]
    first, second = (split.test[split.seeds.index(seed)] for split in (one, other))
    mcnemar = stats.mcnemar_exact((first > 0) == (labels == 1), (second > 0) == (labels == 1))
    delong = stats.delong(first, second, labels)
    return {
        "only_first": mcnemar.only_first,
        "only_second": mcnemar.only_second,
        "mcnemar": mcnemar.p,
        "delong": delong.p,
    }

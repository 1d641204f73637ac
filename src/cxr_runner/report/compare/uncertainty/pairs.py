"""Configurations compared by pairs, on the same test images, splits and seeds."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner import stats
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
    parts, others = resampling.parts(first), resampling.parts(second)
    matched = [key for key in parts if key in others]
    chosen = matched[:: -(-len(matched) // most)] if matched else []
    mcnemar = [stats.mcnemar_exact(parts[key].correct, others[key].correct) for key in chosen]
    delong = [stats.delong_of_parts(parts[key].auroc, others[key].auroc) for key in chosen]
    counts: dict[str, float] = {"run_pairs": len(chosen)}
    counts |= {"mcnemar_below": sum(test.p < PAIR_LEVEL for test in mcnemar)}
    counts |= {"delong_below": sum(test.p < PAIR_LEVEL for test in delong)}
    counts["only_first"] = float(np.mean([test.only_first for test in mcnemar])) if chosen else np.nan
    counts["only_second"] = float(np.mean([test.only_second for test in mcnemar])) if chosen else np.nan
    return counts

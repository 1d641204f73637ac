"""What changes from split to split of the same images, as runs note it."""

from collections.abc import Mapping, Sequence

from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected_runs import CollectedRun, RunSplit


def split_shares(runs: Sequence[CollectedRun]) -> tuple[float, bool]:
    """Return what :func:`cxr_runner.stats.mean_over_runs` has to know of splits.

    Args:
        runs: runs on splits of one manner, at least one.

    Returns:
        Images that change from split to split over training images, 0 of a single split or where they are not counted;
        and whether all splits have the same test images.
    """
    first: dict[RunSplit, CollectedRun] = {}
    for run in runs:
        first.setdefault(run.split, run)
    said = [run.data.get("split") for run in first.values()]
    shared = len(first) > 1 and all(isinstance(one, Mapping) and one.get("given_test") is True for one in said)
    if len(first) < 2:
        return 0.0, shared
    counts = [class_counts(run.data) for run in first.values()]
    held = sum(sum(one.get("val" if shared else "test", {}).values()) for one in counts)
    trained = sum(sum(one.get("train", {}).values()) for one in counts)
    return (held / trained if trained else 0.0), shared

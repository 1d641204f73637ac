"""Runs whose training times can be compared: on pixels, as the study trains, at one image size and on one device."""

from collections.abc import Iterable

from cxr_runner.artifacts import Run
from cxr_runner.report.cohorts import Cohort


def timed_runs(cohort: Cohort, row_ids: Iterable[str]) -> dict[str, list[tuple[str, Run]]]:
    """Find runs of rows of the study that trained on pixels, at the size and device that most of the rows have some of.

    Returns:
        By the id of every row its runs with their paths; none where there are none.
    """
    wanted = dict.fromkeys(row_ids)
    ways: dict[tuple[int, str], dict[str, list[tuple[str, Run]]]] = {}
    for data_set in cohort.data_sets:
        for row_id, path, run in zip(data_set.table["row"], data_set.table["path"], data_set.runs, strict=True):
            if row_id in wanted and run.metrics["engine"] == "pixel":
                found = ways.setdefault((data_set.image_size, run.metrics["device"]), {one: [] for one in wanted})
                found[row_id].append((path, run))
    return max(ways.values(), key=lambda found: sum(map(bool, found.values())), default={one: [] for one in wanted})

"""What a sweep ends with: how its configurations compare, on the terminal; of a search, what the best one is worth."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_runner import stats
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.agreement import RunReader
from cxr_runner.report.collect.predictions import add_predictions
from cxr_runner.report.collect.run_table import sort_runs
from cxr_runner.report.collect.tree import group_by_images
from cxr_runner.report.compare.sized_comparison import compare_briefly
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS, Resampling
from cxr_runner.report.render.terminal import make_console, print_comparisons
from cxr_runner.study import load_study


def print_sweep(directories: Sequence[Path]) -> None:
    """Print how the configurations of finished runs compare.

    Args:
        directories: run directories, at least one.
    """
    study, reader, quiet = load_study(), RunReader(), Reporter()
    root = Path(os.path.commonpath(directories))
    sizes, _ = sort_runs([reader.read(directory) for directory in directories], root, study)
    console = make_console()
    console.print()
    for runs in group_by_images(sizes, study):
        with_predictions = add_predictions(runs, quiet)
        print_comparisons(with_predictions, compare_briefly(with_predictions), console)


def estimate_configuration(directories: Sequence[Path], root: Path) -> Mapping[str, stats.Estimate]:
    """Return the test metrics of the runs of one configuration by metric; nothing where predictions are of no use.

    Args:
        directories: run directories.
        root: folder that they are below.
    """
    study, reader = load_study(), RunReader()
    sizes, _ = sort_runs([reader.read(directory) for directory in directories], root, study)
    for runs in group_by_images(sizes, study):
        resampling = Resampling(add_predictions(runs, Reporter()).predictions)
        for name in resampling.predictions.configurations:
            return {key: resampling.metric(name, key).estimate() for key in RESAMPLED_METRICS}
    return {}

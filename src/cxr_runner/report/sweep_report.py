"""What a sweep ends with: how its configurations compare, on the terminal."""

import os
from collections.abc import Sequence
from pathlib import Path

from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.agreement import RunReader
from cxr_runner.report.collect.predictions import add_predictions
from cxr_runner.report.collect.run_table import sort_runs
from cxr_runner.report.collect.tree import group_by_images
from cxr_runner.report.compare.sized_comparison import compare_briefly
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

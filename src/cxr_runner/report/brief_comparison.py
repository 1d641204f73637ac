"""The configurations below a folder, compared as a notebook wants them: without a page."""

from pathlib import Path
from typing import NamedTuple

from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison, check_options, compare_briefly
from cxr_runner.report.compare.trivial_baselines import Baselines, choose_baselines
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.study import Study


class ComparedRuns(NamedTuple):
    """The configurations on the same images at one size.

    Attributes:
        runs: all runs on these images, at whatever size.
        compared: the configurations, compared.
        baselines: trivial baselines on the same images.
    """

    runs: DataSetRuns
    compared: Comparison
    baselines: Baselines


def compare_below(root: Path, study: Study, options: ReportOptions) -> list[ComparedRuns]:
    """Compare the configurations below a folder, briefly.

    Args:
        root: outputs tree, a folder of one, or one run directory.
        study: study whose rows runs may repeat.
        options: what was asked for.

    Returns:
        One entry a data set and size of the images, the largest first; none where no run counts.

    Raises:
        UserError: there is no such folder, no run in it, none with these settings, or no configuration is called so.
    """
    collected = collect(root, study, Reporter(), options.select)
    chosen = [
        ComparedRuns(runs, one, choose_baselines(runs, collected.audits))
        for runs in collected.data_sets
        for one in compare_briefly(runs, options)
    ]
    if chosen:
        check_options(options, [one.compared for one in chosen])
    return chosen

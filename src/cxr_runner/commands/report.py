"""What ``cxr-report`` does: finished runs below a folder become a report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxr_runner.base.progress import make_reporter
from cxr_runner.report.collected import Withheld
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.trackers.sending import send_runs
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study


def write(root: Path, out: Path | None, withheld: Withheld, options: ReportOptions, study: str | None = None) -> None:
    """Write the report.

    Args:
        root: holds run directories, at any depth.
        out: the folder to write to; None for ``root/report``.
        withheld: what to leave out.
        options: what to look at, and how.
        study: name or file of the study that runs are compared with; None for the one that is reported on where its
            rows were trained.

    Raises:
        UserError: ``root`` does not exist or holds no run, an option means none, or ``out`` cannot be written to.
    """
    asked = None if study is None else replace(load_study(study), asked=True)
    write_report(root, out or root / "report", make_reporter("auto"), asked, withheld, options)


def send(
    root: Path, tracker: str, destination: str | None, study: str | None, select: Sequence[str], *, hide_names: bool
) -> None:
    """Send finished runs to a tracker and print how many there were; as :func:`send_runs` otherwise."""
    named = load_study() if study is None else load_study(study)
    reporter = make_reporter("auto")
    for line in send_runs(root, tracker, destination, named, reporter, select=select, hide_names=hide_names):
        print(line)

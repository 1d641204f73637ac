"""What ``cxr-report`` does: finished runs below a folder become a report."""

from pathlib import Path

from cxr_runner.base.progress import make_reporter
from cxr_runner.report.write import write_report


def write(root: Path, out: Path | None) -> None:
    """Write the report.

    Args:
        root: holds run directories, at any depth.
        out: the folder to write to; None for ``root/report``.

    Raises:
        UserError: ``root`` does not exist or holds no run, or ``out`` cannot be written to.
    """
    write_report(root, out or root / "report", make_reporter("auto"))

"""What ``cxr-report`` does: finished runs below a folder become a report."""

from pathlib import Path

from cxr_runner.base.progress import make_reporter
from cxr_runner.report.collected import Withheld
from cxr_runner.report.write import write_report


def write(root: Path, out: Path | None, *, hide_names: bool = False, no_images: bool = False) -> None:
    """Write the report.

    Args:
        root: holds run directories, at any depth.
        out: the folder to write to; None for ``root/report``.
        hide_names: leave out the names of images and patients.
        no_images: leave out the images themselves.

    Raises:
        UserError: ``root`` does not exist or holds no run, or ``out`` cannot be written to.
    """
    withheld = Withheld(names=hide_names, images=no_images)
    write_report(root, out or root / "report", make_reporter("auto"), withheld=withheld)

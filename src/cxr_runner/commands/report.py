"""What ``cxr-report`` does: finished runs below a folder, or in an archive, become a report, or an archive."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import make_reporter
from cxr_runner.commands.verifying import verify_report
from cxr_runner.report.collected import Withheld
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.trackers.sending import send_runs
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study


def write(
    root: Path,
    out: Path | None,
    withheld: Withheld,
    options: ReportOptions,
    study: str | None = None,
    verified: Path | None = None,
) -> None:
    """Write the report.

    Args:
        root: holds run directories, at any depth; or an archive of such a folder.
        out: the folder to write to; None for ``root/report``, of an archive for ``report``.
        withheld: what to leave out.
        options: what to look at, and how.
        study: name or file of the study that runs are compared with; None for the one that is reported on where its
            rows were trained.
        verified: folder of an earlier report, or of a part of one, that this one has to equal.

    Raises:
        UserError: ``root`` does not exist or holds no run, an option means none, or ``out`` cannot be written to.
        RunFailedError: a file of ``verified`` is another one.
    """
    asked = None if study is None else replace(load_study(study), asked=True)
    with _tree(root) as tree:
        archived = tree != root
        out = out or (Path("report") if archived else root / "report")
        write_report(tree, out, make_reporter("auto"), asked, withheld, options, archived=archived)
    if verified is not None:
        print(verify_report(out, verified))


def archive(root: Path, path: Path, restated: Sequence[str], *, add: bool = False) -> None:
    """Write the runs below a folder, or in an archive, to an archive.

    Args:
        root: holds run directories, at any depth; or an archive of such a folder.
        path: the archive to write.
        restated: what it says otherwise of the images, each ``KEY=VALUE``.
        add: whether the archive keeps the runs that it has.

    Raises:
        UserError: a mistake in them.
    """
    from cxr_runner.artifacts.archive.packing import pack
    from cxr_runner.artifacts.archive.restating import read_restated

    asked = read_restated(restated)
    with _tree(root) as tree, _tree(path) if add else nullcontext(path) as earlier:
        if not tree.is_dir():
            raise UserError.for_key("ROOT", root, "no such folder; give one that holds runs of cxr-run")
        if add and earlier == path:
            raise UserError.for_key("--archive", path, "no such archive to add to")
        pack(tree, path, asked, make_reporter("auto"), earlier if add else None)


def send(
    root: Path, tracker: str, destination: str | None, study: str | None, select: Sequence[str], *, hide_names: bool
) -> None:
    """Send finished runs to a tracker and print how many there were; as :func:`send_runs` otherwise."""
    named = load_study() if study is None else load_study(study)
    reporter = make_reporter("auto")
    for line in send_runs(root, tracker, destination, named, reporter, select=select, hide_names=hide_names):
        print(line)


@contextmanager
def _tree(root: Path) -> Iterator[Path]:
    """Give the folder of the runs: that of an archive for the time that it is open."""
    if not root.is_file():
        yield root
        return
    from cxr_runner.artifacts.archive.opening import opened_archive

    with opened_archive(root) as tree:
        yield tree

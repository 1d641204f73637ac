"""Writes the report, in three steps: collect what the runs say, compare, render."""

from dataclasses import replace
from pathlib import Path

from cxr_runner.artifacts.explanation_file import find_explanations
from cxr_runner.base.errors import UserError
from cxr_runner.base.locks import hold_lock
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.explained_models import with_explanations
from cxr_runner.report.collect.thumbnail_files import read_thumbnails
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import NOTHING_WITHHELD, Collected, Withheld
from cxr_runner.report.compare.comparison import DataSetComparison, compare
from cxr_runner.report.render.drawing import drawing_workers
from cxr_runner.report.render.pages import render
from cxr_runner.report.render.terminal import print_report
from cxr_runner.report.report_options import WHOLE_REPORT, ReportOptions
from cxr_runner.report.withholding import withhold
from cxr_runner.study import Study, load_study
from cxr_runner.study.stated import known_times, state_claims


def write_report(
    root: Path,
    out: Path,
    reporter: Reporter | None = None,
    study: Study | None = None,
    withheld: Withheld = NOTHING_WITHHELD,
    options: ReportOptions = WHOLE_REPORT,
    *,
    archived: bool = False,
) -> None:
    """Write ``index.html``, ``report.md``, ``claims.md``, ``tables/`` and ``figures/``, and print the results.

    Args:
        root: folder that holds run directories, at any depth.
        out: folder to write to; made where it does not exist.
        reporter: shown the progress.
        study: study that the runs are compared with; the one that comes with the package by default.
        options: what to look at, and how.
        withheld: what no file of the report may hold, nor what is printed; runs and their samples stay as they are.
        archived: whether ``root`` is that of an opened archive, of which the report is the same on every machine.

    Raises:
        UserError: ``root`` does not exist or holds no run, ``out`` cannot be written to, or the file that keeps when
            claims were stated was changed.
    """
    reporter = reporter or Reporter()
    collected = replace(collect(root, study or load_study(), reporter, options.select), archived=archived)
    collected = _with_times(collected, root)
    with drawing_workers() as submit:
        compared = compare(collected, options)
        if not archived:
            compared = [_with_thumbnails(one) for one in compared]
        explanations = list(find_explanations(root))
        compared = [with_explanations(one, explanations) for one in compared]
        if withheld != NOTHING_WITHHELD:
            collected, compared = withhold(collected, compared, withheld)
        try:
            out.mkdir(parents=True, exist_ok=True)
            # Two at once would remove each other's files, and leave pages that link tables of other runs.
            with hold_lock(out / ".lock", "writes the same report", reporter):
                render(collected, compared, out, reporter, submit)
        except OSError as error:
            raise UserError.for_key("--out", out, f"cannot write there ({error.strerror})") from None
    print_report(collected, compared, out, pair=options.pair is not None)


def _with_times(collected: Collected, root: Path) -> Collected:
    """Return the same with the times at which the study's claims were stated, where the study is reported on."""
    if not any(runs.study_asked_for for runs in collected.data_sets):
        return collected
    stated = known_times(collected.study, root) if collected.archived else state_claims(collected.study, root)
    return replace(collected, data_sets=tuple(replace(runs, stated=stated) for runs in collected.data_sets))


def _with_thumbnails(compared: DataSetComparison) -> DataSetComparison:
    """Return the same with thumbnails of the images that the page shows, as far as there are any."""
    rows = {row for one in compared.comparisons for row in one.shown_images}
    return replace(compared, thumbnails=read_thumbnails(compared.runs, rows) if rows else {})

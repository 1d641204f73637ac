"""Writes the report: reads the runs, gathers what there is to say of them, draws, and writes the page and the files."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_text
from cxr_runner.base.progress import Reporter
from cxr_runner.base.tables import Table, write_table
from cxr_runner.report.baselines import find_baselines
from cxr_runner.report.errata import gather_errata
from cxr_runner.report.pages.claims import claims_page
from cxr_runner.report.pages.drawing import draw_pictures
from cxr_runner.report.pages.html import Page, html_page
from cxr_runner.report.pages.markdown import markdown_page
from cxr_runner.report.pages.terminal import count, print_report
from cxr_runner.report.runs.collected import Material, read_histories
from cxr_runner.report.runs.groups import form_cohorts
from cxr_runner.report.runs.predictions import read_predictions
from cxr_runner.report.runs.table import read_runs
from cxr_runner.report.sections import gather_section
from cxr_runner.report.tables import all_runs, collapsed_table, configurations, left_out_table, study_table

_FIGURE_FILES = re.compile(r"(fig\d\d|published|reliability|curves|converged|errata)(_\d+)?\.(png|svg)")
_TABLE_NAMES = (
    r"fig\d\d|table\d|configurations|summary|runs|collapsed|left_out|errata_\w+|claims|claim_tests|certainty|"
    r"pairs\d\d|weight|quality"
)
_TABLE_FILES = re.compile(rf"({_TABLE_NAMES})(_\d+)?\.(csv|md|tex)")


def write_report(root: Path, out: Path, reporter: Reporter | None = None) -> None:
    """Write ``index.html``, ``report.md``, ``claims.md``, ``tables/`` and ``figures/``, and print the results.

    Args:
        root: holds run directories, at any depth.
        out: the folder to write to; made where it does not exist.
        reporter: shown the progress.

    Raises:
        UserError: ``root`` does not exist or holds no run, or ``out`` cannot be written to.
    """
    reporter = reporter or Reporter()
    data_sets, left_out = read_runs(root, reporter)
    cohorts = form_cohorts(data_sets)
    with _writing_to(out):
        _prepare(out)
        histories, problems = read_histories(cohorts, reporter)
        sections = [
            gather_section(
                Material(cohort, histories, cohort.samples()),
                read_predictions(cohort, reporter),
                problems,
                f"_{number}" if len(cohorts) > 1 else "",
                find_baselines(cohort, root),
            )
            for number, cohort in enumerate(cohorts, 1)
        ]
        errata = gather_errata()
        pictures = [*(picture for section in sections for picture in section.pictures), errata.picture]
        sources = draw_pictures(pictures, out / "figures", reporter)
        tables = [
            study_table(1),
            study_table(2),
            configurations(cohorts),
            all_runs(cohorts),
            collapsed_table(cohorts),
            left_out_table(left_out),
        ]
        page = Page(count(cohorts, left_out), sections, tables, errata, sources)
        own = [
            table
            for section in sections
            for table in (*section.claims.tables, *section.tables, *section.statistics.tables)
        ]
        _write_tables([*tables, *own, *errata.tables], out / "tables", reporter)
        write_text(out / "report.md", markdown_page(page))
        write_text(out / "claims.md", claims_page(sections))
        write_text(out / "index.html", html_page(page))
    print_report(cohorts, left_out, out)


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError.for_key("--out", out, f"cannot write there ({error.strerror})") from None


def _prepare(out: Path) -> None:
    """Make the folders; what an earlier report left in them goes, what others left stays."""
    for folder, ours in (("figures", _FIGURE_FILES), ("tables", _TABLE_FILES)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for path in (out / folder).iterdir():
            if ours.fullmatch(path.name) and path.is_file():
                path.unlink()


def _write_tables(tables: Sequence[Table], folder: Path, reporter: Reporter) -> None:
    with reporter.steps("writing tables", len(tables)) as advance:
        for table in tables:
            write_table(table, folder)
            advance()

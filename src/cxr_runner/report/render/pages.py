"""Renders a report: everything that was compared becomes pages, tables and figures in one folder."""

from collections.abc import Sequence
from pathlib import Path

from cxr_runner.base.background import Submit
from cxr_runner.base.files import write_text
from cxr_runner.base.progress import Reporter
from cxr_runner.base.tables import ENDINGS, Table, write_table
from cxr_runner.report.collected import Collected
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.manifest import replace_files
from cxr_runner.report.render.claims_page import claims_page
from cxr_runner.report.render.drawing import drawn_files, picture_addresses, submit_drawings
from cxr_runner.report.render.errata_section import errata_section
from cxr_runner.report.render.evaluation_section import evaluation_sections
from cxr_runner.report.render.html_page import errata_html, html_page
from cxr_runner.report.render.markdown_page import errata_markdown, markdown_page
from cxr_runner.report.render.report_tables import (
    all_runs,
    collapsed_table,
    configurations,
    left_out_table,
    study_tables,
)
from cxr_runner.report.render.run_links import run_links
from cxr_runner.report.render.search_section import search_sections
from cxr_runner.report.render.sections import Page, make_section
from cxr_runner.report.render.terminal import count
from cxr_runner.study.errata import checkable_rows

_PAGES = ("index.html", "report.md")
_CLAIMS = "claims.md"  # where models of the study have runs
_ERRATA_PAGES = ("errata.html", "errata.md")  # where metrics of these are published


def render(
    collected: Collected, compared: Sequence[DataSetComparison], out: Path, reporter: Reporter, submit: Submit
) -> None:
    """Write ``index.html``, ``report.md``, ``tables/`` and ``figures/``; of a study, what was claimed and misprinted.

    Args:
        collected: what the report is made from.
        compared: what it comes to, for every data set.
        out: folder to write to; made where it does not exist.
        reporter: shown the progress.
        submit: has figures written, see :func:`cxr_runner.report.render.drawing.drawing_workers`.
    """
    study = collected.study
    sections = [make_section(one, f"_{number}" if len(compared) > 1 else "") for number, one in enumerate(compared, 1)]
    with_study = any(section.study for section in sections)
    errata = errata_section(study) if with_study and checkable_rows(study) else None
    evaluations = evaluation_sections(collected.evaluations)
    searches = search_sections(collected.searches)
    pictures = [picture for one in sections for picture in one.pictures] + [one.picture for one in evaluations]
    pictures += [picture for one in searches for picture in one.pictures]
    pictures += [errata.picture] if errata else []
    of_study = study_tables(study) if with_study else []
    lists = [
        configurations(collected),
        all_runs(collected),
        collapsed_table(collected),
        left_out_table(collected.left_out),
    ]
    said = [*(section.all_tables for section in sections), *(one.tables for one in evaluations)]
    of_sections = [table for some in (*said, *(one.tables for one in searches)) for table in some]
    tables = [*of_study, *lists, *of_sections, *(errata.tables if errata else [])]
    table_files = [f"tables/{table.name}.{ending}" for table in tables for ending in ENDINGS]
    pages = [*_PAGES, *([_CLAIMS] if with_study else []), *(_ERRATA_PAGES if errata else [])]
    replace_files(out, [*pages, *drawn_files(pictures), *table_files])
    waiting = submit_drawings(pictures, out / "figures", submit)
    _write_tables(tables, out / "tables", reporter)
    with reporter.steps("drawing figures", len(waiting)) as advance:
        for wait in waiting:
            wait()
            advance()
    page = Page(
        count=count(collected),
        sections=sections,
        study_tables=of_study,
        tables={table.name: table for table in lists},
        links=run_links(collected, out),
        evaluations=evaluations,
        searches=searches,
        errata=errata,
        sources=picture_addresses(pictures, out / "figures"),
    )
    if with_study:
        write_text(out / _CLAIMS, claims_page(sections, study))
    _write_pages(page, out)


def _write_pages(page: Page, out: Path) -> None:
    write_text(out / "report.md", markdown_page(page))
    write_text(out / "index.html", html_page(page))
    if page.errata:
        write_text(out / "errata.md", errata_markdown(page))
        write_text(out / "errata.html", errata_html(page))


def _write_tables(tables: Sequence[Table], folder: Path, reporter: Reporter) -> None:
    with reporter.steps("writing tables", len(tables)) as advance:
        for table in tables:
            write_table(table, folder)
            advance()

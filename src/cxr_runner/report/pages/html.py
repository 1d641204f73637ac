"""The page in HTML: one file that needs nothing else and asks nobody for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner.base.tables import Table
from cxr_runner.report.baselines import LEGEND as BASELINES_LEGEND
from cxr_runner.report.errata import Errata
from cxr_runner.report.sections import Section
from cxr_runner.report.tables import COMPARISON_LEGEND

if TYPE_CHECKING:
    pass
from cxr_runner.base.html import template_environment


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        count: how many runs there are, in a sentence.
        sections: one for every cohort.
        tables: the study's two, configurations, runs, those that collapsed, runs left out.
        errata: of the study.
        sources: by the name of a picture that could be drawn its address as a data URI.
    """

    count: str
    sections: Sequence[Section]
    tables: Sequence[Table]
    errata: Errata
    sources: Mapping[str, str]


def html_page(page: Page) -> str:
    """Return the page; every text in it is escaped."""
    tables = {table.name: table for table in page.tables}
    template = template_environment("cxr_runner.report").get_template("index.html.jinja")
    legends = {"legend": COMPARISON_LEGEND, "baselines_legend": BASELINES_LEGEND}
    return template.render(page=page, tables=tables, **legends) + "\n"

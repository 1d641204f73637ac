"""The pages in HTML: files that need nothing else and ask nobody for anything."""

from typing import TYPE_CHECKING

from cxr_runner.base.html import template_environment
from cxr_runner.report.render.legends import BASELINES_LEGEND, COMPARISON_LEGEND, WARNINGS_HEADING

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.report.render.sections import Page

_LEGENDS = {"published": COMPARISON_LEGEND, "baselines": BASELINES_LEGEND, "warnings": WARNINGS_HEADING}


def html_page(page: "Page") -> str:
    """Return the page of results; every text in it is escaped."""
    return _render("index.html.jinja", page)


def errata_html(page: "Page") -> str:
    """Return the page of the study's errata and of its models as configured; every text in it is escaped."""
    return _render("errata.html.jinja", page)


def _render(name: str, page: "Page") -> str:
    template = template_environment("cxr_runner.report").get_template(name)
    return template.render(page=page, tables=page.tables, legends=_LEGENDS) + "\n"

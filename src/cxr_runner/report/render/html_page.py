"""The page in HTML: one file that needs nothing else and asks nobody for anything."""

from cxr_runner.base.html import template_environment
from cxr_runner.report.render.legends import BASELINES_LEGEND, COMPARISON_LEGEND, WARNINGS_HEADING
from cxr_runner.report.render.sections import Page


def html_page(page: Page) -> str:
    """Return the page; every text in it is escaped."""
    template = template_environment("cxr_runner.report").get_template("index.html.jinja")
    legends = {"legend": COMPARISON_LEGEND, "baselines_legend": BASELINES_LEGEND}
    legends |= {"warnings_heading": WARNINGS_HEADING}
    return template.render(page=page, tables=page.tables, **legends) + "\n"

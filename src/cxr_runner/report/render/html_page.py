"""The page in HTML: one file that needs nothing else and asks nobody for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr_runner.base.html import template_environment
from cxr_runner.base.tables import Table
from cxr_runner.report.render.errata_section import ErrataSection
from cxr_runner.report.render.sections import Section

COMPARISON_LEGEND = (
    "Ours: mean ± sample standard deviation over the seeds that did not collapse; where some collapsed (one output for "
    "all images) the mean of all stands below. Inside: the published value, which is that of one run on one split, "
    "lies where one more of our runs would (95 %, Student t). That interval counts what the seeds change (initial "
    "weights, order of batches), not how few the test images are: the Wilson interval says that for the accuracy. "
    "Intervals are shown cut off at 0 and 1."
)
BASELINES_LEGEND = (
    "Trivial baselines see what is no anatomy, or next to nothing of it, on the same test images: a model that is not "
    "clearly better has shown nothing."
)


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        count: how many runs there are, in a sentence.
        sections: one for every data set.
        study_tables: tables of the study that list its rows.
        tables: configurations, runs, those that collapsed, runs left out, by their names.
        errata: errata of the study.
        sources: address of every picture that could be drawn, as a data URI, by its name.
    """

    count: str
    sections: Sequence[Section]
    study_tables: Sequence[Table]
    tables: Mapping[str, Table]
    errata: ErrataSection
    sources: Mapping[str, str]


def html_page(page: Page) -> str:
    """Return the page; every text in it is escaped."""
    template = template_environment("cxr_runner.report").get_template("index.html.jinja")
    legends = {"legend": COMPARISON_LEGEND, "baselines_legend": BASELINES_LEGEND}
    return template.render(page=page, tables=page.tables, **legends) + "\n"

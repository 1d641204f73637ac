"""The page in Markdown, for a repository or a terminal."""

from collections.abc import Iterable
from textwrap import indent

from cxr_runner.base.markdown import markdown_facts, markdown_text
from cxr_runner.base.tables import Table
from cxr_runner.report.baselines import LEGEND as BASELINES_LEGEND
from cxr_runner.report.figures import Picture
from cxr_runner.report.pages.html import Page
from cxr_runner.report.sections import Section
from cxr_runner.report.tables import COMPARISON_LEGEND
from cxr_runner.report.uncertainty.section import Statistics

_NOTICE = "**Not for clinical use.**"


def markdown_page(page: Page) -> str:
    """Return the page; every text in it is shown as it is."""
    parts = ["# Results", _NOTICE, markdown_text(page.count)]
    for section in page.sections:
        parts += _section(section, page)
    tables = {table.name: table for table in page.tables}
    parts += ["## Errata of the study", *_list(page.errata.sentences), _picture(page.errata.picture, page)]
    for table in page.errata.tables:
        parts += [f"### {markdown_text(table.caption)}", table.markdown()]
    parts += ["## The study's models"]
    for name in ("table1", "table2"):
        parts += [f"### {markdown_text(tables[name].caption)}", tables[name].markdown()]
    parts += ["## Configurations", *_captioned(tables["configurations"])]
    if tables["collapsed"].rows:
        parts += ["## Runs that collapsed", *_captioned(tables["collapsed"])]
    if tables["left_out"].rows:
        parts += ["## Runs left out", *_captioned(tables["left_out"])]
    parts += ["All finished runs: [tables/runs.csv](tables/runs.csv).", _NOTICE]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _section(section: Section, page: Page) -> list[str]:
    parts = [f"## {markdown_text(section.cohort.heading)}", *_list(section.sentences)]
    parts += [_picture(section.overview, page), *_claims(section)]
    parts += [markdown_facts(section.facts)]
    for table in section.tables:
        parts += [f"### {markdown_text(table.caption)}", table.markdown()]
    parts += [COMPARISON_LEGEND, BASELINES_LEGEND]
    if section.more_baselines:
        parts += [f"To make the other trivial baselines:\n\n    {section.more_baselines}"]
    parts += _statistics(section.statistics, page)
    for picture in section.figures:
        parts += [f"### {markdown_text(picture.title)}", markdown_text(picture.text), _picture(picture, page)]
    if section.not_drawn:
        lines = [f"- {markdown_text(path)}: {markdown_text(why)}" for path, why in section.not_drawn.items()]
        parts += ["Without curves:", "\n".join(lines)]
    return parts


def _claims(section: Section) -> list[str]:
    claims, tests = section.claims.tables
    return [
        "### The study's claims",
        f"{markdown_text(section.claims.summary)} [How each was decided](tables/{tests.name}.md)",
        claims.markdown(),
    ]


def _statistics(statistics: Statistics, page: Page) -> list[str]:
    parts = ["### How sure the figures are", *_list(statistics.sentences)]
    for table in statistics.tables:
        parts += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    for picture in statistics.pictures:
        parts += [f"#### {markdown_text(picture.title)}", markdown_text(picture.text), _picture(picture, page)]
    return parts if statistics.sentences or statistics.tables else []


def _picture(picture: Picture, page: Page) -> str:
    lines = []
    if picture.name in page.sources:
        lines.append(f"![{markdown_text(picture.alt)}](figures/{picture.name}.png)")
    lines += [markdown_text(note) for note in picture.notes]
    if picture.command:
        lines.append(f"To make what is missing:\n\n{indent(picture.command, ' ' * 4)}")
    return "\n\n".join(lines)


def _captioned(table: Table) -> list[str]:
    return [markdown_text(table.caption), table.markdown()]


def _list(sentences: Iterable[str]) -> list[str]:
    return ["\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)]

"""The page in Markdown, for a repository or a terminal."""

from collections.abc import Iterable, Sequence
from textwrap import indent

from cxr_runner.base.markdown import markdown_facts, markdown_list, markdown_text
from cxr_runner.base.tables import Table
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.legends import BASELINES_LEGEND, COMPARISON_LEGEND, WARNINGS_HEADING
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.sections import Page, Section
from cxr_runner.report.render.subgroup_section import SubgroupSection
from cxr_runner.report.render.uncertainty_section import UncertaintySection

_NOTICE = "**Not for clinical use.**"


def markdown_page(page: Page) -> str:
    """Return the page; every text in it is shown as it is."""
    blocks = ["# Results", _NOTICE, markdown_text(page.count)]
    for section in page.sections:
        blocks += _section(section, page)
    tables = page.tables
    blocks += ["## Errata of the study", *_list(page.errata.sentences), _picture(page.errata.picture, page, None)]
    for table in page.errata.tables:
        blocks += [f"### {markdown_text(table.caption)}", table.markdown()]
    blocks += ["## The study's models"]
    for table in page.study_tables:
        blocks += [f"### {markdown_text(table.caption)}", table.markdown()]
    configurations = tables["configurations"]
    blocks += ["## Configurations", *_warnings(configurations.notes), *_captioned(configurations)]
    if tables["collapsed"].rows:
        blocks += ["## Runs that collapsed", *_captioned(tables["collapsed"])]
    if tables["left_out"].rows:
        blocks += ["## Runs left out", *_captioned(tables["left_out"])]
    blocks += ["All finished runs: [tables/runs.csv](tables/runs.csv).", _NOTICE]
    return "\n\n".join(block.rstrip("\n") for block in blocks if block) + "\n"


def _section(section: Section, page: Page) -> list[str]:
    blocks = [f"## {markdown_text(section.heading)}", *_list(section.sentences)]
    blocks += [_picture(section.overview, page, section.commands), *_claims(section)]
    blocks += [markdown_facts(section.facts), *_warnings(section.warnings)]
    for table in section.tables:
        blocks += [f"### {markdown_text(table.caption)}", table.markdown()]
    blocks += [COMPARISON_LEGEND, BASELINES_LEGEND]
    if section.more_baselines:
        blocks += [f"To make the other trivial baselines:\n\n    {section.more_baselines}"]
    blocks += _titled("How uncertain the figures are", section.uncertainty, section, page)
    blocks += _titled("Subgroups", section.subgroups, section, page)
    for picture in section.figures:
        blocks += [f"### {markdown_text(picture.title)}", markdown_text(picture.text)]
        blocks += [_picture(picture, page, section.commands)]
    if section.not_drawn:
        lines = [f"- {markdown_text(path)}: {markdown_text(why)}" for path, why in section.not_drawn.items()]
        blocks += ["Without curves:", "\n".join(lines)]
    return blocks


def _warnings(sentences: Sequence[str]) -> list[str]:
    """Say what every metric of the table below has to be read with."""
    return [f"**{WARNINGS_HEADING}**", markdown_list(sentences)] if sentences else []


def _claims(section: Section) -> list[str]:
    claims, tests = section.claims.tables
    return [
        "### The study's claims",
        f"{markdown_text(section.claims.summary)} [How each was decided](tables/{tests.name}.md)",
        claims.markdown(),
    ]


def _titled(title: str, shown: UncertaintySection | SubgroupSection, section: Section, page: Page) -> list[str]:
    """Return sentences, tables and pictures below a heading; nothing where there are none."""
    blocks = [f"### {title}", *_list(shown.sentences)]
    for table in shown.tables:
        blocks += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    for picture in shown.pictures:
        blocks += [f"#### {markdown_text(picture.title)}", markdown_text(picture.text)]
        blocks += [_picture(picture, page, section.commands)]
    return blocks if shown.sentences or shown.tables else []


def _picture(picture: Picture, page: Page, commands: Commands | None) -> str:
    lines = []
    if picture.name in page.sources:
        lines.append(f"![{markdown_text(picture.alt)}](figures/{picture.name}.png)")
    lines += [markdown_text(note) for note in picture.notes]
    if commands and picture.missing:
        lines.append(f"To make what is missing:\n\n{indent(commands.that_make(picture.missing), ' ' * 4)}")
    return "\n\n".join(lines)


def _captioned(table: Table) -> list[str]:
    return [markdown_text(table.caption), table.markdown()]


def _list(sentences: Iterable[str]) -> list[str]:
    return [markdown_list(sentences)]

"""The page in Markdown, for a repository or a terminal."""

from collections.abc import Iterable, Sequence
from textwrap import indent
from typing import TYPE_CHECKING

from cxr_runner.base.markdown import markdown_facts, markdown_list, markdown_text
from cxr_runner.base.tables import Table
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.comparison_section import ComparisonSection
from cxr_runner.report.render.legends import BASELINES_LEGEND, COMPARISON_LEGEND, WARNINGS_HEADING
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.study_section import StudySection

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.report.render.sections import Page, Section

_NOTICE = "**Not for clinical use.**"


def markdown_page(page: "Page") -> str:
    """Return the page of results; every text in it is shown as it is."""
    blocks = ["# Results", _NOTICE, markdown_text(page.count)]
    for section in page.sections:
        blocks += _section(section, page)
    blocks += [*_evaluations(page), *_searches(page)]
    tables = page.tables
    configurations = tables["configurations"]
    blocks += ["## Configurations", *_warnings(configurations.notes), *_captioned(configurations)]
    if tables["collapsed"].rows:
        blocks += ["## Runs that collapsed", *_captioned(tables["collapsed"])]
    if tables["left_out"].rows:
        blocks += ["## Runs left out", *_captioned(tables["left_out"])]
    blocks += ["All finished runs: [tables/runs.csv](tables/runs.csv).", _NOTICE]
    return _joined(blocks)


def _evaluations(page: "Page") -> list[str]:
    blocks = ["## On images of another place"] if page.evaluations else []
    for one in page.evaluations:
        blocks += [f"### {markdown_text(one.heading)}", *_list(one.sentences), _picture(one.picture, page, None)]
        for table in one.tables:
            blocks += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    return blocks


def _searches(page: "Page") -> list[str]:
    blocks = ["## Searches"] if page.searches else []
    for one in page.searches:
        blocks += [f"### {markdown_text(one.heading)}", *_list(one.sentences)]
        for picture in one.pictures:
            title, text = markdown_text(picture.title), markdown_text(picture.text)
            blocks += [f"#### {title}", text, _picture(picture, page, None)]
        for table in one.tables:
            blocks += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    return blocks


def errata_markdown(page: "Page") -> str:
    """Return the page of the study's errata and of its models as configured; every text in it is shown as it is."""
    assert page.errata is not None
    blocks = ["# Errata of the study", *_list(page.errata.sentences), _picture(page.errata.picture, page, None)]
    for table in page.errata.tables:
        blocks += [f"### {markdown_text(table.caption)}", table.markdown()]
    blocks += ["## The study's models"]
    for table in page.study_tables:
        blocks += [f"### {markdown_text(table.caption)}", table.markdown()]
    return _joined(blocks)


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(block.rstrip("\n") for block in blocks if block) + "\n"


def _section(section: "Section", page: "Page") -> list[str]:
    blocks = [f"## {markdown_text(section.heading)}"]
    for comparison in section.comparisons:
        title = f"{markdown_text(comparison.title)}: " * bool(comparison.title)
        blocks.append(f"{title}**{markdown_text(comparison.verdict)}**")
    blocks += [*_list(section.sentences), *_warnings(section.warnings)]
    for comparison in section.comparisons:
        blocks += _comparison(comparison, section, page)
    for picture in section.figures:
        blocks += _titled_picture(picture, section, page)
    blocks += _explanations(section)
    blocks += _subgroups(section, page)
    if section.study:
        blocks += _study(section.study, section, page)
    if section.not_drawn:
        lines = [f"- {markdown_text(path)}: {markdown_text(why)}" for path, why in section.not_drawn.items()]
        blocks += ["Without curves:", "\n".join(lines)]
    return [*blocks, "### Where this comes from", markdown_facts(section.facts)]


def _comparison(comparison: ComparisonSection, section: "Section", page: "Page") -> list[str]:
    first, *others = comparison.tables
    blocks = [f"### {markdown_text(comparison.title)}"] if comparison.title else []
    names = [f"{row.label}: {row.name}" for row in comparison.rows]
    blocks += [first.markdown(), *_list(comparison.sentences), markdown_text(first.caption)]
    blocks += ["Names, which every option takes:", *_list(names)]
    blocks += [_baselines(comparison), *_titled_picture(comparison.forest, section, page)]
    for table in [*([comparison.pair] if comparison.pair else []), *others]:
        blocks += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    for picture in comparison.pictures:
        blocks += _titled_picture(picture, section, page)
    if comparison.mistakes:
        blocks += [f"#### {comparison.mistakes.table.title}", *_list(comparison.mistakes.sentences)]
        blocks += _captioned(comparison.mistakes.table)
    return blocks


def _baselines(comparison: ComparisonSection) -> str:
    said = [
        f"{markdown_text(row.label)} {', '.join(cell.value for cell in row.cells if cell.value)}"
        for row in comparison.baselines
    ]
    words = ", ".join(
        heading for heading in comparison.headings[1:-1] if heading not in ("difference", "would decide it")
    )
    return f"Trivial baselines ({words}): {'; '.join(said)}. {BASELINES_LEGEND}" if said else ""


def _study(study: StudySection, section: "Section", page: "Page") -> list[str]:
    blocks = [f"### The study: {markdown_text(study.title)}", *_list(study.sentences)]
    blocks += _titled_picture(study.overview, section, page) if study.overview and study.overview.draw else []
    if study.claims.tables:
        claims, tests = study.claims.tables
        decided = f"[How each was decided](tables/{tests.name}.md)"
        blocks += ["#### The study's claims", f"{markdown_text(study.claims.summary)} {decided}", claims.markdown()]
    for table in study.tables:
        blocks += [f"#### {markdown_text(table.title or table.caption)}"]
        blocks += _captioned(table) if table.title else [table.markdown()]
    blocks += [COMPARISON_LEGEND, BASELINES_LEGEND] if study.views else []
    if study.views and study.more_baselines:
        blocks += [f"To make the other trivial baselines:\n\n    {study.more_baselines}"]
    for picture in study.figures:
        blocks += _titled_picture(picture, section, page) if picture.draw else []
    blocks += _undrawn(study, section)
    if page.errata:
        return [*blocks, "Errata and models as configured: [errata.md](errata.md)."]
    return [*blocks, *(block for table in page.study_tables for block in _captioned(table))]


def _undrawn(study: StudySection, section: "Section") -> list[str]:
    """Return what is not drawn yet, with the commands that make what is missing; nothing where all is drawn."""
    if not study.undrawn:
        return []
    blocks = ["#### Not drawn yet", *_list(" ".join([f"{one.title}.", *one.notes]) for one in study.undrawn)]
    if study.missing:
        command = section.commands.that_make(study.missing)
        blocks.append(f"To make what is missing:\n\n{indent(command, ' ' * 4)}")
    return blocks


def _subgroups(section: "Section", page: "Page") -> list[str]:
    """Return sentences, tables and pictures below a heading; nothing where there are none."""
    shown = section.subgroups
    blocks = ["### Subgroups", *_list(shown.sentences)]
    for table in shown.tables:
        blocks += [f"#### {markdown_text(table.title)}", *_captioned(table)]
    for picture in shown.pictures:
        blocks += _titled_picture(picture, section, page)
    return blocks if shown.sentences or shown.tables else []


def _explanations(section: "Section") -> list[str]:
    """Return what was explained, in words; its pictures are on the page of HTML."""
    blocks = ["### Why the models say what they say"] if section.explanations else []
    for one in section.explanations:
        blocks += [f"#### {markdown_text(one.heading)}", *_list(one.sentences)]
    return blocks


def _titled_picture(picture: Picture, section: "Section", page: "Page") -> list[str]:
    title, text = markdown_text(picture.title), markdown_text(picture.text)
    return [f"#### {title}", text, _picture(picture, page, section.commands)]


def _warnings(sentences: Sequence[str]) -> list[str]:
    """Say what every metric of the table below has to be read with."""
    return [f"**{WARNINGS_HEADING}**", markdown_list(sentences)] if sentences else []


def _picture(picture: Picture, page: "Page", commands: Commands | None) -> str:
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

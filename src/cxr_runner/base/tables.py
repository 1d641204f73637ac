"""Tables as files: CSV with twelve digits, Markdown and LaTeX (booktabs) for people."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxr_runner.base.files import write_csv, write_text
from cxr_runner.base.markdown import markdown_list, markdown_table, printable

ENDINGS = ("csv", "md", "tex")  # of the files of a table
_DIGITS = 12  # of a number in CSV; the last ones of sixteen are other ones on another processor
_LATEX_NOTE = (
    "% Needs \\usepackage{booktabs}, and XeLaTeX or LuaLaTeX for scripts other than Latin. Not for clinical use.\n"
)
_LATEX_TEXTS = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    # In the font encoding that LaTeX begins with, these are other characters.
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    # At the beginning of a row these would be taken for an argument of what ends the row before.
    | {"[": "{[}", "*": "{*}"}
    | {"±": r"$\pm$", "−": "$-$"}
)
# Where a spreadsheet finds a formula. Source: OWASP, "CSV Injection", which also names the apostrophe as the way out.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")


@dataclass(frozen=True)
class Table:
    """A table in two forms, for programs and for people.

    Attributes:
        name: name of its files, without suffix.
        caption: caption of one or two sentences.
        data: numbers with all digits, under the names of the API.
        shown: texts under headings for people, with the rows in the same order.
        texts: headings of those columns of ``shown`` that hold words; all others hold numbers.
        title: heading above the table; '' for none.
        notes: what whoever passes the table on has to say with it; below the table in its Markdown and LaTeX files.
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    texts: tuple[str, ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[list[str]]:
        """The cells of ``shown``."""
        cells: list[list[str]] = self.shown.to_numpy(dtype=object).tolist()
        return cells

    @property
    def numeric(self) -> list[bool]:
        """Whether each column of ``shown`` holds numbers, which are right-aligned and sorted by value."""
        return [heading not in self.texts for heading in self.shown.columns]

    def suffixed(self, suffix: str) -> "Table":
        """Return the same table with a suffix to its name."""
        return replace(self, name=self.name + suffix)

    def noted(self, notes: Sequence[str]) -> "Table":
        """Return the same table with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def markdown(self) -> str:
        """Return ``shown`` as a Markdown table."""
        return markdown_table(list(self.shown.columns), self.rows, self.numeric)


def write_table(table: Table, folder: Path) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    write_csv(folder / f"{table.name}.csv", _without_formulas(table.data), _DIGITS)
    notes = f"\n{markdown_list(table.notes)}\n" if table.notes else ""
    write_text(folder / f"{table.name}.md", table.markdown() + notes)
    write_text(folder / f"{table.name}.tex", _LATEX_NOTE + _tabular(table) + _latex_notes(table.notes))


def _tabular(table: Table) -> str:
    """Return ``shown`` as a LaTeX table; pandas writes the same, in four times the time."""
    alignment = "".join("r" if right else "l" for right in table.numeric)
    heading, *rows = (
        " & ".join(map(latex_text, cells)) + " \\\\" for cells in [list(table.shown.columns), *table.rows]
    )
    lines = [f"\\begin{{tabular}}{{{alignment}}}", "\\toprule", heading, "\\midrule", *rows, "\\bottomrule"]
    return "\n".join([*lines, "\\end{tabular}", ""])


def _latex_notes(notes: Sequence[str]) -> str:
    """Return notes as lines of their own below a table, small as those of printed tables are."""
    return "".join(f"{{\\par\\footnotesize {latex_text(note)}\\par}}\n" for note in notes)


def latex_text(text: object) -> str:
    """Return a text, on one line, with everything escaped that LaTeX would interpret."""
    return printable(text).translate(_LATEX_TEXTS)


def _without_formulas(data: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before texts that a spreadsheet would compute; numbers stay numbers, as texts too."""
    texts = {
        str(name): pd.Series(map(_without_formula, column), column.index, object)
        for name, column in data.items()
        if column.dtype.kind not in "biuf"
    }
    return data.assign(**texts).rename(columns=_without_formula)


def _without_formula(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", " ")  # pandas writes it without quotes, and readers begin a row after it
    if not _FORMULA.match(cell):
        return text
    try:
        float(cell)
    except ValueError:
        return f"'{text}"
    return text

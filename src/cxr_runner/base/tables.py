"""Tables as files: CSV with all digits, Markdown and LaTeX (booktabs) for people."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxr_runner.base.files import write_csv, write_text
from cxr_runner.base.markdown import markdown_table

ENDINGS = ("csv", "md", "tex")  # of the files of a table
_LATEX_NOTE = "% Needs \\usepackage{booktabs}. Not for clinical use.\n"


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
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    texts: tuple[str, ...]
    title: str = ""

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

    def markdown(self) -> str:
        """Return ``shown`` as a Markdown table."""
        return markdown_table(list(self.shown.columns), self.rows, self.numeric)


def write_table(table: Table, folder: Path) -> None:
    """Write a table as CSV, Markdown and LaTeX."""
    write_csv(folder / f"{table.name}.csv", table.data)
    write_text(folder / f"{table.name}.md", table.markdown())
    alignment = "".join("r" if right else "l" for right in table.numeric)
    latex = table.shown.to_latex(index=False, escape=True, column_format=alignment)
    write_text(folder / f"{table.name}.tex", _LATEX_NOTE + latex)

"""Tables as files: CSV with all digits, Markdown and LaTeX (booktabs) as people read them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxr_runner.base.files import write_csv, write_text
from cxr_runner.base.markdown import markdown_table

_LATEX_NOTE = "% Needs \\usepackage{booktabs}. Not for clinical use.\n"


@dataclass(frozen=True)
class Table:
    """A table in its two forms.

    Attributes:
        name: of its files, without ending.
        caption: what it shows, in a sentence or two.
        data: with all digits and the names of the API.
        shown: texts under headings for people, in the same order of rows.
        texts: the headings of the columns of ``shown`` that hold words; all others hold numbers.
        title: where one stands above it, '' for none.
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
        """Of every column of ``shown`` whether it holds numbers: these are aligned to the right, and sorted as such."""
        return [heading not in self.texts for heading in self.shown.columns]

    def suffixed(self, suffix: str) -> "Table":
        """Return the same table under a name with a suffix."""
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

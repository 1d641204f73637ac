"""Tables as files: CSV with all digits, Markdown and LaTeX (booktabs) as people read them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxr_runner.artifacts import replacing, write_csv
from cxr_runner.markdown import markdown_table

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


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def mean_sd(mean: float, sd: float) -> str:
    """Return a mean with its standard deviation, where there is one."""
    if pd.isna(mean):
        return ""
    return f"{mean:.3f}" if pd.isna(sd) else f"{mean:.3f} ± {sd:.3f}"


def number(value: float, form: str = ".3f") -> str:
    """Return a number as people read it, with a true minus sign and a zero without any; '' where it is missing."""
    written = "" if pd.isna(value) else format(value, form)
    is_zero = not written.strip("+-0.")
    return written.lstrip("+-") if is_zero else written.replace("-", "−", int(written.startswith("-")))


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def between(low: float, high: float) -> str:
    """Return both ends of an interval of a share, cut off at 0 and 1; '' where there is none."""
    return "" if pd.isna(low) else f"{max(0.0, low):.3f} to {min(1.0, high):.3f}"


def signed(difference: float, low: float, high: float) -> str:
    """Return a difference with both ends of its interval, as far as they are there."""
    ends = "" if pd.isna(low) else f" ({number(low, '+.3f')} to {number(high, '+.3f')})"
    return "" if pd.isna(difference) else number(difference, "+.3f") + ends

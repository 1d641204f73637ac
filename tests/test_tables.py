"""Tables as files: whatever names they hold, spreadsheets compute nothing of them, and LaTeX sets them."""

import csv
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from cxr_runner.base.tables import Table, latex_text, write_table
from cxr_runner.report.write import write_report
from run_trees import HOSPITAL, write_run

FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", '=HYPERLINK("http://x","y")']
NAMES = [
    r"100% & $5 #1 _x_ {a} ~b ^c \d",
    "[5] first in a row",
    "*starred",
    "<b>|x|",
    '"quoted"',
    "0.812 ± 0.004",
    "−0.3",
]


def table(names: list[str], **columns: object) -> Table:
    data = pd.DataFrame({"name": names, **columns})
    return Table("names", "Names.", data, pd.DataFrame({"Name": names, "Again": names}), ("Name",))


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_texts_that_a_spreadsheet_would_compute_begin_with_an_apostrophe(tmp_path: Path) -> None:
    write_table(table([*FORMULAS, "a\r=1"]), tmp_path)
    expected = [f"'{text}".replace("\r", " ") for text in FORMULAS]
    assert [row[0] for row in read(tmp_path / "names.csv")] == ["name", *expected, "a =1"]


def test_numbers_and_other_texts_stay_as_they_are(tmp_path: Path) -> None:
    columns = {
        "number": [-0.1, None, 1e-30],
        "count": [-1, 2, 3],
        "mixed": [-1, "-0.5", None],
        "-x": [True, False, None],
    }
    write_table(table(["linear-0a", "a=b", ""], **columns), tmp_path)
    assert read(tmp_path / "names.csv") == [
        ["name", "number", "count", "mixed", "'-x"],
        ["linear-0a", "-0.1", "-1", "-1", "True"],
        ["a=b", "", "2", "-0.5", "False"],
        ["", "1e-30", "3", "", ""],
    ]


def test_no_cell_of_a_report_begins_a_formula(tmp_path: Path) -> None:
    titles = {"title": "=1+1", "citation": "@x", "licence": "-y", "class_names": ["=a", "+b"]}
    write_run(tmp_path, data=HOSPITAL | titles)
    write_run(tmp_path, "bad", status={"state": "failed", "error": "=2+2"})
    write_report(tmp_path, tmp_path / "report")
    tables = sorted((tmp_path / "report" / "tables").glob("*.csv"))
    cells = [cell for path in tables for row in read(path) for cell in row]
    assert "'=1+1" in cells
    assert "'=2+2" in cells
    for cell in cells:
        if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
            float(cell)


def test_what_latex_would_interpret_is_escaped() -> None:
    assert latex_text("a_b & 5%") == r"a\_b \& 5\%"
    assert latex_text("[5]\n~") == r"{[}5] \textasciitilde{}"


def _compile(tables: list[Path], folder: Path) -> None:
    inputs = "\n".join(rf"\resizebox{{\textwidth}}{{!}}{{\input{{{path.as_posix()}}}}}\par" for path in tables)
    document = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{inputs}\end{{document}}"
    (folder / "all.tex").write_text(document, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-output-directory", str(folder), "all.tex"]
    answer = subprocess.run(command, capture_output=True, cwd=folder, timeout=120)
    said = answer.stdout.decode(errors="replace")
    assert answer.returncode == 0, "\n".join(line for line in said.splitlines()[-30:])
    assert "Missing character" not in (folder / "all.log").read_text("utf-8", "replace")


@pytest.mark.long
def test_latex_sets_every_table_of_a_report_and_any_latin_name(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex and booktabs: Debian's texlive-latex-recommended")
    write_table(table(NAMES), tmp_path)
    for number, name in enumerate(NAMES[:3]):
        write_run(tmp_path / "runs", seed=number, data=HOSPITAL | {"title": name, "fingerprint": f"{number}" * 16})
        write_run(tmp_path / "runs", f"n{number}", status={"state": "failed", "error": name})
    write_report(tmp_path / "runs", tmp_path / "report")
    tables = sorted((tmp_path / "report" / "tables").glob("*.tex"))
    assert len(tables) > 10
    _compile([tmp_path / "names.tex", *tables], tmp_path)

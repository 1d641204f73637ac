"""What is wrong or doubtful with the images stands wherever a report gives test metrics."""

import re
from pathlib import Path
from typing import Any

import pytest

from cxr_runner.artifacts.inventory_line import inventory_line
from cxr_runner.report.write import write_report
from run_trees import HOSPITAL, PHANTOM, write_run
from study_trees import STUDIED, write_study

pytestmark = pytest.mark.usefixtures("quick_pictures")

LEAK = "37 % of the test images (218 of 582) are of a patient who is in train too"
COPIES = "24 test images are copies of training images"
BITS = "the classes differ in bits: NORMAL 8, PNEUMONIA 12"
INVENTORY = {
    "classes": [
        {"class": "NORMAL", "split": "train", "images": 1341, "formats": {"JPEG": 1341}, "bits": {"8": 1341}},
        {"class": "NORMAL", "split": "test", "images": 234, "formats": {"JPEG": 234}, "bits": {"8": 234}},
        {"class": "SICK", "split": "train", "images": 3875, "formats": {"JPEG": 3875}, "bits": {"8": 75, "12": 3800}},
    ],
    "passed_over": [{"suffix": ".dcm", "reason": "DICOM is not read", "files": 12}],
    "bits": None,
}


class Written:
    """A report as written, in parts."""

    def __init__(self, root: Path) -> None:
        self.out = root / "report"
        write_report(root, self.out)
        self.html = (self.out / "index.html").read_text("utf-8")
        self.page = (self.out / "report.md").read_text("utf-8")

    def section(self, number: int) -> str:
        return self.html.partition(f'<section id="data{number}">')[2].partition("</section>")[0]


def test_warnings_stand_at_the_test_metrics_of_their_data_set_and_of_no_other(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path, "ward", data=HOSPITAL | {"warnings": [LEAK, COPIES]})
    write_run(tmp_path, "ward", seed=1, data=HOSPITAL | {"warnings": [LEAK, BITS]})
    write_run(tmp_path, "phantom", data=PHANTOM)
    report = Written(tmp_path)
    ward, phantom = report.section(1), report.section(2)
    above, table, _ = ward.partition("<table")
    assert table
    said = above.partition('<div class="warnings"')[2].partition("</ul>")[0]
    assert re.findall("<li>(.*?)</li>", said) == [LEAK, COPIES, BITS]
    assert ward.count(LEAK) == 1
    assert "warning" not in phantom
    runs = report.html.partition('<section id="runs">')[2].partition("<table>")[0]
    assert "What to read these metrics with stands above the configurations." in runs
    _, of_ward, of_phantom, configurations, *_ = report.page.split("\n## ")
    said = "\n\n**Read the test metrics with this in mind:**\n\n"
    listed = [f"- {one}" for one in (LEAK, COPIES, BITS)]
    assert of_ward.partition("\n\n|")[0].endswith(said + "\n".join(listed))
    assert "test metrics with this in mind" not in of_phantom
    assert said + "\n".join(f"- Ward 7: {one[2:]}" for one in listed) in configurations.partition("\n\n|")[0]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("warning")] == [f"warning: {one}" for one in (LEAK, COPIES, BITS)]
    assert lines.index(f"warning: {LEAK}") < next(i for i, line in enumerate(lines) if line.startswith("synthetic"))


def test_warnings_stand_above_the_published_values_too(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"], seeds=[0], data=STUDIED | {"warnings": [LEAK]})
    section = Written(tmp_path).section(1)
    first, study = section.partition('<div id="study1">')[::2]
    assert LEAK in first.partition("<table")[0]
    assert LEAK in study.partition("Beside the published values")[2].partition("<table")[0]


@pytest.mark.parametrize("name", ["fig20", "fig23", "configurations", "runs"])
def test_tables_of_test_metrics_carry_the_warnings_as_notes(tmp_path: Path, name: str) -> None:
    write_study(tmp_path, rows=["20"], seeds=[0], data=STUDIED | {"warnings": [LEAK]})
    out = Written(tmp_path).out
    prefix = "" if name.startswith("fig") else "synthetic phantom data: "
    markdown = (out / "tables" / f"{name}.md").read_text("utf-8")
    assert markdown.endswith(f" |\n\n- {prefix}{LEAK}\n")
    latex = (out / "tables" / f"{name}.tex").read_text("utf-8")
    assert latex.partition(r"\end{tabular}")[2] == f"\n{{\\par\\footnotesize {prefix}{LEAK}\\par}}\n".replace(
        "%", r"\%"
    )
    assert LEAK not in (out / "tables" / f"{name}.csv").read_text("utf-8")  # which is for programs


def test_intervals_carry_the_warnings_too(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20", "23"], names="patient{}.png", data=STUDIED | {"warnings": [LEAK]})
    out = Written(tmp_path).out
    noted = {path.stem for path in (out / "tables").glob("*.md") if LEAK in path.read_text("utf-8")}
    intervals = {"comparison", "sources", "pairs", "weight", "quality", "pair", "mistakes"}
    assert {"fig20", "fig23", *intervals} < noted
    assert not {"claims", "table1", "errata_recovery"} & noted


def test_warnings_are_shown_as_they_are(tmp_path: Path, capsys: Any) -> None:
    hostile = "<script>alert(1)</script> | $x$ \x1b[31m\u202e [a](b)\n# no heading"
    write_run(tmp_path, data=HOSPITAL | {"warnings": [hostile]})
    report = Written(tmp_path)
    latex = (report.out / "tables" / "runs.tex").read_text("utf-8")
    terminal = capsys.readouterr().out
    assert "<script>alert" not in report.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report.html
    assert "<script>" not in report.page
    assert "\n# no" not in report.page
    assert r"\textless{}script" in latex
    assert "warning: <script>alert(1)</script> | $x$ [31m [a](b) # no heading\n" in terminal
    for text in (report.html, report.page, latex, terminal):
        assert not any(character in text for character in "\x1b\u202e")


@pytest.mark.parametrize(
    "warnings", [None, "a leak", 7, True, {"a": "leak"}, [None, 3, ["a"], {}, "", "\n", 1.5], [[LEAK]]]
)
def test_what_is_no_list_of_sentences_says_nothing_and_breaks_nothing(tmp_path: Path, warnings: Any) -> None:
    write_run(tmp_path, data=HOSPITAL | {"warnings": warnings})
    report = Written(tmp_path)
    assert 'class="warnings"' not in report.html
    assert "in mind" not in report.page


def test_a_file_with_very_many_warnings_does_not_fill_the_terminal(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path, data=HOSPITAL | {"warnings": [f"number {number} of many" for number in range(500)]})
    assert Written(tmp_path).section(1).count("of many") == 500
    out = capsys.readouterr().out
    assert out.count("warning: ") == 10
    assert "and 490 more warnings, in the report" in out


def test_the_inventory_stands_on_one_line_where_the_data_come_from(tmp_path: Path) -> None:
    write_run(tmp_path, data=HOSPITAL)  # from before there were inventories
    write_run(tmp_path, seed=1, data=HOSPITAL | {"inventory": INVENTORY})
    report = Written(tmp_path)
    said = (
        "NORMAL: train 1,341 (8 bits), test 234 (8 bits); SICK: train 3,875 (8 bits 75, 12 bits 3,800); all JPEG; "
        "passed over: 12 .dcm (DICOM is not read)"
    )
    assert f"<dt>Inventory</dt><dd>{said}</dd>" in report.html
    assert f"- Inventory: {said}" in report.page


@pytest.mark.parametrize(
    ("inventory", "said"),
    [
        (INVENTORY | {"classes": INVENTORY["classes"][:2], "passed_over": [], "bits": 12},  # type: ignore[index]
         "NORMAL: train 1,341, test 234; all JPEG, 8 bits; read as 12 bits"),
        ({"classes": [{"class": "A", "split": None, "images": 3}]}, "A: 3"),
        ({"classes": [{"class": "A", "images": 3, "bits": {"8": 3}}, {"class": "B", "images": 2}]},
         "A: 3 (8 bits); B: 2"),
        ({"classes": [{"class": 7, "split": [1], "images": "3", "formats": [1], "bits": {"8": -1}}]}, ""),
        ({"classes": {"A": 1}, "passed_over": [{"suffix": "", "reason": "", "files": ["a", "b"]}, {"files": True}, 3]},
         "passed over: 2 files"),
        ({"passed_over": [{"suffix": f".{n}", "files": 1} for n in range(7)]},
         "passed over: 1 .0, 1 .1, 1 .2, 1 .3, 1 .4 and 2 more"),
        ({"rows": [{"reason": "no label", "rows": 8}, {"rows": 1}, {"rows": "x"}, 3]},
         "left out: 8 rows (no label), 1 row"),
        ({"classes": [], "passed_over": None, "bits": "8"}, ""),
        ({"bits": 10**400}, ""),
        ("JPEG", ""),
        ([INVENTORY], ""),
        (None, ""),
    ],
)  # fmt: skip
def test_an_inventory_is_read_as_far_as_it_is_one(inventory: Any, said: str) -> None:
    assert inventory_line(inventory) == said

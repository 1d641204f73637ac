"""Every file and every command of the part of docs/study.md on a study of one's own."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.study import load_study
from cxr_runner.study.claims import STATISTICS, Expectation

PAGE = (Path(__file__).parents[1] / "docs" / "study.md").read_text("utf-8").partition("## A study of your own")[2]
SWEEP, CHECK = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WARD, PAPER = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALL = ("data.num_images=60", "data.image_size=16", "epochs=1", "progress=none")

Command = Callable[..., Answer]


@pytest.fixture
def call(
    elsewhere: Path, cxr_run: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    entries = {"cxr-study": cli.study, "cxr-report": cli.report}

    def answer(command: str, *arguments: str) -> Answer:
        if command == "cxr-run":
            return cxr_run(*arguments, *SMALL)
        small = SMALL[:1] if "--forecast" in arguments else ()
        return call_inside(entries[command], [command, *arguments, *small], monkeypatch, capsys)

    return answer


@pytest.mark.long
@pytest.mark.usefixtures("quick_pictures", "own_process")
def test_the_way_from_a_sweep_to_a_study_is_as_the_page_has_it(call: Command, elsewhere: Path) -> None:
    answers = {line: call(*shlex.split(line, comments=True)) for line in SWEEP.splitlines()}
    assert {line: (answer.code, answer.err) for line, answer in answers.items()} == dict.fromkeys(answers, (0, ""))
    study = load_study("ward.yaml")
    assert [(row.id, row.family, row.epochs) for row in study.rows] == [("cnn", "cnn", 1), ("linear", "linear", 1)]
    assert "study: 6 runs, 6 of them done" in answers[SWEEP.splitlines()[-1]].out
    page = (elsewhere / "outputs" / "report" / "report.md").read_text("utf-8")
    assert "### The study: ward" in page
    assert "2 of the study's 2 models have runs on these images; nothing was published of them." in page


def test_the_file_on_the_page_is_a_study(call: Command, elsewhere: Path) -> None:
    Path("ward.yaml").write_text(WARD, "utf-8")
    study = load_study("ward.yaml")
    assert [row.title for row in study.rows] == ["Linear, 2 layers, 10 units", "Linear, weighted", "CNN, 5 filters 3x3"]
    assert [row.epochs for row in study.rows] == [5, 5, 5]
    assert call("cxr-study", "check", "ward.yaml").out == (
        "Which weight for the ward's X-rays?: 3 rows, 1 claim, 1 figure, published metrics of no row\n"
    )


def test_the_table_on_the_page_is_checked_without_runs(call: Command, elsewhere: Path) -> None:
    Path("paper.yaml").write_text(PAPER, "utf-8")
    command, _, says = CHECK.strip().partition("    # ")
    answer = call(*shlex.split(command))
    assert (answer.code, answer.err) == (0, "")
    assert says == "Net A: 564 of 624 correct; the accuracy of Net B fits no counts"
    net_a, net_b = [re.split(r" *\| *", line) for line in answer.out.splitlines() if line.startswith("| ")][2:4]
    assert (net_a[1], net_a[8]) == ("A: Net A", "564")
    assert (net_b[1], net_b[5:13]) == ("B: Net B", [""] * 8)


def test_the_page_names_every_statistic_and_expectation() -> None:
    words = set(re.findall(r"`([a-z_0-9 ]+)`", PAGE))
    assert set(STATISTICS) <= words
    assert set(Expectation.__args__) <= words

"""The commands of docs/another-hospital.md, on phantoms, in the order of the page."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from conftest import Answer, call_inside
from cxr_runner import cli

PAGE = (Path(__file__).parents[1] / "docs" / "another-hospital.md").read_text("utf-8")
WALK = PAGE[PAGE.index("## On phantoms") : PAGE.index("## For real")]


def commands(text: str) -> list[list[str]]:
    """Return the commands of all blocks of a text, as a shell would split them."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def expand(word: str) -> list[str]:
    """Do what a shell does with a star."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


@pytest.mark.usefixtures("own_process", "quick_pictures")
def test_the_walk_from_one_hospital_to_another_is_as_the_page_says(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = commands(WALK)
    assert [words[0] for words in walk].count("cxr-model") >= 5
    answers: dict[str, Answer] = {}
    for words in walk:
        arguments = [one for word in words[1:] for one in expand(word)]
        entry: Callable[[], object] = getattr(cli, words[0].removeprefix("cxr-"))
        answer = call_inside(entry, [words[0], *arguments], monkeypatch, capsys)  # type: ignore[arg-type]
        assert (answer.code, answer.err) == (0, ""), words
        answers[" ".join(words[:2])] = answer
    inside = json.loads((elsewhere / "north" / "evaluations" / "south" / "evaluation.json").read_text("utf-8"))
    figures = {(row["metric"], row["rule"]): row for row in inside["metrics"]}
    area, specific = figures["auroc", ""], figures["specificity", "youden as calibrated"]
    assert area["outside"][0] > 0.8  # the order holds ...
    assert specific["inside"][0] > 0.4
    assert specific["outside"][0] < 0.2  # ... and the threshold does not
    assert f"the specificity is {specific['outside'][0]:.3f} (inside" in answers["cxr-model evaluate"].out
    assert "brighter than 99 % of its images" in answers["cxr-model predict"].out
    assert len(pd.read_csv(elsewhere / "south.csv")) == 60
    assert "On images of another place" in (elsewhere / "outputs" / "north" / "report" / "report.md").read_text("utf-8")


def test_every_task_and_every_flag_of_the_command_is_on_the_page() -> None:
    from cxr_runner.commands.model import _FLAGS, _TASKS

    assert [task for task in _TASKS if f"cxr-model {task}" not in PAGE] == []
    assert [flag for flag in _FLAGS if f"--{flag.replace('_', '-')}" not in PAGE] == []

"""Which came first, a claim or the runs that bear on it; and the second study from images to its page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import read_json
from cxr_runner.report.write import write_report
from cxr_runner.study import Study, load_study, stated
from cxr_runner.study.stated import claim_digest, state_claims, stated_file
from odd_sets import drawn, save
from study_trees import write_study

STUDY = load_study("bacterial_viral")


class Clock:
    """Tells a time that a test sets."""

    def __init__(self) -> None:
        self.hour = 0

    def now(self, _: object) -> "Clock":
        return self

    def isoformat(self, timespec: str) -> str:
        assert timespec == "seconds"
        return f"2026-11-27T{self.hour:02}:00:00+00:00"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stated, "datetime", clock)
    return clock


def hours(times: object) -> list[int]:
    assert isinstance(times, dict)
    return [int(time[11:13]) for time in times.values()]


def with_claim(study: Study, position: int, **changes: object) -> Study:
    claims = list(study.claims)
    claims[position] = replace(claims[position], **changes)
    return replace(study, claims=tuple(claims))


def test_a_claim_keeps_the_time_at_which_it_was_first_seen(tmp_path: Path, clock: Clock) -> None:
    assert hours(state_claims(STUDY, tmp_path)) == [0, 0, 0, 0]
    clock.hour = 3
    assert hours(state_claims(STUDY, tmp_path)) == [0, 0, 0, 0]
    other = with_claim(STUDY, 1, says="With and without ReLU the linear model ranks alike, within 0.02 of AUROC.")
    assert hours(state_claims(other, tmp_path)) == [0, 3, 0, 0]
    clock.hour = 5
    assert hours(state_claims(STUDY, tmp_path)) == [0, 0, 0, 0]  # the old one, back again
    assert hours(state_claims(other, tmp_path)) == [0, 3, 0, 0]
    fewer = replace(STUDY, claims=STUDY.claims[:1])
    assert hours(state_claims(fewer, tmp_path)) == [0]
    assert len(read_json(stated_file(tmp_path, STUDY))["first_seen"]["relu_alike"]) == 2  # type: ignore[index]


def test_a_tree_in_another_knows_what_that_knows_and_the_reverse(tmp_path: Path, clock: Clock) -> None:
    state_claims(STUDY, tmp_path / "outputs" / "study")
    clock.hour = 2
    assert hours(state_claims(STUDY, tmp_path / "outputs")) == [0, 0, 0, 0]
    assert hours(state_claims(STUDY, tmp_path / "outputs" / "study" / "runs")) == [0, 0, 0, 0]
    assert len(list(tmp_path.rglob("*.json"))) == 1
    assert hours(state_claims(STUDY, tmp_path / "elsewhere")) == [2, 2, 2, 2]


def test_what_decides_a_claim_is_in_its_digest_and_nothing_else() -> None:
    claim = STUDY.claims[0]
    digest = claim_digest(claim, STUDY)
    assert claim_digest(replace(claim, because="Another reason.", source="section 1", figure=1), STUDY) == digest
    assert claim_digest(claim, replace(STUDY, title="Other", claims=())) == digest
    auroc = STUDY.definitions["auroc"]
    condition = claim.conditions[0]
    row = STUDY.row("linear")
    rows = tuple(one.changed(optimizer__lr=0.1) if one is row else one for one in STUDY.rows)
    others = [
        (replace(claim, says="Other words."), STUDY),
        (replace(claim, conditions=(replace(condition, expect="lower"),)), STUDY),
        (claim, replace(STUDY, definitions={**STUDY.definitions, "auroc": replace(auroc, margin=0.02)})),
        (claim, replace(STUDY, rules=replace(STUDY.rules, level=0.1))),
        (claim, replace(STUDY, conditions={**STUDY.conditions, "epochs": 20})),
        (claim, replace(STUDY, rows=rows)),
    ]
    assert len({digest, *(claim_digest(*other) for other in others)}) == 7


def test_a_file_that_something_else_has_changed_tells_nothing(tmp_path: Path, clock: Clock) -> None:
    state_claims(STUDY, tmp_path)
    path = stated_file(tmp_path, STUDY)
    path.write_text(path.read_text("utf-8").replace("T00:", "T01:"), "utf-8")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"bacterial_viral\.json: was changed since it was written"):
        state_claims(STUDY, tmp_path)
    assert path.read_bytes() == before


def test_a_tree_that_cannot_be_written_to_knows_no_times(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("no folder", "utf-8")
    assert state_claims(STUDY, tmp_path) == {}


def test_a_study_without_claims_leaves_no_file(tmp_path: Path) -> None:
    assert state_claims(replace(STUDY, claims=()), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick_pictures")
def test_the_report_says_of_each_claim_whether_it_came_before_its_runs(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    write_study(outputs, seeds=range(2), rows=["0", "1", "2", "5", "14"])
    began = {"table1_00": "2999-01-01T00:00:00+00:00", "table1_14": "2020-01-01T00:00:00+00:00"}
    began |= {"table1_01": began["table1_00"], "table1_02": began["table1_00"]}
    for path in outputs.rglob("status.json"):
        if (name := path.parent.parent.name.rpartition("-")[0]) in began:
            path.write_text(json.dumps({"state": "done", "host": "nowhere", "started": began[name]}), "utf-8")
    write_report(outputs, outputs / "report")
    claims = pd.read_csv(outputs / "report" / "tables" / "claims.csv").set_index("claim")
    said = claims["stated_before"].fillna("")
    assert said["depth_slows"] == "before"
    assert said["weight_lowers_linear_plateau"] == "after"  # one of its rows began long ago
    assert said["relu_2_layers_converge"] == "not known"  # its run does not say when it began
    assert said["kernel_5_no_better"] == ""  # no run bears on it
    page = (outputs / "report" / "claims.md").read_text("utf-8")
    assert "the first run that bears on it began 2020-01-01 00:00 UTC" in page
    assert (outputs / "studies" / "copetti.json").is_file()


@pytest.mark.usefixtures("quick_pictures", "own_process")
def test_the_second_study_goes_from_images_to_its_page(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(command: str, *arguments: str) -> Answer:
        entry: Callable[..., object] = {"cxr-study": cli.study, "cxr-report": cli.report}[command]
        return call_inside(entry, [command, *arguments], monkeypatch, capsys)  # type: ignore[arg-type]

    for label, kind in enumerate(("virus", "bacteria")):
        for number in range(24):
            save(Path("PNEUMONIA") / f"person{number // 2}_{kind}_{number}.png", drawn(100 * label + number, label))
    small = ("--data", "PNEUMONIA", "--size", "16", "--seeds", "1", "--folds", "2", "progress=none", "plots=never")
    answer = call("cxr-study", "bacterial_viral", *small)
    assert (answer.code, answer.err) == (0, "")
    assert "study: 12 runs, 0 of them done" in answer.out
    tables = Path("outputs/study/report/tables")
    runs = pd.read_csv(tables / "runs.csv")
    assert runs.groupby("row").size().to_dict() == {row.id: 2 for row in STUDY.rows}
    claims = pd.read_csv(tables / "claims.csv")
    assert claims["stated_before"].tolist() == ["before"] * 4
    page = (tables.parent / "index.html").read_text("utf-8")
    assert "The study: Bacterial or viral pneumonia?" in page
    assert "virus" in page
    assert not (tables.parent / "errata.html").exists()
    again = call("cxr-report", "outputs/study")  # of another study these runs are nothing but runs
    assert (again.code, "The study:" in (tables.parent / "index.html").read_text("utf-8")) == (0, False)
    assert call("cxr-report", "outputs/study", "--study", "nosuch").err.startswith("cxr-report: nosuch: no such study")

"""The study's claims in the report: which runs they rest on, and what the page says of them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cxr_runner.artifacts.rundir import RunDir, find_runs
from cxr_runner.artifacts.status import Status
from cxr_runner.base.errors import DivergedError, RunFailedError
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.compare.claims.claim_times import claim_times
from cxr_runner.report.compare.claims.observations import observe
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting
from cxr_runner.report.compare.claims.run_numbers import RunNumbers
from cxr_runner.report.compare.comparison import compare
from cxr_runner.report.missing import PIXELS
from cxr_runner.report.render.claim_rows import ClaimRow, report_claims
from cxr_runner.report.render.claims_page import claims_page
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from study_trees import STUDIED, write_study

LRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


STUDY = load_study()


def observed(root: Path) -> dict[RowSetting, list[RunNumbers]]:
    """Return the runs that claims are about, where all are of one size and manner of splitting."""
    (one,) = observe_all(root)
    return {setting: list(runs) for setting, runs in one.runs.items()}


def observe_all(root: Path) -> tuple[Observed, ...]:
    (runs,) = collect(root, STUDY, Reporter()).data_sets
    return observe(runs)


def claim_rows(root: Path) -> dict[str, ClaimRow]:
    (compared,) = compare(collect(root, STUDY, Reporter()))
    commands = Commands(compared.runs, compared.setups)
    return {
        row.id: row for row in report_claims(compared.verdicts, STUDY, commands, "", claim_times(compared.runs)).rows
    }


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows 5 and 6 at all learning rates, two seeds each; of row 5 a run at 0.1 has diverged."""
    root = tmp_path_factory.mktemp("swept")
    for lr in LRS:
        write_study(root, seeds=range(2), rows=["5", "6"], lr=lr)
    (diverged,) = root.glob("runs/table1_05-*02710/seed=1")  # the id ends in the learning rate, 0.1
    (diverged / "metrics.json").unlink()
    edit(diverged / "status.json", state="failed", error="the loss is not finite in epoch 1", diverged=True)
    return root


def test_runs_that_differ_from_a_row_in_the_learning_rate_alone_are_found(swept: Path) -> None:
    by_setting = observed(swept)
    all_settings = {RowSetting(row, f"optimizer.lr={lr:g}") for row in ("5", "6") for lr in LRS}
    assert {setting for setting, runs in by_setting.items() if runs} == {RowSetting("5"), *all_settings}
    made_up_as_collapsed = by_setting[RowSetting("6", "optimizer.lr=0.001")]
    assert [run.trained for run in made_up_as_collapsed] == [False, False]


def test_a_run_that_diverged_counts_as_not_converged(swept: Path) -> None:
    runs = observed(swept)[RowSetting("5", "optimizer.lr=0.1")]
    assert [(run.seed, run.trained) for run in runs] == [(0, True), (1, False)]
    assert runs[1].numbers == {"converged": 0.0}
    left_out = collect(swept, STUDY, Reporter()).left_out
    assert left_out["reason"].tolist() == ["the loss is not finite in epoch 1"]


def test_what_is_missing_of_the_sweep_is_named_with_its_command(swept: Path) -> None:
    row = claim_rows(swept)["relu_deeper_never_converges"]
    assert row.word == "partly run"
    assert row.needs == "Runs of model 7 at 64 pixels."
    assert row.command == (
        "cxr-run -m experiment=table1_07 seeds=10 data=phantom data.image_size=64 "
        "optimizer.lr=0.1,0.01,0.001,0.0001,1e-05"
    )
    assert row.runs == "6, 5 at 0.1, 0.01, 0.001, 0.0001, 1e-05 (2 seeds)"
    assert row.anchor == "converged"


@pytest.mark.parametrize(("error", "diverged"), [(DivergedError("nan"), True), (RunFailedError("disk full"), False)])
def test_status_tells_divergence_from_other_failures(tmp_path: Path, error: RunFailedError, diverged: bool) -> None:
    files = RunDir(tmp_path / "runs" / "a-0123456789" / "seed=0")
    files.path.mkdir(parents=True)
    Status(files, {}).failed(error)
    (run,) = find_runs(tmp_path)
    assert (run.state, run.diverged) == ("failed", diverged)


def test_training_times_are_compared_between_runs_on_pixels_of_one_size_only(tmp_path: Path) -> None:
    write_study(tmp_path / "large", rows=["20b", "21b"], image_size=640)
    write_study(tmp_path / "small", rows=["20b", "21b", "22b"], data=STUDIED | {"fingerprint": "a" * 16})
    for path in (tmp_path / "small").rglob("table2_21b*/*/metrics.json"):
        edit(path, engine="gram")

    def timed() -> list[tuple[int, list[int]]]:
        rows = [RowSetting(row, PIXELS) for row in ("20b", "21b", "22b")]
        return [(one.image_size, [len(one.at(row)) for row in rows]) for one in observe_all(tmp_path)]

    assert timed() == [(640, [3, 3, 0]), (64, [3, 0, 3])]
    for path in (tmp_path / "small").rglob("table2_21b*/*/metrics.json"):
        edit(path, engine="pixel")
    assert timed() == [(640, [3, 3, 0]), (64, [3, 3, 3])]
    assert "On images of 64 pixels, split seed 0." in claim_rows(tmp_path)["cnn_slow"].how
    shutil.rmtree(tmp_path / "small")
    row = claim_rows(tmp_path)["cnn_slow"]
    assert (row.word, row.needs) == ("not run", "Runs of model 22b at 640 pixels.")
    assert row.command.endswith("engine=pixel")


def test_models_at_different_sizes_are_compared_in_no_claim_and_missing_at_one(tmp_path: Path) -> None:
    for size, row, mark in ((16, "0", "a"), (48, "1", "b"), (200, "2", "c")):
        write_study(tmp_path / row, rows=[row], data=STUDIED | {"fingerprint": mark * 16}, image_size=size)
    row = claim_rows(tmp_path)["depth_slows"]
    assert (row.word, row.needs) == ("not run", "Runs of models 0, 1 at 200 pixels.")
    assert "On images of 200 pixels, split seed 0." in row.how
    assert "data.image_size=200" in row.command
    write_study(tmp_path / "both", rows=["0", "1"], data=STUDIED | {"fingerprint": "d" * 16}, image_size=32)
    row = claim_rows(tmp_path)["depth_slows"]
    assert (row.word, row.needs) == ("partly run", "Runs of model 2 at 32 pixels.")
    assert "Tested: 2 of 4 parts: " in " ".join(row.how)


def test_folds_are_replicates_and_single_splits_are_not_mixed_in(tmp_path: Path) -> None:
    write_study(tmp_path / "single", rows=["0", "14"], data=STUDIED | {"fingerprints": {"source": "5" * 16}})
    for fold in range(3):
        split = {"strategy": "patient", "seed": 0, "folds": 3, "fold": fold, "rotates": "test", "given_test": False}
        facts = {"fingerprint": f"{fold}" * 16, "fingerprints": {"source": "5" * 16}, "split": split}
        write_study(tmp_path / f"fold{fold}", rows=["0", "14"], data=STUDIED | facts)
    single, folds = sorted(observe_all(tmp_path), key=lambda one: one.held_ratio)
    assert (single.splits, folds.splits) == ("split seed 0", "3 folds by patient")
    assert (single.held_ratio, folds.held_ratio) == (0, pytest.approx(582 / 4077))
    cells = [run.cell for run in folds.at(RowSetting("0"))]
    assert cells == [(split, seed) for split in range(3) for seed in range(3)]
    row = claim_rows(tmp_path)["weight_lowers_linear_plateau"]  # on the most runs
    assert "On images of 64 pixels, 3 folds by patient." in row.how
    assert "9 runs without a collapse, of 3 seeds" in row.how[0]


def test_undecided_claims_say_how_many_seeds_and_images_would_do(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["0", "14", "20", "21", "22", "23", "24", "25"], names="patient{}.png")
    rows = claim_rows(tmp_path)
    assert rows["weight_lowers_metrics"].word == "undecided"
    assert "seeds" in rows["weight_lowers_metrics"].needs or "images" in rows["weight_lowers_metrics"].needs
    assert any("3 seeds without a collapsed run" in sentence for sentence in rows["weight_lowers_metrics"].how)
    (tmp_path / "one").mkdir()
    write_study(tmp_path / "one", seeds=[0], rows=["0", "14"])
    alone = claim_rows(tmp_path / "one")["weight_lowers_linear_plateau"]
    assert alone.word == "undecided"
    assert alone.needs == "More seeds, 10 to begin with: fewer than 3 without a collapsed run show no spread."
    assert "experiment=table1_00,table1_14 seeds=10" in alone.command


@pytest.mark.usefixtures("quick_pictures")
def test_the_page_shows_every_claim_with_its_verdict_figure_and_runs(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(4), names="patient{}.png")
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    table = pd.read_csv(tmp_path / "report" / "tables" / "claims.csv")
    claims = STUDY.claims
    assert table["claim"].tolist() == [claim.id for claim in claims]
    assert page.index("Published and ours") < page.index("The study's claims") < page.index("Beside the published")
    for word, says in zip(table["verdict"], table["says"], strict=True):
        assert f'">{word}</td>\n<td><details><summary>{says}<small>' in page
    anchors = {text.split('"')[0] for text in page.split('<a href="#')[1:]}
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    tests = pd.read_csv(tmp_path / "report" / "tables" / "claim_tests.csv")
    assert set(tests["claim"]) == set(table["claim"])
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert all(claim.says in text for claim in claims)


@pytest.mark.usefixtures("quick_pictures")
def test_several_data_sets_have_verdicts_of_their_own(tmp_path: Path) -> None:
    write_study(tmp_path / "before", rows=["0", "14"])
    write_study(tmp_path / "after", rows=["0"], data=STUDIED | {"fingerprint": "a" * 16})
    write_report(tmp_path, tmp_path / "report")
    tables = [pd.read_csv(tmp_path / "report" / "tables" / f"claims_{number}.csv") for number in (1, 2)]
    runs = [table.set_index("claim").loc["weight_lowers_linear_plateau", "runs"] for table in tables]
    assert sorted(runs) == ["0 (3 seeds)", "0, 14 (3 seeds)"]
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    anchors = {text.split('"')[0] for text in page.split('<a href="#')[1:]}
    assert {"fig14_1", "converged_2"} < anchors
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    assert 'id="fig14_2"' in page


def test_the_page_in_docs_says_what_study_yaml_says() -> None:
    page = (Path(__file__).parents[1] / "docs" / "claims.md").read_text("utf-8")
    begin = page.partition("| verdict |")[0]
    assert claims_page([], STUDY).rstrip("\n") in begin
    for claim in STUDY.claims:
        assert f"### {claim.says}\n" in page

"""Searches by hydra/sweeper=optuna: what is proposed, trained, pruned and kept, and how they go on."""

import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import find_runs, read_run
from cxr_runner.artifacts.search_file import SearchPoint, read_searches
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import to_dict
from cxr_runner.config.usual_settings import asked_for
from cxr_runner.plots import search_plot

pytest.importorskip("optuna")

TINY = ("data.num_images=80", "data.image_size=16", "epochs=1", "plots=never")
SEARCH = ("-m", "hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(1e-5,1e-1))", "model.hidden=choice(2,3)")
THREE = (*SEARCH, *TINY, "seeds=5", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2")
Command = Callable[..., Answer]


def _one_search(outputs: Path) -> tuple[Path, dict[str, Any]]:
    (record,) = read_searches(outputs)
    (folder,) = (outputs / "searches").iterdir()
    return folder, dict(record)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The outputs of a search of three trials, not to be written to, and what it said."""
    folder = tmp_path_factory.mktemp("searched")
    command = [Path(sys.executable).with_name("cxr-run"), *THREE]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    return folder / "outputs", said.stdout


def test_the_value_of_a_trial_is_the_mean_over_its_seeds_of_val(searched: tuple[Path, str]) -> None:
    outputs, _ = searched
    _, record = _one_search(outputs)
    assert [trial["number"] for trial in record["trials"]] == list(range(3))
    for trial in record["trials"]:
        runs = [read_run(outputs / path) for path in trial["runs"].values()]
        assert {run.config["optimizer"]["lr"] for run in runs} == {trial["params"]["optimizer.lr"]}
        assert {run.config["model"]["hidden"] for run in runs} == {trial["params"]["model.hidden"]}
        assert trial["value"] == pytest.approx(np.mean([run.metrics["val"]["auroc"] for run in runs]))
        assert [run.seed for run in runs] == list(range(len(runs)))
        assert len(runs) == trial["trained"] == (5 if trial["state"] == "measured" else 4)
    measured = [trial for trial in record["trials"] if trial["state"] == "measured"]
    assert record["best_value"] == max(trial["value"] for trial in measured)


def test_the_best_is_written_where_the_plugin_of_hydra_writes_it(searched: tuple[Path, str]) -> None:
    folder, record = _one_search(searched[0])
    results = yaml.safe_load((folder / "optimization_results.yaml").read_text("utf-8"))
    assert results["name"] == "optuna"
    assert (results["best_params"], results["best_value"]) == (record["best_params"], record["best_value"])
    assert set(results["best_params"]) == {"optimizer.lr", "model.hidden"}


def test_the_end_says_what_luck_and_test_are(searched: tuple[Path, str]) -> None:
    outputs, said = searched
    _, record = _one_search(outputs)
    best = record["trials"][record["best"]]
    assert f"optimizer.lr={best['params']['optimizer.lr']:.4g}" in record["verdict"][0]
    assert all(sentence in said for sentence in record["verdict"])
    assert record["expected"] == pytest.approx(record["best_value"] - record["luck"]["gain"])
    tested = [read_run(outputs / run).metrics["test"]["auroc"] for run in best["runs"].values()]
    assert record["test"]["auroc"][0] == pytest.approx(np.mean(tested))


def test_trials_of_a_batch_train_as_one_stack(searched: tuple[Path, str]) -> None:
    sizes = pd.Series([run.metrics["stack_size"] for run in find_runs(searched[0])])
    _, record = _one_search(searched[0])
    alike = pd.Series([trial["params"]["model.hidden"] for trial in record["trials"][:2]]).value_counts()
    assert sizes.max() == 4 * alike.max(), "four seeds of each trial of the first batch of one shape"


def test_the_same_command_trains_nothing_more_and_a_larger_one_goes_on(
    searched: tuple[Path, str], cxr_run: Command, elsewhere: Path
) -> None:
    shutil.copytree(searched[0], elsewhere / "outputs")
    before = {path: path.stat().st_mtime_ns for path in elsewhere.glob("outputs/runs/*/*/metrics.json")}
    folder, record = _one_search(elsewhere / "outputs")
    (folder / "search.json").unlink()
    again = cxr_run(*THREE)
    assert (again.code, again.err) == (0, "")
    assert "trial" not in again.out.partition("best of")[0]
    assert _one_search(elsewhere / "outputs")[1] == record
    more = cxr_run(*THREE, "hydra.sweeper.n_trials=4")
    assert more.code == 0
    assert "trial 3:" in more.out
    assert "trial 2:" not in more.out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert _one_search(elsewhere / "outputs")[1]["trials"][:3] == record["trials"]


@pytest.mark.parametrize("when", [("metrics.json", 2), pytest.param(("search.json", 1), marks=pytest.mark.long)])
def test_a_killed_search_goes_on_and_comes_to_the_same(
    searched: tuple[Path, str], elsewhere: Path, cache: Path, when: tuple[str, int]
) -> None:
    import killable

    process = killable.start(*THREE, cache=cache, log=elsewhere / "log", kill_before=when)
    assert killable.finish(process) < 0
    with (next(elsewhere.glob("outputs/searches/*")) / "journal.log").open("a") as journal:
        journal.write('{"op_code":')  # killed in the middle of a line
    assert killable.finish(killable.start(*THREE, cache=cache, log=elsewhere / "log")) == 0
    wanted, found = (_one_search(outputs)[1]["trials"] for outputs in (searched[0], elsewhere / "outputs"))
    assert found == wanted


def test_the_journal_of_another_search_is_refused_in_one_line(cxr_run: Command, elsewhere: Path) -> None:
    named = ("hydra.sweeper.study_name=mine", "hydra.sweeper.n_trials=1", "optimizer.lr=0.1,0.2")
    small = ("-m", "hydra/sweeper=optuna", *TINY, *named)
    assert cxr_run(*small).code == 0
    runs = find_runs(elsewhere / "outputs")
    for other, why in (
        ("optimizer.lr=0.1,0.3", "(over optimizer.lr=0.1,0.2)"),
        ("hydra.sweeper.metric=val_f1", "(for val_auroc, not val_f1)"),
        ("hydra.sweeper.sampler.seed=1", "(with another sampler)"),
        ("batch_size=16", "(of another configuration)"),
    ):
        answer = cxr_run(*small, other)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "mine/journal.log: is the journal of another search" in answer.err
        assert why in answer.err
    (elsewhere / "outputs/searches/mine/journal.log").write_text("nonsense\n")
    answer = cxr_run(*small)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "mine/journal.log: is damaged" in answer.err
    assert len(find_runs(elsewhere / "outputs")) == len(runs)


def test_a_key_that_is_added_later_makes_no_other_search_at_its_default() -> None:
    config = to_dict(compose(["model=cnn", "data.image_size=16", "data.split.folds=2", "seed=3"])[0])
    wanted = asked_for(config)
    changed = {"data.image_size": 16, "data.split.folds": 2, "data.split.fold": 0}
    assert wanted == {"model": "cnn", "optimizer": "sgd", "data": "phantom", "seed": 3} | changed
    assert asked_for({**config, "outputs": "other", "force": True}) == wanted


BAD = [
    (("search=lr",), "search=lr: a search is a sweep, which needs -m"),
    (("-m", "hydra/sweeper=optuna"), "hydra/sweeper=optuna: nothing to search; give for example"),
    (("-m", "search=lr", "optimizer.lr=0.1"), "hydra/sweeper=optuna: nothing to search"),
    (("-m", "search=lr", "hydra.sweeper.metric=test_auroc"), "test_auroc: a search looks at val alone"),
    (("-m", "search=lr", "hydra.sweeper.metric=val_foo"), "hydra.sweeper.metric=val_foo: valid are val_accuracy,"),
    (("-m", "search=lr", "hydra.sweeper.metric=auroc"), "hydra.sweeper.metric=auroc: valid are val_accuracy,"),
    (("-m", "search=lr", "hydra.sweeper.direction=minimize"), "val_auroc is to be maximized"),
    (("-m", "search=lr", "hydra.sweeper.n_trials=0"), "n_trials=0: must be a whole number, at least 1"),
    (("-m", "search=lr", "hydra.sweeper.n_jobs=some"), "n_jobs=some: must be a whole number, at least 1"),
    (("-m", "search=lr", "hydra.sweeper.prune_p=1.5"), "prune_p=1.5: must be between 0 and 1"),
    (("-m", "search=lr", "hydra.sweeper.max_failure_rate=2"), "max_failure_rate=2: must be from 0 to 1"),
    (("-m", "search=lr", "hydra.sweeper.storage=sqlite:///a.db"), "there is no database"),
    (("-m", "search=lr", "hydra.sweeper.study_name=a/b"), "study_name=a/b: must be the name of a folder"),
    (("-m", "search=lr", "hydra/sweeper/sampler=grid"), "has no end of values"),
    (("-m", "search=lr", "hydra/sweeper/sampler=foo"), "no such choice, valid are cmaes, grid"),
    (("-m", "search=lr", "+hydra.sweeper.sampler.foo=3"), "hydra.sweeper.sampler.foo=3: TPESampler of Optuna takes no"),
    (("-m", "search=lr", "hydra.sweeper.custom_search_space=a.b"), "cannot be imported"),
    (("-m", "search=foo"), "search=foo: no such choice, valid are adam, lr"),
    (("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(-1,1)"), "must be above 0, and -1.0 is in it"),
    (("-m", "hydra/sweeper=optuna", "model.hidden=interval(1.5,3.2)"), "must be a whole number, and 1.5 is in it"),
    (
        ("-m", "hydra/sweeper=optuna", "model.hidden=interval(0,3)"),
        "; int(interval(0,3)) searches whole numbers",
    ),
    (("-m", "hydra/sweeper=optuna", "model.hidden=int(interval(0,3))"), "must be at least 1, and 0 is in it"),
    (("-m", "hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(0,1))"), "a logarithm needs numbers above 0"),
    (("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(1,1)"), "an interval goes from a number to a larger one"),
    (("-m", "hydra/sweeper=optuna", "optimizer.lrr=interval(0.1,1)"), "no such key, did you mean optimizer.lr?"),
    (("-m", "hydra/sweeper=optuna", "optimizer.lr=0.1,0.1"), "optimizer.lr=0.1,0.1: names a choice twice"),
    (("-m", "hydra/sweeper=optuna", "model=linear,foo"), "model=foo: no such choice"),
    (("-m", "hydra/sweeper=optuna", "seed=1,2"), "seed=1,2: tells the runs of a trial apart"),
    (
        ("-m", "hydra/sweeper=optuna", "optimizer=sgd,adam", "optimizer.momentum=interval(0.0,0.9)"),
        "optimizer.momentum=interval(0.0,0.9): not a key of the chosen optimizer",
    ),
    (
        ("-m", "hydra/sweeper=optuna", "early_stopping.patience=choice(1,2)", "epochs=choice(2,3)"),
        "early_stopping.patience=choice(1,2): must be below epochs=2, or training can never end early, and 2 is in it",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(arguments[-2:]) for arguments, _ in BAD])
def test_bad_input_is_one_line_before_anything_trains(
    arguments: tuple[str, ...], said: str, cxr_run: Command, elsewhere: Path
) -> None:
    answer = cxr_run(*arguments, *(() if "epochs=" in " ".join(arguments) else TINY), "progress=none")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer.err
    assert said in answer.err
    assert list(elsewhere.iterdir()) == []


def test_without_optuna_the_way_to_it_is_said(
    cxr_run: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = cxr_run("-m", "search=lr", *TINY)
    said = 'cxr-run: hydra/sweeper=optuna: Optuna is not installed, pip install "cxr-runner[search]" does it\n'
    assert (answer.code, answer.err) == (2, said)
    assert list(elsewhere.iterdir()) == []


def test_a_trial_that_diverges_is_a_result(cxr_run: Command, elsewhere: Path) -> None:
    search = ("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "optimizer.lr=1e200,1e-3", *TINY, "seeds=2")
    answer = cxr_run(*search, "hydra.sweeper.n_trials=2")
    assert (answer.code, answer.err) == (0, "")
    _, record = _one_search(elsewhere / "outputs")
    states = {trial["params"]["optimizer.lr"]: trial["state"] for trial in record["trials"]}
    assert states == {1e200: "failed", 1e-3: "measured"}
    (failed,) = (trial for trial in record["trials"] if trial["state"] == "failed")
    assert "the loss is not finite" in failed["reason"]
    assert "best of 2 trials (1 failed): optimizer.lr=0.001" in answer.out
    strict = cxr_run(*search, "hydra.sweeper.n_trials=2", "hydra.sweeper.max_failure_rate=0.2", "outputs=other")
    assert strict.code == 1
    assert "1 of 2 trials failed, hydra.sweeper.max_failure_rate=0.2 allows fewer" in strict.err
    alone = cxr_run(*search[:3], "optimizer.lr=1e200,1e201", *TINY, "hydra.sweeper.n_trials=2", "outputs=third")
    assert alone.code == 1
    assert "no trial of the search was measured: the loss is not finite" in alone.err


def test_where_no_run_can_begin_nothing_is_told_and_the_same_command_tries_again(
    cxr_run: Command, elsewhere: Path
) -> None:
    command = ("-m", "search=lr", "data=folder", "data.root=images", "data.image_size=16", "epochs=1", "seeds=1")
    answer = cxr_run(*command, "hydra.sweeper.n_trials=2")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "images: no such folder" in answer.err
    rng = np.random.default_rng(0)
    for name in ("NORMAL", "PNEUMONIA"):
        (elsewhere / "images" / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(256, size=(16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(elsewhere / "images" / name / f"{number}.png")
    again = cxr_run(*command, "hydra.sweeper.n_trials=2")
    assert (again.code, again.err) == (0, "")
    _, record = _one_search(elsewhere / "outputs")
    assert [trial["state"] for trial in record["trials"]] == ["measured", "measured"]


PIXEL = ("engine=pixel", "data.num_images=80", "data.image_size=16", "epochs=3", "plots=never")


@pytest.mark.usefixtures("quick_pictures")
def test_a_run_on_pixels_is_ended_by_epoch_and_can_go_on(
    cxr_run: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first five are good, the sixth learns so slowly that it is behind their median after an epoch.
    search = ("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=5", *PIXEL, "seeds=2")
    rates = "optimizer.lr=0.05,0.06,0.07,0.08,0.09,1e-9"
    answer = cxr_run(*search, rates, "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=1")
    assert (answer.code, answer.err) == (0, "")
    _, record = _one_search(elsewhere / "outputs")
    (ended,) = (trial for trial in record["trials"] if trial["state"] == "pruned")
    assert (ended["number"], ended["params"]["optimizer.lr"], ended["trained"]) == (5, 1e-9, 1)
    (path,) = (elsewhere / "outputs" / run for run in ended["runs"].values())
    run = read_run(path)
    assert (run.state, run.metrics["epochs_trained"]) == ("pruned", 1)
    assert run.problem.startswith("pruned after epoch 1 of 3 by the search linear-")
    assert len(pd.read_csv(path / "history.csv")) == 1

    again = cxr_run(*search, rates, "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=1")
    assert read_run(path).state == "pruned"
    assert again.code == 0
    report = call_inside(cli.report, ["cxr-report", "outputs"], monkeypatch, capsys)
    assert report.code == 0
    left_out = pd.read_csv("outputs/report/tables/left_out.csv")
    assert left_out["state"].tolist() == ["pruned"]
    assert left_out["reason"][0].startswith("pruned after epoch 1 of 3")

    whole = cxr_run(*PIXEL, "optimizer.lr=1e-9", "progress=lines")
    assert "resuming after epoch 1" in whole.out
    alone = cxr_run(*PIXEL, "optimizer.lr=1e-9", "outputs=alone")
    assert (whole.code, alone.code) == (0, 0)
    (other,) = (elsewhere / "alone").glob("runs/*/seed=0")
    assert (path / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    assert json.loads((path / "status.json").read_text("utf-8"))["state"] == "done"
    assert not (path / "checkpoint.pt").exists()


def test_folds_are_replicates_and_the_choice_is_made_anew_in_each(cxr_run: Command, elsewhere: Path) -> None:
    folds = ("data.split.folds=3", "data.split.strategy=patient", "hydra.sweeper.prune_p=null")
    answer = cxr_run(
        *("-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "optimizer.lr=0.00001,0.1", *TINY, *folds),
        "hydra.sweeper.n_trials=4",
    )
    assert (answer.code, answer.err) == (0, "")
    _, record = _one_search(elsewhere / "outputs")
    assert list(record["trials"][0]["values"]) == ["fold=0 seed=0", "fold=1 seed=0", "fold=2 seed=0"]
    nested, outputs = record["nested"], elsewhere / "outputs"
    assert (nested["folds"], nested["strict"]) == (3, True)
    tests = []
    assert nested["held_ratio"] == pytest.approx(1 / 2)
    for fold, chosen in enumerate(nested["chosen"]):
        runs = [read_run(outputs / trial["runs"][f"fold={fold} seed=0"]) for trial in record["trials"]]
        vals = [run.metrics["val"]["auroc"] for run in runs]
        assert vals[chosen] == max(vals)
        tests.append(runs[chosen].metrics["test"]["auroc"])
    assert nested["test"][0] == pytest.approx(np.mean(tests))
    assert "chosen anew in each of 3 folds by its own val" in answer.out
    of_folds = [read_run(outputs / path).data["fingerprint"] for path in record["trials"][0]["runs"].values()]
    assert [one["data"] for one in nested["by_fold"]] == of_folds
    assert [one["fold"] for one in nested["by_fold"]] == [f"split=0 fold={fold}" for fold in range(3)]
    assert [one["test"] for one in nested["by_fold"]] == pytest.approx(tests)


@pytest.mark.parametrize("preset", ["adam", pytest.param("lr", marks=pytest.mark.long)])
def test_presets_say_what_is_searched(preset: str, cxr_run: Command, elsewhere: Path) -> None:
    small = ("data.num_images=80", "data.image_size=16", "epochs=1", "seeds=2", "hydra.sweeper.n_trials=1")
    answer = cxr_run("-m", f"search={preset}", *small)
    assert (answer.code, answer.err) == (0, "")
    _, record = _one_search(elsewhere / "outputs")
    keys = {"lr": {"optimizer.lr"}, "adam": {"optimizer.lr", "optimizer.weight_decay"}}[preset]
    assert set(record["best_params"]) == set(record["space"]) == keys
    run = find_runs(elsewhere / "outputs")[0]
    assert run.config["optimizer"]["name"] == ("adam" if preset == "adam" else "sgd")


def test_a_function_of_ones_own_may_add_to_the_space(
    cxr_run: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "my_space.py").write_text(MY_SPACE)
    monkeypatch.syspath_prepend(elsewhere)
    mine = ("hydra.sweeper.custom_search_space=my_space.extend", "hydra.sweeper.n_trials=3", "progress=none")
    answer = cxr_run("-m", "hydra/sweeper=optuna", *mine, "optimizer.lr=0.1,0.01,0.001", *TINY)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    _, record = _one_search(elsewhere / "outputs")
    for trial in record["trials"]:
        low = trial["params"]["optimizer.lr"] < 0.05
        assert ("model.hidden" in trial["params"]) == low
        run = read_run(elsewhere / "outputs" / trial["runs"]["seed=0"])
        assert run.config["model"]["hidden"] == (trial["params"]["model.hidden"] if low else 10)


MY_SPACE = """
def extend(config, trial):
    if trial.params["optimizer.lr"] < 0.05:
        trial.suggest_int("model.hidden", 2, 4)
"""


@pytest.mark.long
def test_other_launchers_come_to_the_same(searched: tuple[Path, str], cxr_run: Command, elsewhere: Path) -> None:
    wanted = _one_search(searched[0])[1]["trials"]
    for launcher in ("joblib", "basic"):
        answer = cxr_run(*THREE, f"hydra/launcher={launcher}", f"outputs={launcher}")
        assert (answer.code, answer.err) == (0, "")
        assert _one_search(elsewhere / launcher)[1]["trials"] == wanted


APPLICATION = """
from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore


@dataclass
class Config:
    x: float = 0.0
    kind: str = "a"


ConfigStore.instance().store("config", Config)


@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    if config.x > 2:
        raise ValueError("too far")
    return (config.x - 1) ** 2 + (config.kind != "a")


main()
"""


def test_any_hydra_application_can_be_searched(elsewhere: Path) -> None:
    Path("app.py").write_text(APPLICATION)
    command = [sys.executable, "app.py", "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=12", "kind=a,b"]
    answer = subprocess.run([*command, "x=interval(-3.0,3.0)"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    _, record = _one_search(elsewhere / "outputs")
    for trial in record["trials"]:
        x, kind = trial["params"]["x"], trial["params"]["kind"]
        assert trial["state"] == ("failed" if x > 2 else "measured")
        if x <= 2:
            assert trial["value"] == pytest.approx((x - 1) ** 2 + (kind != "a"))
    assert {trial["state"] for trial in record["trials"]} == {"failed", "measured"}
    assert record["best_value"] == min(one["value"] for one in record["trials"] if one["value"] is not None)


def _leave_two_of_the_same_folds(outputs: Path, record: dict[str, Any]) -> NDArray[np.float64]:
    """Leave two searches beside another that chose anew in the same three folds; return their differences there."""
    tests = {"z1": [0.93, 0.91, 0.95], "z2": [0.91, 0.905, 0.92]}
    for name, values in tests.items():
        folds = [{"fold": f"split=0 fold={at}", "data": "same", "test": value} for at, value in enumerate(values)]
        mean = float(np.mean(values))
        nested = {"folds": 3, "test": [mean, mean - 0.1, mean + 0.1], "strict": True, "shared_test": False}
        (outputs / "searches" / name).mkdir()
        content = {**record, "name": name, "nested": nested | {"held_ratio": 0.5, "by_fold": folds}}
        write_checked_json(outputs / "searches" / name / "search.json", content)
    return np.subtract(*tests.values())


def test_the_report_shows_searches_and_withholds_what_errors_say(
    searched: tuple[Path, str],
    elsewhere: Path,
    quick_pictures: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(searched[0], elsewhere / "outputs")
    folder, record = _one_search(elsewhere / "outputs")
    other = next(one for one in record["trials"] if one["number"] != record["best"])
    other |= {"state": "failed", "value": None, "reason": "p017_secret.png cannot be read"}
    write_checked_json(folder / "search.json", record)
    gaps = _leave_two_of_the_same_folds(elsewhere / "outputs", record)
    assert call_inside(cli.report, ["cxr-report", "outputs"], monkeypatch, capsys).code == 0
    page, text = (Path("outputs/report", name).read_text("utf-8") for name in ("index.html", "report.md"))
    said = f"{record['verdict'][0][0].upper()}{record['verdict'][0][1:]}."
    assert all("secret" in one and html.unescape(one).count(said) for one in (page, text.replace("\\", "")))
    assert {path.stem for path in Path("outputs/report/figures").glob("search_1_*.png")} == {
        *("search_1_history", "search_1_parameters"),
        *(["search_1_importance"] if record["importance"] else []),
    }
    table = pd.read_csv("outputs/report/tables/search_1.csv")
    assert table["val_auroc"][0] == pytest.approx(record["best_value"], rel=1e-11)
    assert table["state"].tolist() == sorted(table["state"], key=["measured", "pruned", "failed"].index)
    (row,) = pd.read_csv("outputs/report/tables/searches_compared.csv").to_dict("records")
    half = stats.t.ppf(0.975, 2) * np.sqrt((1 / 3 + 1 / 2) * gaps.var(ddof=1))
    assert (row["first"], row["second"], row["folds"]) == ("z1", "z2", 3)
    assert row["difference"] == pytest.approx(gaps.mean())
    assert (row["low"], row["high"]) == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert all("Searches compared" in one and "Test AUROC in the same 3 folds: z1 0.9" in one for one in (page, text))
    hidden = ["cxr-report", "outputs", "--hide-names", "--out", "hidden"]
    assert call_inside(cli.report, hidden, monkeypatch, capsys).code == 0
    assert not any("secret" in path.read_text("utf-8", "replace") for path in Path("hidden").rglob("*.*"))


def test_figures_of_searches_are_drawn() -> None:
    points = [
        SearchPoint(0, 0.9, "measured", {"lr": 0.1, "kind": "a"}),
        SearchPoint(1, 0.8, "pruned", {"lr": 0.01, "kind": None}),
        SearchPoint(2, None, "failed", {"lr": 1.0}),
        SearchPoint(3, 0.95, "measured", {"lr": 0.2, "kind": "a"}),
    ]
    history = search_plot.plot_search_history(points, "val_auroc", True).axes[0]
    (best,) = (line for line in history.lines if line.get_label() == "best so far")
    assert best.get_ydata().tolist() == [0.9, 0.95]
    lowest = search_plot.plot_search_history(points, "val_brier", False).axes[0]
    assert next(line for line in lowest.lines if line.get_label() == "best so far").get_ydata().tolist() == [0.9, 0.9]
    first, second = search_plot.plot_parameters(points, ["lr", "kind"], ["lr"], "val_auroc").axes
    assert (first.get_xscale(), second.get_xscale()) == ("log", "linear")
    assert [text.get_text() for text in second.get_xticklabels()] == ["a", "None"]
    assert [bar.get_width() for bar in search_plot.plot_importance({"a": 0.25, "b": 0.75}).axes[0].patches] == [
        0.25,
        0.75,
    ]

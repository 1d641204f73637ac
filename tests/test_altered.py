"""A finished run that has changed is noticed: the report counts it nowhere, and ``cxr-run`` says what to do."""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Answer
from cxr_runner import load_runs
from cxr_runner.artifacts.rundir import RunDir, find_run_dirs, run_dir
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.checksums import checksum
from cxr_runner.config.compose import compose
from cxr_runner.experiment.sweep import train
from cxr_runner.report.collect.agreement import RunReader, find_disagreement
from cxr_runner.report.write import write_report
from run_trees import run_metrics, write_run
from test_report import OPENED

TINY = ("model=linear", "data.num_images=60", "data.image_size=16", "epochs=2", "progress=none")
RESULTS = (
    "config.yaml",
    "data.json",
    "history.csv",
    "predictions.csv",
    "metrics.json",
    "model.safetensors",
    "gram.safetensors",
)
READ = ("status.json", *RESULTS[:-2])  # by a report, which needs no weights
NUM_FLIPS = 150  # of bits of every file
Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outputs tree with one configuration and three seeds."""
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    train(compose([*TINY, f"outputs={outputs}", "seeds=3"]))
    return outputs


@pytest.fixture
def outputs(trained: Path, elsewhere: Path) -> Path:
    """A copy of it, where ``cxr-run`` looks for it."""
    shutil.copytree(trained, elsewhere / "outputs")
    return elsewhere / "outputs"


@pytest.fixture
def first(outputs: Path) -> RunDir:
    return RunDir(find_run_dirs(outputs)[0])


def flips(path: Path) -> Iterator[None]:
    """Flip a bit after the other of a sample of them; the file is whole again at the end."""
    whole = path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(whole)), min(NUM_FLIPS, 8 * len(whole))):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield
    path.write_bytes(whole)


def left_out(root: Path) -> pd.DataFrame:
    """Return the runs that a report leaves out."""
    page = (root / "report" / "report.md").read_text("utf-8").partition("## Runs left out")[2]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    return pd.DataFrame(rows, columns=["path", "state", "reason"])


def change(path: Path, split: str, **values: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    content[split] |= values
    path.write_text(json.dumps(content), "utf-8")


def record(files: RunDir) -> None:
    """Write checksums anew, as somebody may who changes a result on purpose."""
    status = json.loads(files.status.read_text("utf-8"))
    status["checksums"] = {path.name: checksum(path.read_bytes()) for path in files.results}
    write_checked_json(files.status, {key: value for key, value in status.items() if key != "checksum"})


def test_a_finished_run_notes_the_checksums_of_its_results_and_of_nothing_else(first: RunDir) -> None:
    status = json.loads(first.status.read_text("utf-8"))
    assert status["checksums"] == {name: checksum((first.path / name).read_bytes()) for name in RESULTS}
    for name in ("notes.txt", "curves.png", "confusion.png"):
        (first.path / name).write_text("mine")
    assert first.altered() == ""


@pytest.mark.parametrize("name", READ)
def test_every_bit_that_flips_in_a_file_of_a_run_is_noticed_by_the_report(first: RunDir, name: str) -> None:
    noticed = []
    for _ in flips(first.path / name):
        read = RunReader().read(first.path)
        noticed.append(bool(read.run.problem or find_disagreement(read)))
        if name != "status.json":  # one that says nothing of a run is that of no finished one
            assert read.run.state == "altered"
    print(f"{name}: {sum(noticed)} of {len(noticed)} flipped bits noticed")
    assert len(noticed) == NUM_FLIPS
    assert all(noticed)
    read = RunReader().read(first.path)
    assert (read.run.problem, find_disagreement(read)) == ("", "")


@pytest.mark.parametrize("name", RESULTS)
def test_every_bit_that_flips_in_a_result_is_noticed_before_a_run_counts_as_done(first: RunDir, name: str) -> None:
    assert [first.altered() for _ in flips(first.path / name)] == [name] * NUM_FLIPS
    assert first.altered() == ""


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_result_that_was_cut_off_is_noticed(first: RunDir, name: str, share: float) -> None:
    path = first.path / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert first.altered() == name
    if name in READ:
        assert RunReader().read(first.path).run.state == "altered"


def test_a_bit_that_flips_in_the_status_leaves_no_finished_run_or_an_altered_one(first: RunDir) -> None:
    assert all(first.altered() == "status.json" or not first.complete() for _ in flips(first.status))


@pytest.mark.usefixtures("quick_pictures")
def test_an_altered_run_is_in_no_mean_and_stands_among_those_left_out(outputs: Path, first: RunDir) -> None:
    before = load_runs(outputs)
    change(first.metrics, "test", accuracy=1.0)
    write_report(outputs, outputs / "report")
    runs = pd.read_csv(outputs / "report" / "tables" / "runs.csv")
    summary = pd.read_csv(outputs / "report" / "tables" / "configurations.csv")
    assert runs["seed"].tolist() == [1, 2]
    assert summary["accuracy_mean"].tolist() == pytest.approx([before["accuracy"][1:].mean()])
    (row,) = left_out(outputs).to_dict("records")
    assert (row["state"], row["path"]) == ("altered", first.path.relative_to(outputs).as_posix())
    assert row["reason"] == "metrics.json has changed since the run was finished"
    assert "left out: 1 altered" in (outputs / "report" / "report.md").read_text("utf-8")
    assert load_runs(outputs)["seed"].tolist() == [1, 2]


@pytest.mark.parametrize("name", ["history.csv", "predictions.csv"])
def test_a_file_of_numbers_that_has_changed_is_no_run_that_counts(outputs: Path, first: RunDir, name: str) -> None:
    path = first.path / name
    path.write_text(path.read_text("utf-8").replace("0.", "0.1", 1), "utf-8")
    assert load_runs(outputs)["seed"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("split", "values", "reason"),
    [
        ("test", {"accuracy": 2.5}, "metrics.json: test.accuracy is 2.5, not between 0 and 1"),
        ("val", {"auroc": -0.1}, "metrics.json: val.auroc is -0.1, not between 0 and 1"),
        ("test", {"tp": 7000, "n": -5}, "metrics.json: test has impossible counts: tp 7000, fp 5, fn 4, tn 21, n -5"),
        ("test", {"tp": -70}, "metrics.json: test has impossible counts: tp -70, fp 5, fn 4, tn 21, n 100"),
        ("val", {"n": 121}, "metrics.json: val has impossible counts: tp 60, fp 10, fn 10, tn 20, n 121"),
        (
            "test",
            {"accuracy": 0.95},
            "metrics.json: test.accuracy is 0.95, which contradicts its counts: tp 70, fp 5, fn 4, tn 21, n 100",
        ),
    ],
)
@pytest.mark.usefixtures("quick_pictures")
def test_what_cannot_be_is_refused_in_runs_without_checksums_too(
    tmp_path: Path, split: str, values: dict[str, float], reason: str
) -> None:
    write_run(tmp_path, "good")
    metrics = run_metrics()
    metrics[split] |= values
    write_run(tmp_path, "odd", metrics=metrics)
    write_report(tmp_path, tmp_path / "report")
    assert load_runs(tmp_path)["name"].tolist() == ["good"]
    assert left_out(tmp_path)[["state", "reason"]].to_numpy().tolist() == [["altered", reason]]


def test_metrics_that_the_predictions_do_not_give_are_altered_whatever_the_checksums_say(
    outputs: Path, first: RunDir
) -> None:
    metrics = json.loads(first.metrics.read_text("utf-8"))
    for split in ("val", "test"):
        for key in ("accuracy_batch_mean", "precision", "recall", "specificity", "f1", "auroc"):
            whole = first.metrics.read_text("utf-8")
            change(first.metrics, split, **{key: abs(metrics[split][key] - 1e-5)})
            record(first)
            read = RunReader().read(first.path)
            assert read.run.problem == ""
            assert find_disagreement(read).startswith(f"metrics.json: {split}.{key} is ")
            first.metrics.write_text(whole, "utf-8")
    record(first)
    assert load_runs(outputs)["seed"].tolist() == [0, 1, 2]


def test_a_run_under_the_id_of_another_configuration_is_altered(outputs: Path, first: RunDir) -> None:
    text = first.config.read_text("utf-8")
    first.config.write_text(text.replace("batch_size: 32", "batch_size: 31"), "utf-8")
    record(first)
    assert "its folder says id " in find_disagreement(RunReader().read(first.path))
    first.config.write_text(text.replace("progress: none", "progress: lines"), "utf-8")
    record(first)
    assert find_disagreement(RunReader().read(first.path)) == ""


def test_the_files_of_runs_with_checksums_are_opened_once_too(outputs: Path) -> None:
    script = outputs / "report.py"
    script.write_text(OPENED)
    answer = subprocess.run([sys.executable, script, outputs], capture_output=True, text=True, check=True)
    opened = json.loads(answer.stdout.splitlines()[-1])
    counts = Counter(opened["collect"] + opened["compare"] + opened["render"])
    assert set(counts.values()) == {1}
    assert Counter(Path(name).name for name in counts) == dict.fromkeys(READ, 3)


@pytest.mark.usefixtures("quick_pictures")
def test_the_report_says_how_many_runs_have_no_checksums(outputs: Path, first: RunDir) -> None:
    write_report(outputs, outputs / "report")
    assert "Checksums: verified for all runs" in (outputs / "report" / "report.md").read_text("utf-8")
    status = json.loads(first.status.read_text("utf-8"))
    first.status.write_text(json.dumps({key: status[key] for key in ("state", "started", "host")}), "utf-8")
    write_report(outputs, outputs / "report")
    assert "Checksums: none for 1 of 3 runs" in (outputs / "report" / "report.md").read_text("utf-8")
    assert load_runs(outputs)["seed"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", RESULTS)
def test_the_command_leaves_an_altered_run_as_it_is_and_says_what_to_do(
    cxr_run: Command, outputs: Path, first: RunDir, name: str
) -> None:
    path = first.path / name
    whole = path.read_bytes()
    path.write_bytes(b"\x00" + whole[1:])
    before = {file.name: file.read_bytes() for file in first.path.iterdir()}
    answer = cxr_run(*TINY, "seed=0")
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert line.startswith(f"cxr-run: altered: {name} has changed since the run was finished; it is not trained again")
    assert line.endswith(f"train it anew with force=true ({first.path})")
    assert {file.name: file.read_bytes() for file in first.path.iterdir()} == before


def test_in_a_sweep_an_altered_run_stops_no_other_and_force_makes_it_whole(
    cxr_run: Command, outputs: Path, first: RunDir
) -> None:
    whole = {file: file.read_bytes() for file in first.results}
    first.predictions.write_bytes(first.predictions.read_bytes() + b"\n")
    answer = cxr_run(*TINY, "seeds=4", "progress=lines")
    assert answer.code == 1
    assert answer.err.count("predictions.csv has changed") == 1
    assert "2 of 3 runs are done already" in answer.out
    assert len(load_runs(outputs)) == 3
    assert cxr_run(*TINY, "seed=0", "force=true").code == 0
    assert first.altered() == ""
    assert first.predictions.read_bytes() == whole[first.predictions]
    assert first.model.read_bytes() == whole[first.model]
    assert len(load_runs(outputs)) == 4
    assert cxr_run(*TINY, "seeds=4").code == 0


def test_a_run_that_is_being_trained_anew_is_not_called_altered(first: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*_: object) -> str:
        first.status.write_text('{"state": "running"}')
        return "metrics.json"

    monkeypatch.setattr("cxr_runner.artifacts.rundir.find_altered", begin)
    assert first.altered() == ""


@pytest.mark.parametrize("value", ["", "\ud800", "0" * 16, None, 3, [1], {"metrics.json": 3}])
@pytest.mark.parametrize("key", ["checksum", "checksums"])
def test_any_value_in_place_of_checksums_is_an_altered_run(first: RunDir, key: str, value: Any) -> None:
    status = json.loads(first.status.read_text("utf-8"))
    first.status.write_text(json.dumps(status | {key: value}), "utf-8")
    assert first.altered() == "status.json"
    assert RunReader().read(first.path).run.state == "altered"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("metrics", '"precision": ', '"precision": 1' + 400 * "0" + ', "was": '),
        ("metrics", '"tp": ', '"tp": 1' + 400 * "0" + ', "was": '),
        ("metrics", '"recall": ', '"recall": "x", "was": '),
        ("config", "batch_size: 32", "batch_size: 0"),
        ("config", "batch_size: 32", "batch_size: -1"),
        ("config", "batch_size: 32", "batch_size: 32\n1: 2000-01-01"),
        ("predictions", "\ntest,", "\nval,"),
        ("predictions", ",0,", ",zero,"),
        ("predictions", ",0,", ",7,"),
    ],
)
def test_whatever_stands_under_checksums_that_agree_the_run_is_left_out(
    first: RunDir, outputs: Path, file: str, old: str, new: str
) -> None:
    path = getattr(first, file)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    record(first)
    assert load_runs(outputs)["seed"].tolist() == [1, 2]


def test_a_checksum_names_no_file_elsewhere(tmp_path: Path) -> None:
    files = run_dir(tmp_path, "a", "0123456789", 0)
    write_run(tmp_path, "a")
    write_checked_json(files.status, {"state": "done", "checksums": {"../../secret": "0" * 16, "/dev/zero": "0" * 16}})
    assert files.altered() == ""

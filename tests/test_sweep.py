"""Both tables trained by sweeps: what is forecast, what is trained, what is said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from conftest import call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.commands import study as sweep
from cxr_runner.commands.study import Order, run_study
from cxr_runner.config.compose import compose
from cxr_runner.config.schema import RunConfig
from cxr_runner.study import Study, load_study
from cxr_runner.study.grid import RowGroup
from run_trees import run_metrics, write_run
from test_study import changed, configuration

STUDY = load_study()
PARTS = [
    RowGroup("linear families, SGD", (STUDY.row("0"), STUDY.row("3")), 2, 16, True),
    RowGroup("CNN", (STUDY.row("10"), STUDY.row("11")), 1, 16, False),
]
DATA = asdict(compose(["data.num_images=40", "data.image_size=16"])[0].data)
PHANTOM = {"title": "synthetic phantom data", "synthetic": True, "fingerprint": "f" * 16, "num_images": 40}


class Commands:
    """Stands for training and reporting: writes the runs that it is told to train."""

    def __init__(self) -> None:
        self.sweeps: list[list[str]] = []  # names of the rows, without those of the forecast
        self.reports: list[Path] = []
        self.failing: set[str] = set()
        self.mistaken = False

    def run_sweep(self, configs: list[RunConfig], on_failure: Callable[[Exception], None]) -> None:
        if self.mistaken:
            on_failure(UserError("device=cuda: not here"))
            return
        forecast = "cxr-forecast-" in configs[0].outputs
        if not forecast:
            self.sweeps.append(list(dict.fromkeys(str(config.name) for config in configs)))
        for config in configs:
            if config.name in self.failing and not forecast:
                on_failure(RunFailedError(f"{config.name} failed"))
                continue
            (row,) = (row for row in STUDY.rows if row.experiment == config.name)
            self.write(Path(config.outputs), row.id, config.seed, config.data.image_size, asdict(config.data.split))

    def report(self, root: Path, out: Path, reporter: Reporter, study: Study) -> None:
        assert study is STUDY
        self.reports.append(root)

    def write(self, outputs: Path, row_id: str, seed: int, image_size: int, split: Any = DATA["split"]) -> None:
        row, run_id = STUDY.row(row_id), digest(f"{split['seed']} {split['fold']}", 10)
        if (outputs / "runs" / f"{row.experiment}-{run_id}" / f"seed={seed}").exists():
            return
        config = changed(configuration(row) | {"data": DATA | {"split": split}}, data__image_size=image_size)
        status = {"state": "done", "seconds": 5.0}
        write_run(
            outputs, row.experiment, run_id, seed, config=config, data=PHANTOM, status=status, metrics=run_metrics()
        )


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(sweep, "run_sweep", fake.run_sweep)
    monkeypatch.setattr(sweep, "write_report", fake.report)
    monkeypatch.setattr(sweep, "plan", lambda *_: PARTS)
    return fake


def order(outputs: Path) -> Order:
    return Order(STUDY, "laptop", "phantom", 2, 16, outputs, ("data.num_images=40",))


def test_all_rows_are_trained_then_the_report_is_written(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(order(tmp_path))
    assert commands.sweeps == [["table1_00", "table1_03"], ["table1_10"], ["table1_11"]]
    assert commands.reports == [tmp_path]
    said = capsys.readouterr().out
    assert "study: 6 runs, 0 of them done" in said
    assert "study: 4 of 6 runs done, about" in said
    assert "study: 5 of 6 runs done, about" in said


def test_the_forecast_is_epochs_times_the_measured_pace(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(order(tmp_path), only_forecast=True)
    assert commands.sweeps == commands.reports == []
    assert [path.name for path in tmp_path.iterdir()] == ["studies"]  # when the claims were stated, and no run
    lines = {line[:24].strip(): line[24:].split() for line in capsys.readouterr().out.splitlines()}
    # Of every trial: three epochs of half a second each and five seconds in all; two seeds of a stack share the five.
    assert lines["linear families, SGD"][:7] == ["2", "2", "16x16", "0", "of", "4", "24"]
    assert 4 * (10 * 0.5 + (5 - 2 * 1.5) / 2) == 24
    assert lines["CNN"][:7] == ["2", "1", "16x16", "0", "of", "2", "17"]
    assert 2 * (10 * 0.5 + 5 - 1.5) == 17
    assert lines["together"][0] == "41"


def test_every_row_is_trained_on_every_fold_and_a_fold_is_as_long_as_another(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sweep, "plan", lambda preset, seeds, size, study, splits: [replace(part, splits=splits) for part in PARTS]
    )
    folded = replace(order(tmp_path), folds=3, repeats=2)
    run_study(folded)
    said = capsys.readouterr().out
    assert "study: 36 runs, 0 of them done" in said
    lines = {line[:24].strip(): line[24:].split() for line in said.splitlines()}
    assert lines["linear families, SGD"][:7] == ["2", "2", "6", "16x16", "0", "of", "24"]
    assert lines["together"][:2] == [str(round(6 * 41 / 60)), "min"], "six times what one split takes"
    assert commands.sweeps == [["table1_00", "table1_03"], ["table1_10"], ["table1_11"]]
    splits = {(run.config["data"]["split"]["seed"], run.config["data"]["split"]["fold"]) for run in find_runs(tmp_path)}
    assert splits == {(seed, fold) for seed in (0, 1) for fold in (0, 1, 2)}
    run_study(folded)
    assert len(commands.sweeps) == 3, "all of it is done"
    run_study(replace(folded, repeats=3), only_forecast=True)
    assert "study: 54 runs, 36 of them done" in capsys.readouterr().out
    run_study(order(tmp_path), only_forecast=True)
    assert "study: 6 runs, 0 of them done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": 1}, "--folds=1: must be at least 2"),
        ({"repeats": 0}, "--repeats=0: must be at least 1"),
        ({"folds": 60, "seeds": 300}, "--seeds=300: with 60 splits asks for 18,000 runs of a row; at most 10,000"),
    ],
)
def test_mistakes_in_folds_are_said_before_anything_is_measured(
    commands: Commands, tmp_path: Path, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run_study(replace(order(tmp_path), **changes))


def test_runs_from_before_there_were_folds_are_done(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"strategy": "random", "seed": 0, "val_share": 0.125, "keep_test": False, "fold": "all"}
    commands.write(tmp_path, "0", 0, 16, before)
    (path,) = tmp_path.rglob("config.yaml")
    path.write_text(path.read_text("utf-8").replace("fold: all", ""), "utf-8")
    run_study(order(tmp_path), only_forecast=True)
    assert "study: 6 runs, 1 of them done" in capsys.readouterr().out


def test_what_is_finished_is_neither_measured_nor_trained_again(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for row_id, seed in (("0", 0), ("0", 1), ("3", 0), ("3", 1), ("10", 0)):
        commands.write(tmp_path, row_id, seed, 16)
    run_study(order(tmp_path))
    assert commands.sweeps == [["table1_11"]]
    assert "study: 6 runs, 5 of them done" in capsys.readouterr().out
    run_study(order(tmp_path))
    assert commands.sweeps == [["table1_11"]]
    assert commands.reports == [tmp_path] * 2


def test_a_row_that_fails_stops_no_other_and_is_counted_at_the_end(commands: Commands, tmp_path: Path) -> None:
    commands.failing = {"table1_03", "table1_10"}
    with pytest.raises(RunFailedError, match="3 of 6 runs are missing"):
        run_study(order(tmp_path))
    assert commands.sweeps == [["table1_00", "table1_03"], ["table1_10"], ["table1_11"]]
    assert commands.reports == [tmp_path]


def test_a_mistake_in_what_was_asked_for_ends_it_at_once(commands: Commands, tmp_path: Path) -> None:
    commands.mistaken = True
    with pytest.raises(UserError, match="nothing more is done, for the reason above"):
        run_study(order(tmp_path))
    assert commands.reports == []
    with pytest.raises(UserError, match="--seeds=0: must be at least 1"):
        run_study(Order(STUDY, "full", "phantom", 0, 16, tmp_path))


def test_the_data_is_a_name_or_a_folder() -> None:
    assert Order(STUDY, "full", "chest_xray", 1, 16, Path("/o"), ("device=cpu",)).arguments() == [
        "data=chest_xray",
        "device=cpu",
        "outputs=/o",
    ]
    assert Order(STUDY, "full", "/xrays", 1, 16, Path("/o")).arguments()[:2] == ["data=folder", "data.root=/xrays"]
    table = ("data=table", "data.file=t.csv", "data.root=x")
    assert Order(STUDY, "full", "phantom", 1, 16, Path("/o"), table).arguments() == [*table, "outputs=/o"]


def test_the_command_passes_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(sweep, "run_study", lambda order, only_forecast: given.append((order, only_forecast)))
    arguments = ["--data", "d", "--seeds", "3", "--size", "32", "--preset", "full", "--forecast", "device=cpu"]
    arguments += ["--folds", "5", "--repeats", "2"]
    monkeypatch.setattr(sys, "argv", ["cxr-study", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ending:
        cli.study()
    assert ending.value.code == 0
    assert given == [(Order(STUDY, "full", "d", 3, 32, Path("outputs/study"), ("device=cpu",), 5, 2), True)]


SMALL = """
import sys
from cxr_runner import cli
from cxr_runner.commands import study as sweep
from cxr_runner.study import Study, load_study
from cxr_runner.study.grid import RowGroup
row = load_study().row
sweep.plan = lambda *_: [
    RowGroup("linear families, SGD", (row("0"), row("5")), 2, 16, True),
    RowGroup("CNN", (row("22"),), 1, 16, False),
]
sys.argv = ["cxr-study", "data.num_images=40", "--outputs", *sys.argv[1:]]
cli.study()
"""


def start(outputs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SMALL, str(outputs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def stamps(outputs: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/seed=*/metrics.json")}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_forecast_measures_real_models_and_leaves_no_run(
    elsewhere: Path, own_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    linear = RowGroup("linear families, SGD", (STUDY.row("0"), STUDY.row("5")), 2, 16, True)
    monkeypatch.setattr(sweep, "plan", lambda *_: [linear])
    command = ["cxr-study", "data.num_images=40", "--outputs", "outputs", "--forecast"]
    answer = call_inside(cli.study, command, monkeypatch, capsys)
    assert (answer.code, answer.err) == (0, "")
    (line,) = (line for line in answer.out.splitlines() if line.startswith("linear families, SGD"))
    assert line[24:].split()[:6] == ["2", "2", "16x16", "0", "of", "4"]
    left = {path.relative_to(elsewhere).as_posix() for path in elsewhere.rglob("*") if path.is_file()}
    assert left - {"outputs/studies/.lock"} == {"outputs/studies/copetti.json"}  # the claims, stated before any run


@pytest.mark.long
def test_a_study_that_was_stopped_trains_only_what_is_missing(tmp_path: Path) -> None:
    """The whole of it at small size: stopped in its last sweep, then started again."""
    with start(tmp_path) as process:
        wait_for(lambda: any(tmp_path.glob("runs/table1_22-*/seed=0/checkpoint.pt")) or process.poll() is not None)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (
        130,
        "cxr-study: interrupted; the same command goes on where it stopped",
    )
    before = stamps(tmp_path)
    assert len(before) == 4
    with start(tmp_path) as process:
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert "study: 5 runs, 4 of them done" in out
    assert "resuming after epoch" in out
    after = stamps(tmp_path)
    assert len(after) == 5
    assert all(after[path] == stamp for path, stamp in before.items())
    assert (tmp_path / "report" / "report.md").is_file()

"""Both tables trained by sweeps: what is forecast, what is trained, what is said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_runner import cli
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.commands import study as sweep
from cxr_runner.commands.study import Order, run_study
from cxr_runner.study import load_study
from cxr_runner.study.grid import RowGroup
from run_trees import run_metrics, write_run
from test_study import changed, configuration

STUDY = load_study()
PARTS = [
    RowGroup("linear families, SGD", (STUDY.row("0"), STUDY.row("3")), 2, 16, True),
    RowGroup("CNN", (STUDY.row("10"), STUDY.row("11")), 1, 16, False),
]
DATA = {"name": "phantom", "num_images": 40, "image_size": 640}
PHANTOM = {"title": "synthetic phantom data", "synthetic": True, "fingerprint": "f" * 16, "num_images": 40}


class Commands:
    """Stands for ``cxr-run`` and ``cxr-report``: writes the runs that it is told to train."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.failing: set[str] = set()
        self.mistaken = False

    def __call__(self, command: list[str]) -> int:
        self.calls.append(command[3:])
        if self.mistaken:
            raise UserError("nothing more is done, for the reason above")
        if "run()" not in command[2]:
            return 0
        given = dict(argument.split("=", 1) for argument in command[4:])
        names = given["experiment"].split(",")
        failing = self.failing if "epochs" not in given else set()  # a forecast never sees it
        for row in (row for row in STUDY.rows if row.experiment in set(names) - failing):
            for seed in range(int(given["seeds"])):
                self.write(Path(given["outputs"]), row.id, seed, int(given["data.image_size"]))
        return 1 if failing & set(names) else 0

    def write(self, outputs: Path, row_id: str, seed: int, image_size: int) -> None:
        row = STUDY.row(row_id)
        if (outputs / "runs" / f"{row.experiment}-{'0' * 10}" / f"seed={seed}").exists():
            return
        config = changed(configuration(row) | {"data": DATA}, data__image_size=image_size)
        status = {"state": "done", "seconds": 5.0}
        write_run(
            outputs, row.experiment, "0" * 10, seed, config=config, data=PHANTOM, status=status, metrics=run_metrics()
        )

    @property
    def trained(self) -> list[str]:
        """The experiments of the sweeps, without those of the forecast."""
        return [arguments[-3] for arguments in self.calls if arguments and arguments[-1] == "data.image_size=16"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(sweep, "_call", fake)
    monkeypatch.setattr(sweep, "_read_data_config", lambda order: DATA)
    monkeypatch.setattr(sweep, "plan", lambda *_: PARTS)
    return fake


def order(outputs: Path) -> Order:
    return Order("laptop", "phantom", 2, 16, outputs, ("data.num_images=40",))


def test_all_rows_are_trained_then_the_report_is_written(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(order(tmp_path))
    assert commands.trained == [
        "experiment=table1_00,table1_03",
        "experiment=table1_10",
        "experiment=table1_11",
    ]
    assert commands.calls[-1] == [str(tmp_path)]
    said = capsys.readouterr().out
    assert "study: 6 runs, 0 of them done" in said
    assert "study: 4 of 6 runs done, about" in said
    assert "study: 5 of 6 runs done, about" in said


def test_the_forecast_is_epochs_times_the_measured_pace(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(order(tmp_path), only_forecast=True)
    assert commands.trained == []
    assert list(tmp_path.iterdir()) == []
    lines = {line[:24].strip(): line[24:].split() for line in capsys.readouterr().out.splitlines()}
    # Of every trial: three epochs of half a second each and five seconds in all; two seeds of a stack share the five.
    assert lines["linear families, SGD"][:7] == ["2", "2", "16x16", "0", "of", "4", "24"]
    assert 4 * (10 * 0.5 + (5 - 2 * 1.5) / 2) == 24
    assert lines["CNN"][:7] == ["2", "1", "16x16", "0", "of", "2", "17"]
    assert 2 * (10 * 0.5 + 5 - 1.5) == 17
    assert lines["together"][0] == "41"


def test_what_is_finished_is_neither_measured_nor_trained_again(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for row_id, seed in (("0", 0), ("0", 1), ("3", 0), ("3", 1), ("10", 0)):
        commands.write(tmp_path, row_id, seed, 16)
    run_study(order(tmp_path))
    assert commands.trained == ["experiment=table1_11"]
    assert "study: 6 runs, 5 of them done" in capsys.readouterr().out
    commands.calls.clear()
    run_study(order(tmp_path))
    assert commands.calls == [[str(tmp_path)]]


def test_a_row_that_fails_stops_no_other_and_is_counted_at_the_end(commands: Commands, tmp_path: Path) -> None:
    commands.failing = {"table1_03", "table1_10"}
    with pytest.raises(RunFailedError, match="3 of 6 runs are missing"):
        run_study(order(tmp_path))
    assert commands.trained == ["experiment=table1_00,table1_03", "experiment=table1_10", "experiment=table1_11"]
    assert commands.calls[-1] == [str(tmp_path)]


def test_a_mistake_in_what_was_asked_for_ends_it_at_once(commands: Commands, tmp_path: Path) -> None:
    commands.mistaken = True
    with pytest.raises(UserError):
        run_study(order(tmp_path))
    assert len(commands.calls) == 1
    with pytest.raises(UserError, match="--seeds=0: must be at least 1"):
        run_study(Order("full", "phantom", 0, 16, tmp_path))


def test_the_data_is_a_name_or_a_folder() -> None:
    assert Order("full", "chest_xray", 1, 16, Path("/o"), ("device=cpu",)).arguments() == [
        "data=chest_xray",
        "device=cpu",
        "outputs=/o",
    ]
    assert Order("full", "/xrays", 1, 16, Path("/o")).arguments()[:2] == ["data=folder", "data.root=/xrays"]


def test_the_command_passes_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(sweep, "run_study", lambda order, only_forecast: given.append((order, only_forecast)))
    arguments = ["--data", "d", "--seeds", "3", "--size", "32", "--preset", "full", "--forecast", "device=cpu"]
    monkeypatch.setattr(sys, "argv", ["cxr-study", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ending:
        cli.study()
    assert ending.value.code == 0
    assert given == [(Order("full", "d", 3, 32, Path("outputs/study"), ("device=cpu",)), True)]


SMALL = """
import sys
from cxr_runner import cli
from cxr_runner.commands import study as sweep
from cxr_runner.study import load_study
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


def test_a_forecast_measures_real_models_and_leaves_nothing(tmp_path: Path) -> None:
    only_linear = SMALL.replace('RowGroup("CNN", (row("22"),), 1, 16, False),', "")
    command = [sys.executable, "-c", only_linear, str(tmp_path / "outputs"), "--forecast"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("linear families, SGD"))
    assert line[24:].split()[:6] == ["2", "2", "16x16", "0", "of", "4"]
    assert list(tmp_path.iterdir()) == []


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

"""``cxr-report`` and ``cxr-study`` may be killed at any moment, and reports may come while runs are being written."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from installed import installed
from killable import leftovers
from run_trees import write_run
from study_trees import write_study

STUDY = ("--seeds", "1", "--size", "16", "data.num_images=40")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory and the cache of the commands."""
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def killed(command: list[str], seconds: float) -> float | None:
    """Kill a command after some time, and see that its workers end too; return how long it took if it ended before."""
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    took = time.perf_counter() - begin
    deadline = time.monotonic() + 30
    while _goes_on(process.pid):
        assert time.monotonic() < deadline, "a child of a killed command goes on"
        time.sleep(0.05)
    return None if process.returncode == -signal.SIGKILL else took


def _goes_on(group: int) -> bool:
    """Return whether there is a process of a group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def finished(command: list[str]) -> float:
    """Let a command end well; return the seconds it takes."""
    begin = time.perf_counter()
    answer = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (answer.returncode, answer.stderr) == (0, ""), answer.stderr
    return time.perf_counter() - begin


def assert_whole(report: Path) -> None:
    """Assert that the files of a report are those that its manifest names."""
    files = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert files == {*json.loads((report / "manifest.json").read_text())["files"], "manifest.json", ".lock"}


@pytest.mark.long
def test_of_a_report_killed_at_any_of_twenty_moments_the_next_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    outputs = tmp_path / "outputs"
    write_study(outputs, seeds=range(2), rows=["0", "14", "20", "21"], names="patient{}.png")
    command = [installed("cxr-report"), str(outputs)]
    length = finished(command)
    page = (outputs / "report" / "report.md").read_text()
    moments, kills, left = random.Random(0), 0, 0
    for _ in range(20):
        took = killed(command, moments.uniform(0.2, length))
        kills += took is None
        length = took or length  # the machine may have been busier when that was measured
        left += len(leftovers(outputs))
    finished(command)
    print(f"{kills} reports killed, which left {left} unfinished files; after the next report there were none")
    assert kills >= 10
    assert leftovers(outputs) == []
    assert list(temporary.iterdir()) == []
    assert_whole(outputs / "report")
    assert (outputs / "report" / "report.md").read_text() == page


@pytest.mark.long
def test_a_study_killed_at_any_of_ten_moments_goes_on_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    outputs = tmp_path / "outputs"
    command = [installed("cxr-study"), "--outputs", str(outputs), *STUDY]
    moments, kills, abandoned, counts = random.Random(0), 0, 0, [0]
    whole: dict[Path, int] = {}
    for number in range(10):  # every other one most likely while it measures
        kills += killed(command, moments.uniform(2, 8) if number % 2 else moments.uniform(10, 60)) is None
        abandoned += any(temporary.glob("cxr-forecast-*"))
        now = {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/*/status.json") if _is_done(path)}
        assert now.items() >= whole.items(), "a finished run was trained again"
        whole = now
        counts.append(len(whole))
    finished(command)
    print(f"{kills} studies killed, {abandoned} of them while measuring; runs done after each: {counts}")
    assert kills >= 5
    assert all(path.stat().st_mtime_ns == when for path, when in whole.items())
    assert len([path for path in outputs.glob("runs/*/*/status.json") if _is_done(path)]) == 32
    assert leftovers(outputs, tmp_path / "cache") == []
    assert list(temporary.glob("cxr-*")) == []
    assert_whole(outputs / "report")


def _is_done(status: Path) -> bool:
    return json.loads(status.read_text())["state"] == "done"


@pytest.mark.long
def test_five_reports_at_once_while_runs_are_written_all_end_well(tmp_path: Path, temporary: Path) -> None:
    outputs, written, stop = tmp_path / "outputs", 1, Event()
    write_run(outputs, seed=0)

    def go_on() -> None:
        nonlocal written
        while not stop.wait(0.2):
            write_run(outputs, seed=written)
            written += 1

    training = [installed("cxr-run"), "-m", "model=linear,cnn", "seed=range(0,5)", "data.num_images=40"]
    training += ["data.image_size=16", "epochs=2", f"outputs={outputs}"]
    writer = Thread(target=go_on)
    writer.start()
    waited = 0
    with subprocess.Popen(training, stdout=subprocess.DEVNULL) as runs:
        for _ in range(4):
            command = [installed("cxr-report"), str(outputs)]
            pipe = subprocess.PIPE
            reports = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(5)]
            answers = [report.communicate(timeout=300) for report in reports]
            assert [(report.returncode, err) for report, (_, err) in zip(reports, answers, strict=True)] == [
                (0, "")
            ] * 5
            waited += sum("waiting for another process" in out for out, _ in answers)
            assert_whole(outputs / "report")
            assert leftovers(outputs / "report") == []
    stop.set()
    writer.join()
    assert runs.returncode == 0
    print(f"20 reports, of which {waited} waited, ended well while {written + 10} runs were written")

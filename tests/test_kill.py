"""A process may be killed at any moment, and several may do the same at once: no result is lost or changes."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from installed import installed
from killable import finish, leftovers, results, start

# Everything that a checkpoint has to restore, on pixels and in Gram space.
PIXEL = (
    *("model=cnn", "optimizer=adam", "schedule.name=cosine", "augment.flip=0.5", "early_stopping.restore_best=true"),
    *("data.num_images=60", "data.image_size=32", "batch_size=4", "epochs=20", "progress=lines", "plots=never"),
)
GRAM = (
    *("model=linear_relu", "model.layers=3", "optimizer.momentum=0.9", "optimizer.lr=0.01", "seeds=2"),
    *("early_stopping.restore_best=true", "data.num_images=60", "data.image_size=32", "batch_size=8", "epochs=40"),
    *("progress=lines", "plots=never"),
)
# In the order in which a run writes: the name that a file is about to get, and for which time.
MOMENTS = (
    ("*-32", 1),  # the store
    ("descriptions/*.json", 1),
    ("samples/*.npz", 1),
    ("gram.npy", 1),
    ("starts/*.npy", 1),
    ("status.json", 1),
    ("checkpoint.pt", 2),
    ("history.csv", 2),
    ("predictions.csv", 1),
    ("model.safetensors", 1),
    ("metrics.json", 1),
    ("status.json", 2),
)


def _whole(folder: Path, command: tuple[str, ...]) -> dict[str, tuple[str, bytes, bytes]]:
    """Return the results of a command that was not interrupted."""
    log = folder / "log.txt"
    folder.mkdir()
    process = start(*command, f"outputs={folder}/outputs", cache=folder / "cache", log=log)
    assert finish(process) == 0, log.read_text()
    return results(folder / "outputs")


def test_a_command_killed_as_it_writes_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    _kill_at(tmp_path, GRAM, (*MOMENTS[:5], MOMENTS[6], MOMENTS[10]))


@pytest.mark.long
@pytest.mark.parametrize("command", [PIXEL, GRAM], ids=["pixel", "gram"])
def test_a_command_may_be_killed_before_every_kind_of_file_that_it_writes(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    _kill_at(tmp_path, command, MOMENTS if command is GRAM else (*MOMENTS[:3], *MOMENTS[5:]))


def _kill_at(tmp_path: Path, command: tuple[str, ...], moments: tuple[tuple[str, int], ...]) -> None:
    folders, log = {"cache": tmp_path / "cache", "log": tmp_path / "log.txt"}, tmp_path / "log.txt"
    arguments = (*command, f"outputs={tmp_path}/outputs")
    for moment in moments:
        assert finish(start(*arguments, **folders, kill_before=moment)) == -signal.SIGKILL, (moment, log.read_text())
    assert finish(start(*arguments, **folders)) == 0, log.read_text()
    assert results(tmp_path / "outputs") == _whole(tmp_path / "whole", command)
    assert leftovers(tmp_path / "outputs", tmp_path / "cache") == []


@pytest.mark.long
@pytest.mark.parametrize("command", [PIXEL, GRAM], ids=["pixel", "gram"])
def test_a_command_may_be_killed_at_any_of_twenty_five_moments(tmp_path: Path, command: tuple[str, ...]) -> None:
    expected = _whole(tmp_path / "whole", command)
    begin = time.perf_counter()
    assert _whole(tmp_path / "again", command) == expected
    length = time.perf_counter() - begin
    moments, kills, rounds = random.Random(0), 0, 0
    while kills < 25:
        rounds += 1
        folder = tmp_path / f"round {rounds}"
        folder.mkdir()
        while True:  # until one run of the command comes to its end
            process = start(*command, f"outputs={folder}/outputs", cache=folder / "cache", log=folder / "log.txt")
            delay = moments.uniform(0, length)
            process.join(delay)
            process.kill()
            if (code := finish(process)) == 0:
                break
            assert code == -signal.SIGKILL, (folder / "log.txt").read_text()
            kills += 1
            print(f"kill {kills} after {delay:.2f} s: {_stage(folder)}")
        assert results(folder / "outputs") == expected
        print(f"round {rounds}: history, predictions and weights are those of the run that nobody killed")


def _stage(folder: Path) -> str:
    """Return how far a command has come, in words."""
    runs = sorted(folder.glob("outputs/runs/*/seed=*"))
    if not runs:
        there = [name for name in ("*.building", "gram.npy") if any(folder.glob(f"cache/**/{name}"))]
        return f"no run yet, in the cache {', '.join(there) or 'nothing but a lock or a store'}"
    shown = []
    for run in runs:
        history = (run / "history.csv").read_text().count("\n") - 1 if (run / "history.csv").exists() else 0
        state = re.findall(r'"state": "(\w+)"', (run / "status.json").read_text())
        others = [name for name in ("checkpoint.pt", "predictions.csv", "metrics.json") if (run / name).exists()]
        shown.append(f"{run.name} {''.join(state)}, {history} epochs written, {' '.join(others)}")
    return "; ".join(shown)


def test_four_processes_at_once_make_one_store_one_gram_matrix_and_one_run(tmp_path: Path) -> None:
    logs = [tmp_path / f"log{number}.txt" for number in range(4)]
    command = (*GRAM, "data.num_images=100", "data.image_size=64", f"outputs={tmp_path}/outputs")
    processes = [start(*command, cache=tmp_path / "cache", log=log) for log in logs]
    assert [finish(process) for process in processes] == [0] * 4
    texts = [log.read_text() for log in logs]
    print(*texts, sep="\n")
    for once in ("decoding images", "Gram matrix: ", "epoch   1/40", "epoch  40/40"):
        assert [once in text for text in texts].count(True) == 1, (once, texts)
    assert any("waiting for another process, which" in text for text in texts)
    assert len(results(tmp_path / "outputs")) == 2
    assert len(list((tmp_path / "cache").glob("*/images.npy"))) == 1
    assert leftovers(tmp_path / "outputs", tmp_path / "cache") == []
    assert all(text.count("accuracy") >= 1 for text in texts), "those that waited show the results too"


@pytest.mark.parametrize("sent", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_an_interruption_loses_no_epoch_that_was_finished(tmp_path: Path, sent: signal.Signals) -> None:
    log, epochs = tmp_path / "log.txt", re.compile(r"^epoch +(\d+)/2000 ", re.MULTILINE)
    command = (*GRAM, "seeds=1", "epochs=2000", f"outputs={tmp_path}/outputs")
    process = start(*command, cache=tmp_path / "cache", log=log)
    deadline = time.monotonic() + 60
    while len(epochs.findall(log.read_text() if log.exists() else "")) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, sent)
    assert finish(process) == 130, log.read_text()
    first = log.read_text()
    last = int(epochs.findall(first)[-1])
    assert "cxr-run: interrupted; the same command goes on from the last checkpoint" in first
    process = start(*command, cache=tmp_path / "cache", log=log)
    time.sleep(2)
    process.terminate()
    finish(process)
    resumed = re.search(r"resuming after epoch (\d+)", log.read_text()[len(first) :])
    assert resumed
    assert int(resumed[1]) in (last, last + 1)


def test_a_reader_that_goes_away_is_an_interruption(tmp_path: Path) -> None:
    command = [installed("cxr-run"), *GRAM, "seeds=1", "epochs=2000", f"outputs={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any(line.startswith("epoch ") for line in process.stdout)
        process.stdout.close()
        complaint = process.stderr.read()
    assert process.returncode == 130
    assert complaint == "cxr-run: interrupted; the same command goes on from the last checkpoint\n"
    (run,) = tmp_path.glob("runs/*/seed=*")
    assert "interrupted" in (run / "status.json").read_text()
    assert (run / "checkpoint.pt").exists()


@pytest.mark.long
def test_sweeps_that_overlap_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    folders, log = {"cache": tmp_path / "cache", "log": tmp_path / "log.txt"}, tmp_path / "log.txt"
    sweep = ("-m", *GRAM, "seeds=1", "epochs=3", f"outputs={tmp_path}/outputs")
    processes = [start(*sweep, f"seed={order}", **folders) for order in ("0,1,2", "2,1,0", "1")]
    assert [finish(process) for process in processes] == [0, 0, 0], log.read_text()
    assert len(results(tmp_path / "outputs")) == 3

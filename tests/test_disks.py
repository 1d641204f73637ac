"""Disks that are full or read-only: one line says so, and the same command resumes later."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.data.in_use import hold_shared
from killable import leftovers, results

RUN = ("model=linear", "engine=pixel", "optimizer.momentum=0.9", "data.num_images=40", "data.image_size=64", "epochs=2")
Command = Callable[..., Answer]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(disk: Path, free: int) -> Path:
    """Fill a disk up to a number of free bytes; return the file to delete."""
    filler = disk / "filler"
    status = os.statvfs(disk)
    filler.write_bytes(bytes(status.f_bavail * status.f_frsize - free))
    return filler


def _line(answer: Answer) -> str:
    """Return the one line on standard error."""
    print(answer.err)
    (line,) = answer.err.splitlines()
    return line


def test_a_run_that_fills_the_disk_fails_in_one_line_and_goes_on_when_there_is_room(
    cxr_run: Command, disk: Path, tmp_path: Path
) -> None:
    filler = _fill(disk, 100_000)
    answer = cxr_run(*RUN, f"outputs={disk}")
    assert answer.code == 1
    assert "No space left on device; the same command goes on once that is mended" in _line(answer)
    assert leftovers(disk) == []
    filler.unlink()
    assert cxr_run(*RUN, f"outputs={disk}").code == 0
    assert cxr_run(*RUN, f"outputs={tmp_path}/whole").code == 0
    assert results(disk) == results(tmp_path / "whole")


def test_a_disk_that_is_full_to_the_last_byte_is_named(cxr_run: Command, disk: Path) -> None:
    _fill(disk, 0)
    answer = cxr_run(*RUN, f"outputs={disk}/outputs")
    assert answer.code in (1, 2)
    assert "No space left on device" in _line(answer)


def test_images_that_do_not_fit_into_the_cache_are_refused_before_they_are_decoded(
    cxr_run: Command, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(disk))
    answer = cxr_run(*RUN, "data.image_size=512")
    assert answer.code == 2
    assert "CXR_CACHE=" in _line(answer)
    assert "the decoded images need 10 MB" in _line(answer)
    assert leftovers(disk) == []


def test_a_gram_matrix_that_does_not_fit_into_the_cache_is_refused_and_the_other_engine_named(
    cxr_run: Command, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(disk))
    assert cxr_run(*RUN).code == 0
    _fill(disk, 4096)
    answer = cxr_run(*RUN, "engine=gram")
    assert answer.code == 2
    line = _line(answer)
    assert "the Gram matrix cannot be kept here (no room, " in line
    assert line.endswith("engine=pixel does without")
    line = _line(cxr_run("model=logistic", *RUN[3:-1]))  # which has no other
    assert "the Gram matrix cannot be kept here (no room, " in line
    assert line.endswith("; name another folder")
    assert leftovers(disk) == []


def test_a_cache_that_must_not_be_written_to_serves_what_is_in_it(
    cxr_run: Command, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(disk))
    assert cxr_run(*RUN, "engine=gram").code == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert cxr_run(*RUN, "engine=gram", "seed=1").code == 0
    answer = cxr_run(*RUN, "data.image_size=32")
    assert answer.code == 2
    assert "cannot write here (Read-only file system); name another folder" in _line(answer)


def test_a_cache_that_must_not_be_written_to_is_listed_and_clearing_it_refused_in_one_line(
    cxr_run: Command, disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(disk))
    assert cxr_run(*RUN).code == 0
    (meta,) = disk.glob("*/meta.json")
    os.utime(meta, (907200, 907200))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert cxr_run(*RUN, "seed=1").code == 0  # its last use cannot be noted
    os.close(hold_shared(meta))
    assert "1970-01-1" in call_inside(cli.data, ["cxr-data", "cache"], monkeypatch, capsys).out
    answer = call_inside(cli.data, ["cxr-data", "cache", "--clear"], monkeypatch, capsys)
    assert answer.code == 2
    assert f"CXR_CACHE={disk}: " in _line(answer)
    assert "Read-only file system" in answer.err
    assert meta.is_file()


def test_outputs_that_must_not_be_written_to_are_refused_in_one_line(cxr_run: Command, disk: Path) -> None:
    assert cxr_run(*RUN, f"outputs={disk}").code == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    answer = cxr_run(*RUN, f"outputs={disk}", "seed=1")
    assert answer.code == 2
    assert f"outputs={disk}" in _line(answer)


def test_a_run_whose_figures_cannot_be_drawn_is_done_all_the_same_and_gets_them_later(
    cxr_run: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.plots.style.save_figure", _no_room)
        answer = cxr_run(*RUN)
    assert answer.code == 0
    assert "the same command draws them (OSError(28, 'No space left on device'))" in _line(answer)
    (run,) = elsewhere.glob("outputs/runs/*/seed=*")
    assert not (run / "curves.png").exists()
    assert cxr_run(*RUN).err == ""
    assert (run / "curves.png").exists()


def _no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")

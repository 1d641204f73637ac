"""Temporary folders: gone with the process, and those of killed processes with the next one."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cxr_runner.base.scratch import scratch_folder

PREFIX = "cxr-test-"
HOLDING = """
import sys, time
from cxr_runner.base.scratch import scratch_folder
with scratch_folder("cxr-test-") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_is_empty_and_gone_at_the_end_whatever_happens(temporary: Path) -> None:
    def fail() -> None:
        with scratch_folder(PREFIX) as folder:
            assert list(folder.iterdir()) == []
            (folder / "file").touch()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_others_use_stays(temporary: Path) -> None:
    (temporary / "cxr-test-link").symlink_to(temporary)
    (temporary / "cxr-test-file").touch()
    (temporary / "other").mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with scratch_folder(PREFIX), scratch_folder(PREFIX):
            assert (theirs / "file").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert theirs.exists()
    with scratch_folder(PREFIX):
        assert not theirs.exists()
    assert {path.name for path in temporary.iterdir()} == {"cxr-test-link", "cxr-test-file", "other"}

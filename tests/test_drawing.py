"""Figures are written by several processes; none of them outlives the report, and none is needed for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from cxr_runner.report.render import drawing
from cxr_runner.report.render.picture import Picture

# A figure that takes a minute to write: in a module, because workers do not run the program again that starts them.
SLOW_FIGURE = """
import sys, time
from pathlib import Path
from matplotlib.figure import Figure

class Slow(Figure):
    def draw(self, renderer):
        Path(sys.argv[1], "writing").touch()
        time.sleep(60)
"""
# A report of such figures, in a group of processes of its own.
SLOW_REPORT = """
import sys
from pathlib import Path
from cxr_runner.report.render import drawing
from cxr_runner.report.render.picture import Picture
from slow import Slow

drawing.num_cores = lambda: 2
pictures = [Picture(f"slow{number}", "", "", draw=Slow) for number in range(4)]
with drawing.drawing_workers() as submit:
    drawing.submit_drawings(pictures, Path(sys.argv[1]), submit)
"""


class Deadly(Figure):
    """A figure that kills the process that it is sent to, and can be written in the one that drew it."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


@pytest.mark.usefixtures("own_workers")
def test_what_workers_do_not_live_to_write_is_written_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "num_cores", lambda: 2)
    pictures = [Picture(name, "", "", draw=Deadly) for name in ("one", "two", "three")]
    with drawing.drawing_workers() as submit:
        for wait in drawing.submit_drawings(pictures, tmp_path, submit):
            wait()
    assert sorted(drawing.picture_addresses(pictures, tmp_path)) == ["one", "three", "two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{picture.name}.{ending}" for picture in pictures for ending in ("png", "svg")
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_of_a_report_that_was_killed_end_with_it(tmp_path: Path) -> None:
    script = tmp_path / "report.py"
    script.write_text(SLOW_REPORT)
    (tmp_path / "slow.py").write_text(SLOW_FIGURE)
    report = subprocess.Popen([sys.executable, str(script), str(tmp_path)], start_new_session=True)
    _wait_until(lambda: (tmp_path / "writing").exists())
    assert len(_members(report.pid)) >= 3, "the report, a worker and what watches over shared memory"
    os.kill(report.pid, signal.SIGKILL)
    report.wait()
    _wait_until(lambda: not _members(report.pid))


def _members(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(") ")[2].split()[:4]
        except OSError:  # it has ended in the meantime
            continue
        if int(its_session) == session and state != "Z":
            members.append(int(stat.parent.name))
    return members


def _wait_until(happened: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)

"""The pictures of finished runs, drawn from what the runs left; in the background while others train."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cxr_runner.artifacts.rundir import Run, RunDir, find_runs


def draw_pictures(run: Run) -> None:
    """Draw the curves and the confusion matrix of a finished run into its directory."""
    from cxr_runner.plots.confusion import plot_confusion
    from cxr_runner.plots.curves import plot_curves
    from cxr_runner.plots.style import save_figure  # matplotlib takes a while to import

    files, names = RunDir(run.path), list(run.data["counts"]["test"])
    title = f"{run.path.parent.name}, seed {run.seed} — {run.data['title']}"
    save_figure(plot_curves(run.history(), title), files.curves)
    save_figure(plot_confusion(run.metrics["test"], (names[0], names[1]), title), files.confusion)


class Painter:
    """Draws the pictures of runs as they finish; several runs in a process of its own, so that training goes on."""

    def __init__(self, in_background: bool) -> None:
        """Draw at once, or in the background."""
        self.in_background = in_background
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all pictures are there."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()

    def paint(self, path: Path) -> None:
        """Draw the pictures of the finished run in a directory."""
        if not self.in_background:
            _draw(path)
            return
        if self.process is None:
            command = [sys.executable, "-c", "from cxr_runner.experiment.painter import draw_all; draw_all()"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        try:
            print(json.dumps(str(path)), file=self.process.stdin, flush=True)
        except BrokenPipeError:  # it died; what it had left is drawn when the runs are met again
            _draw(path)


def draw_all() -> None:
    """Draw the pictures of the runs whose directories come by standard input, a JSON string a line."""
    if hasattr(os, "nice"):
        os.nice(10)  # training goes first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the training; what is finished still gets its pictures
    for line in sys.stdin:
        _draw(Path(json.loads(line)))


def _draw(path: Path) -> None:
    for run in find_runs(path):
        try:
            draw_pictures(run)
        except Exception as error:  # a full disk, a file that somebody has changed: the run itself is done
            print(f"no pictures of {path}, the same command draws them ({error!r})", file=sys.stderr)

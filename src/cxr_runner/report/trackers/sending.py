"""Goes through the runs of an outputs tree and sends those that ended."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import plural
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.agreement import ReadRun
from cxr_runner.report.collect.histories import read_history
from cxr_runner.report.collect.run_table import find_and_read, sort_runs
from cxr_runner.report.trackers.tracked_run import TrackedRun, track_run
from cxr_runner.report.withholding import nameless_reasons
from cxr_runner.study import Study

_LIBRARIES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "tensorboard": ("tensorboard",)}
_FOLDERS = {"mlflow": "mlruns", "tensorboard": "tensorboard"}
_NUM_SHOWN = 5  # runs left out that are named


class Tracker(Protocol):
    """Where runs are sent.

    Attributes:
        uri: where that is, without a password.
        hint: the command that shows them; '' where a server does.
    """

    uri: str
    hint: str

    def send(self, run: TrackedRun) -> bool:
        """Send a run; return False where it is there already, as it is."""


def send_runs(
    root: Path,
    name: str,
    destination: str | None,
    study: Study,
    reporter: Reporter,
    *,
    select: Sequence[str] = (),
    hide_names: bool = False,
) -> list[str]:
    """Send the runs below a folder that are done, whether they collapsed or not, or have failed.

    Args:
        root: folder that holds run directories, at any depth.
        name: ``mlflow`` or ``tensorboard``.
        destination: folder or address to send them to; None for a folder in ``root``.
        study: study whose rows runs may repeat.
        reporter: shown the progress.
        select: settings that runs must have.
        hide_names: leave out what may name images or folders.

    Returns:
        What to print of it.

    Raises:
        UserError: the extra of the tracker is not installed, ``root`` holds no such run, or runs cannot be sent there.
    """
    check_extra(name)
    runs, left_out = _sort(find_and_read(root, reporter, select), root.resolve(), study, hide_names=hide_names)
    tracker = _open(name, str(root / _FOLDERS[name]) if destination is None else destination)
    num_sent = 0
    with reporter.steps("sending runs", len(runs)) as advance:
        for run in runs:
            history = run.history if run.history is not None else read_history(run.run)
            num_sent += tracker.send(track_run(run.run, history, study, hide_names=hide_names))
            advance()
    return _words(num_sent, len(runs) - num_sent, left_out, tracker)


def check_extra(name: str) -> None:
    """Check that the libraries of a tracker are installed, without importing them; UserError where they are not."""
    if missing := [library for library in _LIBRARIES[name] if find_spec(library) is None]:
        raise UserError.for_key("--to", name, f"needs {', '.join(missing)}: pip install 'cxr-runner[{name}]'")


def _sort(
    runs: Sequence[ReadRun], root: Path, study: Study, *, hide_names: bool
) -> tuple[list[ReadRun], dict[str, str]]:
    """Return the runs that are sent, each once, and why others are not, by their paths."""
    sized, table = sort_runs(runs, root, study)
    counted = {run.directory for one in sized for run in one.runs}
    chosen = {(run.run.name, run.run.id, run.run.seed): run for run in runs if run.run.path in counted}
    reasons = nameless_reasons(table) if hide_names else table
    left_out = {str(row.path): str(row.reason) for row in reasons.itertuples() if row.state != "failed"}
    for read in runs:
        run = read.run
        if run.state == "failed":
            if run.seed >= 0 and run.name and run.config:
                chosen.setdefault((run.name, run.id, run.seed), read)
            else:
                left_out[run.path.relative_to(root).as_posix()] = "failed, and does not say what it was"
    return list(chosen.values()), left_out


def _open(name: str, destination: str) -> Tracker:
    if name == "mlflow":
        from cxr_runner.report.trackers.mlflow_runs import MLflowRuns

        return MLflowRuns(destination)
    from cxr_runner.report.trackers.tensorboard_runs import TensorBoardRuns

    return TensorBoardRuns(destination)


def _words(num_sent: int, num_known: int, left_out: Mapping[str, str], tracker: Tracker) -> list[str]:
    there = f", {num_known:,} there already" if num_known else ""
    shown = [f"  {path}: {reason}" for path, reason in list(left_out.items())[:_NUM_SHOWN]]
    more = len(left_out) - len(shown)
    return [
        f"{plural(num_sent, 'run')} sent to {tracker.uri}{there}",
        *([f"{plural(len(left_out), 'run')} left out:", *shown] if shown else []),
        *([f"  and {more:,} more"] if more else []),
        *([f"to look at them: {tracker.hint}"] if tracker.hint else []),
    ]

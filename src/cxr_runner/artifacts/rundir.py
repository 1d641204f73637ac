"""Run directories: the only module that knows the names of the files in one, and how they are written and read.

A run directory is ``<outputs>/runs/<name>-<id>/seed=<k>/``. Every file is written under a temporary name and renamed:
whoever reads a run directory sees whole files only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # JSON and paths do without it
    import pandas as pd
from cxr_runner.base.files import read_json, read_yaml, regular

AUDIT_FORMAT = 1  # counts changes of audit.json that a report would notice; files of another one are passed over


@dataclass(frozen=True)
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, as run."""
        return self.path / "config.yaml"

    @property
    def status(self) -> Path:
        """State (running, done, failed), times, and what went wrong."""
        return self.path / "status.json"

    @property
    def data(self) -> Path:
        """What was trained on: title, citation, counts, dropped duplicates, skipped images."""
        return self.path / "data.json"

    @property
    def history(self) -> Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def predictions(self) -> Path:
        """One row for every image of val and test."""
        return self.path / "predictions.csv"

    @property
    def metrics(self) -> Path:
        """The metrics of val and test, and how they came about."""
        return self.path / "metrics.json"

    @property
    def model(self) -> Path:
        """The weights."""
        return self.path / "model.safetensors"

    @property
    def curves(self) -> Path:
        """Picture of loss and accuracy over the epochs."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Picture of the confusion matrix of the test split."""
        return self.path / "confusion.png"

    @property
    def checkpoint(self) -> Path:
        """Everything needed to go on with an unfinished run; gone once it is done."""
        return self.path / "checkpoint.pt"

    @property
    def lock(self) -> Path:
        """Held by the process that trains this run."""
        return self.path.parent / f".{self.path.name}.lock"

    def has_figures(self) -> bool:
        """Whether the pictures are there."""
        return self.curves.is_file() and self.confusion.is_file()

    def complete(self) -> bool:
        """Whether the run is done and all that it leaves is there."""
        status, metrics = read_json(self.status) or {}, read_json(self.metrics) or {}
        files = (self.config, self.data, self.history, self.predictions, self.model)
        measured = isinstance(metrics.get("val"), dict) and isinstance(metrics.get("test"), dict)
        return status.get("state") == "done" and measured and all(file.is_file() for file in files)


@dataclass(frozen=True)
class Run:
    """A run directory as read; what is missing or unreadable is empty.

    Attributes:
        path: the directory.
        name: of the run, without its id.
        id: of the configuration.
        seed: of the run.
        state: ``running``, ``done`` or ``failed``.
        problem: why the run is not finished, in one line; '' for a finished one.
        diverged: whether that is because its numbers left the range of floating point.
        config: the configuration, nested.
        metrics: the content of ``metrics.json``.
        data: the content of ``data.json``.
    """

    path: Path
    name: str
    id: str
    seed: int
    state: str
    problem: str
    diverged: bool
    config: dict[str, Any]
    metrics: dict[str, Any]
    data: dict[str, Any]

    def history(self) -> "pd.DataFrame":
        """Read the history, one row an epoch."""
        import pandas as pd

        return pd.read_csv(regular(RunDir(self.path).history))

    def predictions(self) -> "pd.DataFrame":
        """Read the predictions, one row for every image of val and test."""
        import pandas as pd

        return pd.read_csv(regular(RunDir(self.path).predictions))


def run_dir(outputs: Path, name: str, run_id: str, seed: int) -> RunDir:
    """Return the directory of a run, which need not exist."""
    return RunDir(outputs / "runs" / f"{name}-{run_id}" / f"seed={seed}")


def find_runs(root: Path) -> list[Run]:
    """Read all run directories below a folder, in the order of their paths.

    Args:
        root: an outputs tree, a part of one, or one run directory.
    """
    return [read_run(path) for path in find_run_dirs(root)]


def find_run_dirs(root: Path) -> list[Path]:
    """Return what is named like a run directory below a folder, whatever is in it, in order."""
    found = {path for path in root.rglob("seed=*") if path.is_dir()}
    return sorted(found | ({root} if root.name.startswith("seed=") else set()))


def read_run(path: Path) -> Run:
    """Read a run directory; nothing in it can make this fail."""
    files = RunDir(path)
    status, metrics = read_json(files.status) or {}, read_json(files.metrics) or {}
    name, _, run_id = path.parent.name.rpartition("-")
    seed = path.name.removeprefix("seed=")
    state = str(status.get("state", "unknown"))
    return Run(
        path=path,
        name=name,
        id=run_id,
        seed=int(seed) if seed.isdecimal() else -1,
        state=state,
        problem=_problem(state, status, metrics),
        diverged=state == "failed" and status.get("diverged") is True,
        config=read_yaml(files.config),
        metrics=metrics,
        data=read_json(files.data) or {},
    )


def _problem(state: str, status: dict[str, Any], metrics: dict[str, Any]) -> str:
    if state == "done":
        return "" if metrics else "says done, but metrics.json is missing or unreadable"
    if state == "failed":
        return str(status.get("error", "failed"))
    if state == "running":
        return f"not finished (started {status.get('started', 'at an unknown time')})"
    return "status.json is missing or says nothing of its state"

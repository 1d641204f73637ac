"""Run directories: the names of their files, and how they are read. No other module knows these names.

A run directory is ``<outputs>/runs/<name>-<id>/seed=<k>/``. Every file is written under a temporary name and
renamed, so that a reader only sees complete files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.altered import find_altered, read_status, recorded_checksums
from cxr_runner.base.checksums import checksum
from cxr_runner.base.files import (
    MOST_CSV,
    MOST_JSON,
    MOST_YAML,
    parse_json,
    parse_yaml,
    read_content,
    read_json,
    regular,
)

if TYPE_CHECKING:  # all but tables work without pandas, which takes long to import
    import pandas as pd

CHANGED = "{name} has changed since the run was finished"
AUDIT_FORMAT = 1  # raised when audit.json changes for its readers; reports ignore files of another format


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
        """State (running, done, pruned, failed, interrupted), times, the error, the checksums of the results."""
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
        """Metrics of val and test, diagnosis, engine, device, machine, versions."""
        return self.path / "metrics.json"

    @property
    def model(self) -> Path:
        """The weights."""
        return self.path / "model.safetensors"

    @property
    def gram(self) -> Path:
        """Where a run in Gram space ended, in coefficients of the training images; other runs have none."""
        return self.path / "gram.safetensors"

    @property
    def curves(self) -> Path:
        """Figure of loss and accuracy over the epochs."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Figure of the confusion matrix of the test split."""
        return self.path / "confusion.png"

    @property
    def readme(self) -> Path:
        """What the directory is, and how its model is loaded; runs from before there was one have none."""
        return self.path / "README.txt"

    @property
    def checkpoint(self) -> Path:
        """State from which an unfinished run resumes; removed once it is done."""
        return self.path / "checkpoint.pt"

    @property
    def lock(self) -> Path:
        """Lock file, held by the process that trains this run."""
        return self.path.parent / f".{self.path.name}.lock"

    @property
    def results(self) -> tuple[Path, ...]:
        """The files that have checksums once the run is done; all others beside them are free to come and change."""
        return (self.config, self.data, self.history, self.predictions, self.metrics, self.model, self.gram)

    def has_figures(self) -> bool:
        """Return whether both figures exist."""
        return self.curves.is_file() and self.confusion.is_file()

    def complete(self) -> bool:
        """Return whether the run is done and all its results exist; :meth:`altered` says whether they are its own.

        Weights exist in the form in which they were written, whatever ``save`` says now.
        """
        status, metrics = read_json(self.status) or {}, read_json(self.metrics) or {}
        written = recorded_checksums(status)
        weights = self.gram if self.gram.name in written and self.model.name not in written else self.model
        files = (self.config, self.data, self.history, self.predictions, weights)
        measured = isinstance(metrics.get("val"), dict) and isinstance(metrics.get("test"), dict)
        return status.get("state") == "done" and measured and all(file.is_file() for file in files)

    def altered(self) -> str:
        """Return the name of a file that has changed since the run became done; '' where there is none.

        All results are read. Those of runs from before, which have no checksums, are taken as they are.
        """
        status, intact = read_status(self.status)
        if status.get("state") != "done":
            return ""
        name = find_altered(self.results, recorded_checksums(status)) if intact else self.status.name
        # Another process that has begun to train the run anew changes its status first.
        return name if name and read_status(self.status) == (status, intact) else ""


@dataclass(frozen=True)
class Run:
    """The contents of a run directory; what is missing or unreadable is empty.

    Attributes:
        path: path of the directory.
        name: name of the run, without its id.
        id: id of the configuration.
        seed: seed of the run; -1 where the directory's name holds none.
        state: ``running``, ``done``, ``pruned`` (ended early by a search, with results) or ``failed``; ``altered``
            where a file has changed since the run was done, or ``status.json`` since it was written; ``unknown``
            without a readable status.
        problem: why the run is not finished, in one line; '' for a finished run.
        diverged: whether it failed because its numbers left the range of floating point.
        config: configuration, nested.
        metrics: content of ``metrics.json``.
        data: content of ``data.json``.
        checksums: checksums of its results, by the names of the files; empty for a run from before there were any.
        started: when it began, UTC in ISO 8601; '' where that is not known.
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
    checksums: Mapping[str, str] = field(default_factory=dict)
    started: str = ""

    @property
    def weights(self) -> str:
        """Checksum of its weights; '' of a run from before there were any."""
        files = RunDir(self.path)
        return self.checksums.get(files.model.name) or self.checksums.get(files.gram.name, "")

    def history(self) -> "pd.DataFrame":
        """Read the history, one row an epoch."""
        import pandas as pd

        return pd.read_csv(regular(RunDir(self.path).history, MOST_CSV))

    def predictions(self) -> "pd.DataFrame":
        """Read the predictions, one row for every image of val and test."""
        import pandas as pd

        # Patients are text as written: 007 is no number, NA may be a name, and '' is nobody.
        return pd.read_csv(
            regular(RunDir(self.path).predictions, MOST_CSV), dtype={"patient": "str"}, keep_default_na=False
        )


def run_dir(outputs: Path, name: str, run_id: str, seed: int) -> RunDir:
    """Return the directory of a run, which need not exist."""
    return RunDir(outputs / "runs" / f"{name}-{run_id}" / f"seed={seed}")


def find_runs(root: Path) -> list[Run]:
    """Read all run directories below a folder, in the order of their paths.

    Args:
        root: outputs tree, part of one, or one run directory.
    """
    return [read_run(path) for path in find_run_dirs(root)]


def find_run_dirs(root: Path) -> list[Path]:
    """Return the folders named like run directories, ``root`` and those below it, in order of their paths."""
    paths = {path for path in root.rglob("seed=*") if path.is_dir()}
    return sorted(paths | ({root} if root.name.startswith("seed=") else set()))


def read_run(path: Path) -> Run:
    """Read a run directory; damaged files are read as empty ones, never as an error."""
    files = RunDir(path)
    status, intact = read_status(files.status)
    recorded = recorded_checksums(status)
    limits = {files.config: MOST_YAML, files.metrics: MOST_JSON, files.data: MOST_JSON}
    contents = {file: read_content(file, most) for file, most in limits.items()}
    metrics = parse_json(contents[files.metrics]) or {}
    name, _, run_id = path.parent.name.rpartition("-")
    seed = path.name.removeprefix("seed=")
    state = _state(status)
    problem = _problem(state, status, metrics)
    changed = [] if intact else [files.status.name]
    changed += [file.name for file, content in contents.items() if differs(file.name, content, recorded)]
    if state == "done" and changed:
        state, problem = "altered", CHANGED.format(name=changed[0])
    elif status and not intact:
        state, problem = "altered", f"{files.status.name} has changed since it was written"
    return Run(
        path=path,
        name=name,
        id=run_id,
        seed=int(seed) if seed.isdecimal() else -1,
        state=state,
        problem=problem,
        diverged=state == "failed" and status.get("diverged") is True,
        config=parse_yaml(contents[files.config]),
        metrics=metrics,
        data=parse_json(contents[files.data]) or {},
        checksums=recorded,
        started=str(status.get("started") or ""),
    )


def differs(name: str, content: bytes | None, recorded: Mapping[str, str]) -> bool:
    """Return whether the content of a file is not the recorded one; False where there is none or none is recorded."""
    return content is not None and name in recorded and checksum(content) != recorded[name]


def _state(status: dict[str, Any]) -> str:
    """Return what a status says; until there was a word of its own for it, an interrupted run was a failed one."""
    state = str(status.get("state", "unknown"))
    return "interrupted" if state == "failed" and status.get("error") == "interrupted" else state


def _problem(state: str, status: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Return why a run is not finished; '' for a finished run."""
    if state == "done":
        return "" if metrics else "says done, but metrics.json is missing or unreadable"
    if state in ("failed", "interrupted", "pruned"):
        return str(status.get("error", state))
    if state == "running":
        return f"not finished (started {status.get('started', 'at an unknown time')})"
    return "status.json is missing or says nothing of its state"

"""The jobs of one command, in whichever process or on whichever machine a launcher has them run."""

import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from cxr_runner.base.errors import RunFailedError, UserError, print_error
from cxr_runner.base.output import OutputClosedError, interrupting_output
from cxr_runner.base.signals import interrupting_on_sigterm

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cxr_runner.config.schema import RunConfig


_KINDS: dict[str, type[UserError | RunFailedError]] = {kind.__name__: kind for kind in (UserError, RunFailedError)}


class Failures:
    """What went wrong in the jobs of a command.

    A copy that a launcher takes to another process writes what it is told into a folder of the cache directory, which
    all processes and machines of a sweep share; the original finds it there.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._errors: list[Exception] = []
        self._folder: Path | None = None
        self._away = False

    def __getstate__(self) -> dict[str, object]:
        """Give a copy for another process what it needs to report back."""
        if self._folder is None:
            from cxr_runner.data.cache import cache_dir

            self._folder = cache_dir() / "failures" / uuid4().hex
        return {"_errors": [], "_folder": self._folder, "_away": True}

    def add(self, error: Exception) -> None:
        """Print an error as soon as it is known, and remember it; one that nobody foresaw with its traceback.

        A mistake of the user's is one line, however many runs it is in.
        """
        if _is_known(error, self._errors):
            return
        if not isinstance(error, UserError | RunFailedError):
            traceback.print_exception(error)
            error = RunFailedError(f"unexpected {type(error).__name__}, a mistake in cxr_runner: {error}")
        print_error("cxr-run", error)
        self._errors.append(error)
        if self._away:
            self._report(error)

    def collect(self) -> list[Exception]:
        """Return all errors, those of this process first, and clear away what other processes have left."""
        if self._folder is not None:
            for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
                content = json.loads(path.read_text("utf-8"))
                error = _KINDS[content["kind"]](content["message"])
                if not _is_known(error, self._errors):
                    self._errors.append(error)
                path.unlink()
            with suppress(OSError):  # there is none where nothing failed; a job that still runs may yet write
                self._folder.rmdir()
        return list(self._errors)

    def _report(self, error: Exception) -> None:
        from cxr_runner.base.files import write_json

        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / f"{uuid4().hex}.json", {"kind": type(error).__name__, "message": str(error)})


class Task:
    """What Hydra has its launchers call; a class, because functions inside others do not pickle."""

    def __init__(self, failures: Failures) -> None:
        """Report what goes wrong to ``failures``."""
        self.failures = failures
        self.idle = True  # whether nothing was trained: whatever was asked for was a mistake

    def __call__(self, *configs: "DictConfig") -> list[float] | float:
        """Train one job, or all jobs of a sweep at once.

        Returns:
            The validation accuracy, a mean over the seeds of a job; nan where it failed: a job that fails must not
            stop the sweep that it is part of, whatever the reason.
        """
        try:
            # In another process too, whose libraries would pass over the signal.
            with interrupting_on_sigterm(), interrupting_output():
                jobs = [self._read(config) for config in configs]  # before torch: a mistake is answered at once
                runs = [run for job in jobs for run in job]
                outcomes: Iterator[float] = iter(())
                if runs:
                    from cxr_runner.experiment.sweep import run_sweep

                    swept = run_sweep(runs, self.failures.add)
                    self.idle = all(isinstance(outcome.error, UserError) for outcome in swept)
                    outcomes = iter([outcome.accuracy for outcome in swept])
                values = [_mean([next(outcomes) for _ in job]) for job in jobs]
        except OutputClosedError:  # an interruption like any other
            raise KeyboardInterrupt from None
        return values if len(values) > 1 else values[0]

    def _read(self, config: "DictConfig") -> "list[RunConfig]":
        """Return the runs of a job, one for every seed; none where there is a mistake in its configuration."""
        from cxr_runner.config.schema import from_hydra, split_seeds

        try:
            return split_seeds(from_hydra(config))
        except UserError as error:
            self.failures.add(error)
            return []


def _is_known(error: Exception, known: Sequence[Exception]) -> bool:
    """Whether an error is a mistake of the user's that is among others already; runs fail one by one."""
    return isinstance(error, UserError) and any(str(error) == str(other) for other in known)


def _mean(accuracies: Sequence[float]) -> float:
    """Return the mean of a job's values; nan where a run of it failed, or all of it."""
    return sum(accuracies) / len(accuracies) if accuracies else float("nan")

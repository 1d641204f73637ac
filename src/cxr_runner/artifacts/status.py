"""The ``status.json`` of a run: written when it begins and when it ends, then with the checksums of its results."""

import platform
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from cxr_runner.artifacts.altered import checksums_of
from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.errors import DivergedError, RunFailedError
from cxr_runner.base.files import write_yaml
from cxr_runner.base.signals import was_interrupted


class Status:
    """Writes ``status.json``: that the run is running, and then how it ended."""

    def __init__(self, files: RunDir, config: dict[str, Any]) -> None:
        """Write that the run begins or resumes, and its configuration.

        Args:
            files: run directory, which exists.
            config: resolved configuration, nested.
        """
        if files.complete():  # force=true trains a finished run anew; an interrupted run still resumes
            files.checkpoint.unlink(missing_ok=True)
        self.files, self.start, self.ended = files, time.perf_counter(), False
        self.content: dict[str, Any] = {"state": "running", "started": _now(), "host": platform.node()}
        write_checked_json(files.status, self.content)  # first: what changes from here on are no finished results
        write_yaml(files.config, config)

    def done(self) -> None:
        """Write that the run is finished, and what its results are; remove its checkpoint."""
        outcome = {"state": "done", "checksums": checksums_of(self.files.results)}
        write_checked_json(self.files.status, self._ended(outcome))
        self.files.checkpoint.unlink(missing_ok=True)

    def pruned(self, by: str, reason: str) -> None:
        """Write that the run was ended early and what its results are; its checkpoint stays, to go on from.

        Args:
            by: the search that ended it.
            reason: why, in one line.
        """
        checksums = checksums_of(self.files.results)
        outcome = {"state": "pruned", "pruned_by": by, "error": reason, "checksums": checksums}
        write_checked_json(self.files.status, self._ended(outcome))

    def failed(self, error: BaseException) -> RunFailedError:
        """Write why the run ended; return the error to show to people."""
        interrupted = isinstance(error, SystemExit) or was_interrupted(error)
        state = "interrupted" if interrupted else "failed"
        reason = "interrupted" if interrupted else str(error) or type(error).__name__
        first_line, trace = reason.splitlines()[0], "".join(traceback.format_exception(error))
        with suppress(OSError):  # a full disk must not hide what went wrong
            diverged = isinstance(error, DivergedError)
            outcome = {"state": state, "error": first_line, "diverged": diverged, "traceback": trace}
            write_checked_json(self.files.status, self._ended(outcome))
        kind = DivergedError if isinstance(error, DivergedError) else RunFailedError
        return kind(f"{first_line} ({self.files.path})")

    def _ended(self, outcome: dict[str, Any]) -> dict[str, Any]:
        self.ended = True
        seconds = time.perf_counter() - self.start
        return self.content | outcome | {"ended": _now(), "seconds": seconds}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""What went wrong in a command: printed as soon as it is known, and counted at its end."""

import json
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from cxr_runner.base.errors import DivergedError, RunFailedError, UserError, print_error
from cxr_runner.base.signals import was_interrupted

_KNOWN = (UserError, RunFailedError, DivergedError)
_KINDS: dict[str, type[UserError | RunFailedError]] = {kind.__name__: kind for kind in _KNOWN}


class Failures:
    """What went wrong in a command.

    A copy that a launcher takes to another process writes what it is told into a folder of the cache directory, which
    all processes and machines of a sweep share; the original finds it there.
    """

    def __init__(self, command: str) -> None:
        """Begin with none.

        Args:
            command: name of the command, which every line begins with.
        """
        self._command = command
        self._errors: list[Exception] = []
        self._folder: Path | None = None
        self._away = False

    def __getstate__(self) -> dict[str, object]:
        """Give a copy for another process what it needs to report back."""
        if self._folder is None:
            from cxr_runner.base.cache_folder import cache_dir

            self._folder = cache_dir() / "failures" / uuid4().hex
        return {"_command": self._command, "_errors": [], "_folder": self._folder, "_away": True}

    def add(self, error: Exception) -> None:
        """Print an error as soon as it is known, and remember it; one that nobody foresaw with its traceback.

        A mistake of the user's is one line, however many runs it is in.

        Raises:
            KeyboardInterrupt: the error came of an interruption, which ends the command.
        """
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        if _is_known(error, self._errors):
            return
        if not isinstance(error, UserError | RunFailedError):
            traceback.print_exception(error)
            error = RunFailedError(f"unexpected {type(error).__name__}, a mistake in cxr_runner: {error}")
        print_error(self._command, error)
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


def _is_known(error: Exception, known: Sequence[Exception]) -> bool:
    """Whether an error is a mistake of the user's that is among others already; runs fail one by one."""
    return isinstance(error, UserError) and any(str(error) == str(other) for other in known)

"""Errors that are not the program's fault: mistakes of the user, unreadable images, runs that cannot be finished."""

import sys
from pathlib import Path


class _OneLineError(Exception):
    """An error whose message a command prints.

    Args:
        message: text; lines are joined, since a value that it quotes may have several, and what a terminal would
            interpret becomes an escape sequence.
    """

    def __init__(self, message: str) -> None:
        joined = " ".join(message.splitlines())
        shown = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in joined)
        super().__init__("".join(shown))


class UserError(_OneLineError):
    """A mistake that the user can correct: the command prints its one line and exits with code 2.

    The message names the key, the given value and what is valid.
    """

    @classmethod
    def for_key(cls, key: str, value: object, valid: str) -> "UserError":
        """Build the usual message, ``key=value: valid``.

        Args:
            key: configuration key in dotted form, e.g. ``model.hidden``.
            value: value as given.
            valid: what would have been valid, as a phrase.
        """
        as_in_yaml = {None: "null", True: "true", False: "false"}
        shown = as_in_yaml[value] if value is None or isinstance(value, bool) else value
        return cls(f"{key}={shown}: {valid}")


class BadImageError(Exception):
    """An image that cannot be read; the message says why, without naming the file."""


class UnavailableImageError(BadImageError):
    """An image that cannot be read now, and perhaps can be later: permissions, a network drive."""


class RunFailedError(_OneLineError):
    """A run that could not be finished; its ``status.json`` says why, and the command exits with code 1."""


class DivergedError(RunFailedError):
    """A run whose numbers left the range of floating point: the learning rate is too high, or a penalty too small."""


def user_path(key: str, value: str) -> Path:
    """Return a path from the configuration as an absolute path, with ``~`` expanded.

    Args:
        key: configuration key of the path.
        value: path as given.

    Raises:
        UserError: the path names the home of a user who does not exist.
    """
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise UserError.for_key(key, value, "there is no such user") from None


def print_error(command: str, error: BaseException) -> None:
    """Print an error to standard error, in one line that names the command."""
    print(f"{command}: {error}", file=sys.stderr)

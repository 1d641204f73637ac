"""Errors that are not the program's fault: mistakes of the user, unreadable images, runs that cannot be finished."""

import sys
from pathlib import Path


class UserError(Exception):
    """A mistake that the user can correct: the command prints its one line and exits with code 2.

    Args:
        message: one line that names the key, the given value and what is valid.
    """

    def __init__(self, message: str) -> None:
        """Join the message to one line: a value that it quotes may have several."""
        super().__init__(" ".join(message.splitlines()))

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


class RunFailedError(Exception):
    """A run that could not be finished; its ``status.json`` says why, and the command exits with code 1."""


class DivergedError(RunFailedError):
    """A run whose numbers left the range of floating point: the learning rate is too high."""


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

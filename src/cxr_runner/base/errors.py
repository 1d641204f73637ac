"""The two ways in which the world outside the program may be at fault."""

import json
import sys
from pathlib import Path


class UserError(Exception):
    """A mistake that the user can mend: the command prints its one line and exits with code 2.

    Args:
        message: one line that names the key, the value given and what is valid.
    """

    def __init__(self, message: str) -> None:
        """Keep the message to one line, whatever the value that it quotes."""
        super().__init__(" ".join(message.splitlines()))

    @classmethod
    def for_key(cls, key: str, value: object, valid: str) -> "UserError":
        """Build the usual message, ``key=value: valid``.

        Args:
            key: the configuration key in dotted form, e.g. ``model.hidden``.
            value: what was given.
            valid: what would have been valid, as a phrase.
        """
        shown = json.dumps(value) if value is None or isinstance(value, bool) else value  # as YAML spells them
        return cls(f"{key}={shown}: {valid}")


class BadImageError(Exception):
    """An image that cannot be read; the message says why, without naming the file."""


class UnavailableImageError(BadImageError):
    """An image that cannot be read now but may be another time: permissions, a network drive."""


class RunFailedError(Exception):
    """A run that could not be finished; its directory says why, and the command exits with code 1."""


class DivergedError(RunFailedError):
    """A run whose numbers have left the range of floating point: the learning rate is at fault, not the world."""


def user_path(key: str, value: str) -> Path:
    """Return a path that a user gave, absolute, with ``~`` expanded.

    Args:
        key: the configuration key that it was given for.
        value: as given.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise UserError.for_key(key, value, "there is no such user") from None


def print_error(command: str, error: Exception) -> None:
    """Tell people of an error, in one line that names the command."""
    print(f"{command}: {error}", file=sys.stderr)

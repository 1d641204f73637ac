"""The two ways in which the world outside the program may be at fault."""


class UserError(Exception):
    """A mistake that the user can mend: the command prints its one line and exits with code 2.

    Args:
        message: one line that names the key, the value given and what is valid.
    """

    @classmethod
    def for_key(cls, key: str, value: object, valid: str) -> "UserError":
        """Build the usual message, ``key=value: valid``.

        Args:
            key: the configuration key in dotted form, e.g. ``model.hidden``.
            value: what was given.
            valid: what would have been valid, as a phrase.
        """
        shown = "null" if value is None else value
        return cls(f"{key}={shown}: {valid}")


class BadImageError(Exception):
    """An image that cannot be read; the message says why, without naming the file."""


class RunFailedError(Exception):
    """A run that could not be finished; its directory says why, and the command exits with code 1."""

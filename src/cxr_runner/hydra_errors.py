"""What Hydra and OmegaConf say of a bad command line, in the house's one line."""

import re
from collections.abc import Sequence

from hydra.errors import MissingConfigException, OverrideParseException

from cxr_runner.config import unknown_key
from cxr_runner.errors import UserError


def explain(error: Exception, arguments: Sequence[str]) -> UserError:
    """Translate an error of the composition of the configuration.

    Args:
        error: as raised by Hydra or OmegaConf before any job began.
        arguments: the command line, to say which value was given.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return UserError.for_key(group, option, f"no such choice, valid are {', '.join(error.options)}")
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", str(error))
    if ambiguous:
        return UserError(f"{ambiguous.group(1)}: several values make a sweep, which needs -m")
    if isinstance(error, OverrideParseException):
        valid = "cannot be read as KEY=VALUE; a value with brackets, commas or quotes needs quotes: 'KEY=\"VALUE\"'"
        return UserError(f"{error.override}: {valid}")
    key = _named_key(error)
    if key is None:
        return UserError(_first_line(error))
    if "not in struct" in f"{error} {error.__cause__}":
        return UserError.for_key(key, _given(key, arguments), unknown_key(key))
    return UserError.for_key(key, _given(key, arguments), _first_line(error))


def _named_key(error: Exception) -> str | None:
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None)
    if key:
        return str(key)
    match = re.search(r"Could not (?:override|append|delete)[^']*'([^'=\s]+)'", str(error))
    return match.group(1) if match else None


def _given(key: str, arguments: Sequence[str]) -> str:
    for argument in arguments:
        name, equals, value = argument.lstrip("+~").partition("=")
        if equals and name.split("@")[0] == key:
            return value
    return ""


def _first_line(error: Exception) -> str:
    return " ".join(str(error).strip().splitlines()[0].split())

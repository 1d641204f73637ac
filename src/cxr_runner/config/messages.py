"""Errors of Hydra, OmegaConf and pydantic in a configuration, each as one line that says what is valid."""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from importlib.resources import files
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import MissingConfigException, OverrideParseException
from pydantic_core import ErrorDetails

from cxr_runner.base.errors import RunFailedError, UserError

_VALID = {
    "device": "valid are auto, cpu, cuda, cuda:N and mps",
    "loss.pos_weight": "valid are null, balanced and numbers above 0",
    "name": "valid are letters, digits and . _ + -, at most 100, beginning with a letter or digit",
}
_LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
_LAUNCHER_LIBRARIES = {"joblib", "submitit", "ray"}
_MESSAGES = {  # by the type that pydantic gives an error
    "bool_type": "must be true or false",
    "dataclass_type": "is a group of keys, which are set one by one",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt:.12g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "valid are {expected}",
    "missing": "needs a value",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
}
_FEW = 8  # choices that one line can name


def explain_values(errors: list[ErrorDetails], keys: Collection[str]) -> UserError:
    """Translate the first error of the schema.

    Args:
        errors: errors as pydantic lists them.
        keys: all keys of the schema, in dotted form.
    """
    error = errors[0]
    location = [str(part) for part in error["loc"]]
    if error["type"] == "unexpected_keyword_argument":
        key = ".".join(filter(None, [_dotted(location[:-1], keys), location[-1]]))
        return UserError.for_key(key, error["input"], unknown_key(key, keys))
    key = _dotted(location, keys)
    if error["type"] == "missing":
        return UserError(f"{key}: needs a value")
    if error["type"] == "union_tag_invalid":
        return UserError.for_key(f"{key}.name", error["ctx"]["tag"], f"valid are {error['ctx']['expected_tags']}")
    template = _MESSAGES.get(error["type"])
    message = template.format(**error.get("ctx", {})) if template else error["msg"]
    return UserError.for_key(key, error["input"], _VALID.get(key, message))


def _dotted(location: list[str], keys: Collection[str]) -> str:
    """Drop the names of variants and types that pydantic puts between the keys."""
    kept: list[str] = []
    for part in location:
        if ".".join([*kept, part]) in keys:
            kept.append(part)
    return ".".join(kept)


def unknown_key(key: str, keys: Collection[str]) -> str:
    """Say what a user who wrote an unknown key may have meant.

    Args:
        key: key in dotted form.
        keys: all keys of the schema, in dotted form.
    """
    if key in keys:
        group = key.split(".")[0]
        return f"not a key of the chosen {group}"
    meant = _meant(key, keys)
    return "no such key" + (f", did you mean {meant}?" if meant else "; cxr-run --help lists all keys")


def _meant(name: str, keys: Collection[str]) -> str | None:
    """Return the key that was probably meant by a name; None where none is near."""
    leaves = sorted(known for known in keys if not any(other.startswith(f"{known}.") for other in keys))
    near = [known for known in leaves if known.rsplit(".", 1)[-1] == name] or get_close_matches(name, leaves, n=1)
    return near[0] if near else None


def explain_ending(error: Exception, arguments: Sequence[str], keys: Collection[str]) -> UserError | RunFailedError:
    """Translate what ended a command: an error of the composition, or of a launcher that lost a job.

    Args:
        error: error raised by Hydra, OmegaConf or the library below a launcher.
        arguments: command line, to say which value was given.
        keys: all keys of the schema, in dotted form.
    """
    if type(error).__module__.split(".")[0] in _LAUNCHER_LIBRARIES:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        return RunFailedError(f"a job of the sweep was lost, the same command goes on where it stopped ({reason})")
    return explain_composition(error, arguments, keys)


def explain_composition(error: Exception, arguments: Sequence[str], keys: Collection[str]) -> UserError:
    """Translate an error of the composition of the configuration.

    Args:
        error: error raised by Hydra or OmegaConf before any job began.
        arguments: command line, to say which value was given.
        keys: all keys of the schema, in dotted form.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, option = _missing_choice(error.missing_cfg_file, arguments)
        if group == "hydra/launcher" and (extra := _LAUNCHER_EXTRAS.get(option)):
            return UserError.for_key(group, option, f"is not installed, pip install 'cxr-runner[{extra}]' does it")
        return UserError.for_key(group, option, f"no such choice, {_nearest(option, error.options)}")
    if "Config group override must be" in str(error):  # experiment=20
        for group, _, given in (argument.lstrip("+").partition("=") for argument in arguments):
            option = given.split(",")[0]
            if re.fullmatch(r"[\d.]+|true|false|null", option) and (choices := _choices(group)):
                return UserError.for_key(group, option, f"no such choice, {_nearest(option, choices)}")
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", str(error))
    if ambiguous:
        return UserError(f"{ambiguous.group(1)}: several values make a sweep, which needs -m")
    if "requires --multirun" in str(error):
        return UserError("a range, choice or list of values makes a sweep, which needs -m")
    if isinstance(error, OverrideParseException):
        valid = "cannot be read as KEY=VALUE; a value with brackets, commas or quotes needs quotes: 'KEY=\"VALUE\"'"
        return UserError(f"{error.override}: {valid}")
    if isinstance(error, OSError):  # all that is written before a job begins is the folder of a sweep
        return UserError.for_key("outputs", error.filename, f"cannot be written to ({error.strerror})")
    if deleted := _deleted_group(error):
        return UserError(f"{deleted}: needs a choice, {_nearest('', _choices(deleted))}")
    key = _named_key(error)
    if key is None:
        return UserError(_first_line(error))
    if "not in struct" in f"{error} {error.__cause__}":
        return UserError.for_key(key, _given(key, arguments), unknown_key(key, keys))
    return UserError.for_key(key, _given(key, arguments), _first_line(error))


def _missing_choice(missing: str, arguments: Sequence[str]) -> tuple[str, str]:
    """Return the group and the choice that made Hydra look for a file; a choice may have slashes of its own."""
    for argument in arguments:
        group, _, given = argument.lstrip("+").partition("=")
        for option in given.split(","):
            if f"{group}/{option}" == missing:
                return group, option
    group, _, option = missing.rpartition("/")
    return group, option


def check_options(arguments: Sequence[str], keys: Collection[str]) -> None:
    """Refuse options that Hydra does not have, in one line and not with its usage.

    Args:
        arguments: command line.
        keys: all keys of the schema, in dotted form.

    Raises:
        UserError: there is such an option, or one without its value.
    """

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; cxr-run --help shows what is understood")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    _, unknown = parser.parse_known_args(list(arguments))
    if not unknown:
        return
    if not unknown[0].startswith("-"):
        raise UserError(f"{unknown[0]}: options such as -m stand before or behind all KEY=VALUE, not between them")
    name, _, value = unknown[0].lstrip("-").partition("=")
    following = arguments[list(arguments).index(unknown[0]) + 1 :][:1]
    if not value and following and not re.search("^-|=", following[0]):
        value = following[0]
    key = name if name in keys else _meant(name, keys)
    meant = f"write {key}={value or 'VALUE'}" if key else "keys are given as KEY=VALUE, cxr-run --help lists them"
    raise UserError(f"{unknown[0]}: no such option, {meant}")


def check_globs(arguments: Sequence[str]) -> None:
    """Refuse a pattern that fits no choice, of which Hydra would make a sweep of nothing.

    Args:
        arguments: command line.

    Raises:
        UserError: there is such a pattern.
    """
    for argument in arguments:
        if not re.fullmatch(r"[^'\"]+=\s*glob\(.*\)\s*", argument):
            continue
        override = OverridesParser.create().parse_override(argument)
        pattern, choices = override.value(), _choices(override.key_or_group)
        if isinstance(pattern, Glob) and not pattern.filter(choices):
            valid = _nearest(" ".join(pattern.include), choices) if choices else "only a group of files has choices"
            raise UserError(f"{argument}: fits no choice, {valid}")


def _choices(group: str) -> list[str]:
    """Return what can be chosen in a group of the configuration; nothing where there is no such group."""
    folder = files("cxr_runner.conf").joinpath(group)
    names = (file.name for file in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _nearest(option: str, choices: Sequence[str]) -> str:
    """Name the choices: all where they are few, otherwise the one that was probably meant."""
    if len(choices) <= _FEW:
        return f"valid are {', '.join(choices)}"
    near = get_close_matches(option, choices, n=1) or [choice for choice in choices if option and option in choice]
    return f"did you mean {near[0]}?" if near else f"valid are {choices[0]} ... {choices[-1]}, see cxr-run --help"


def _deleted_group(error: Exception) -> str | None:
    """Return the group, deleted by ``~``, without which another choice of the configuration cannot be looked up."""
    unresolved = re.match(r"Error resolving interpolation '(.*)', possible interpolation keys: (.*)", str(error))
    if unresolved is None:
        return None
    needed = re.findall(r"\$\{(\w+)\}", unresolved.group(1))
    return next((group for group in needed if group not in unresolved.group(2).split(", ")), None)


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
    text = str(error).strip() or f"unexpected {type(error).__name__}"
    return " ".join(text.splitlines()[0].split())

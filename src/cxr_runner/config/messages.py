"""Errors of Hydra, OmegaConf and pydantic in a configuration, each as one line that says what is valid."""

import re
from collections.abc import Collection, Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import GrammarParseError
from pydantic_core import ErrorDetails

from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.config.schema_words import say_valid
from cxr_runner.config.suggestions import key_for_group, keys_for_data, list_choices, name_choices, unknown_key

_VALID = {
    "data.split.fold": "valid are all, a whole number from 0, and a list of these such as [0,1]",
    "data.split.folds": "valid are null and whole numbers from 2",
    "data.split.keep_test": "valid are null, true and false",
    "device": "valid are auto, cpu, cuda, cuda:N and mps",
    "model.l2": "valid are path and numbers above 0",
    "loss.pos_weight": "valid are null, balanced and numbers above 0",
    "name": "valid are letters, digits and . _ + -, at most 100, beginning with a letter or digit",
}
_LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray"}
_LAUNCHER_LIBRARIES = {"joblib", "submitit", "ray"}


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
    if error["type"] == "dataclass_type":
        return UserError.for_key(key, error["input"], key_for_group(key, error["input"], keys))
    return UserError.for_key(key, error["input"], _VALID.get(key) or say_valid(error))


def _dotted(location: list[str], keys: Collection[str]) -> str:
    """Drop the names of variants and types that pydantic puts between the keys."""
    kept: list[str] = []
    for part in location:
        if ".".join([*kept, part]) in keys:
            kept.append(part)
    return ".".join(kept)


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
    if isinstance(error, UserError):  # of a configuration file
        return error
    explained = _explain_choice(error, arguments) or _explain_line(error, arguments, keys)
    if explained is not None:
        return explained
    key = _named_key(error)
    if key is None:
        return UserError(_first_line(error))
    if "Could not delete" in str(error) and (given := _given(key, arguments)):
        return UserError.for_key(f"~{key}", given, f"is not its value; ~{key} takes it away, whatever it is")
    unknown = "not in struct" in f"{error} {error.__cause__}"
    return UserError.for_key(key, _given(key, arguments), unknown_key(key, keys) if unknown else _first_line(error))


def _explain_choice(error: Exception, arguments: Sequence[str]) -> UserError | None:
    """Say which choice of a group does not exist; None where it is not that."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _no_such_choice(*_missing_choice(error.missing_cfg_file, arguments), error.options)
    if "Config group override must be" in str(error):  # experiment=20
        for group, _, given in (argument.lstrip("+").partition("=") for argument in arguments):
            option = given.split(",")[0]
            if re.fullmatch(r"[\d.]+|true|false|null", option) and (choices := list_choices(group)):
                return UserError.for_key(group, option, f"no such choice, {name_choices(option, choices)}")
    if deleted := _deleted_group(error):
        return UserError(f"{deleted}: needs a choice, {name_choices('', list_choices(deleted))}")
    return None


def _explain_line(error: Exception, arguments: Sequence[str], keys: Collection[str]) -> UserError | None:
    """Say what is wrong with the form of a command line; None where it is not that."""
    if ambiguous := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return UserError(f"{ambiguous.group(1)}: several values make a sweep, which needs -m")
    if "requires --multirun" in str(error):
        return UserError("a range, choice or list of values makes a sweep, which needs -m")
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, arguments, keys)
    if isinstance(error, OSError):  # all that is written before a job begins is the folder of a sweep
        return UserError.for_key("outputs", error.filename, f"cannot be written to ({error.strerror})")
    if isinstance(error, KeyError) and str(error.args[0]) in (copied := _given("hydra.job.env_copy", arguments)):
        return UserError.for_key("hydra.job.env_copy", copied, f"no environment variable {error.args[0]}")
    if isinstance(error, GrammarParseError) and "${" in (outputs := _given("outputs", arguments)):
        return UserError.for_key("outputs", outputs, "this launcher of Hydra cannot take ${ in it, others can")
    return None


def _no_such_choice(group: str, option: str, options: Sequence[str]) -> UserError:
    if group == "hydra/launcher" and (extra := _LAUNCHER_EXTRAS.get(option)):
        return UserError.for_key(group, option, f"is not installed, pip install 'cxr-runner[{extra}]' does it")
    meant = keys_for_data(option) if group == "data" else None
    return UserError.for_key(group, option, meant or f"no such choice, {name_choices(option, options)}")


def _unreadable(override: str, arguments: Sequence[str], keys: Collection[str]) -> UserError:
    """Say what is wrong with a KEY=VALUE that the grammar of Hydra refuses, as it does letters outside ASCII."""
    key, equals, value = override.lstrip("+~").partition("=")
    value = _given(key, arguments) or value  # as typed
    if key == "data" and (meant := keys_for_data(value)):
        return UserError.for_key(key, value, meant)
    if choices := list_choices(key) if equals else []:
        return UserError.for_key(key, value, f"no such choice, {name_choices(value, choices)}")
    if equals and key not in keys:
        return UserError.for_key(key, value, unknown_key(key, keys))
    return UserError(f"{override}: cannot be read as KEY=VALUE; text that a key takes needs no quotes but the shell's")


def _missing_choice(missing: str, arguments: Sequence[str]) -> tuple[str, str]:
    """Return the group and the choice that made Hydra look for a file; a choice may have slashes of its own."""
    for argument in arguments:
        group, _, given = argument.lstrip("+").partition("=")
        for option in given.split(","):
            if f"{group}/{option}" == missing:
                return group, option
    group, _, option = missing.rpartition("/")
    return group, option


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

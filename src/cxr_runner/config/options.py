"""Tells options of Hydra from KEY=VALUE, wherever on the command line of ``cxr-run`` they stand."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from cxr_runner.base.errors import UserError
from cxr_runner.config.suggestions import list_choices, name_choices, nearest_key
from cxr_runner.config.text import disguise_arguments

_NO_TRAINING = {"--multirun", "--cfg", "--info", "--help", "--hydra-help", "--shell-completion"}  # of one run


@dataclass(frozen=True)
class CommandLine:
    """What stands on a command line.

    Attributes:
        options: options of Hydra with their values.
        overrides: every KEY=VALUE, as typed.
        help: whether help is asked for.
        config_path: where else configuration files are.
        config_name: which of them is the main one.
        config_dir: a folder of further ones.
    """

    options: tuple[str, ...]
    overrides: tuple[str, ...]
    help: bool
    config_path: str | None
    config_name: str
    config_dir: str | None


def read_command_line(arguments: Sequence[str], keys: Collection[str]) -> CommandLine:
    """Read a command line, and refuse in one line the options that Hydra does not have.

    Args:
        arguments: the command line without the command.
        keys: all keys of the schema, in dotted form.

    Raises:
        UserError: there is such an option, one without its value, or a pattern that fits no choice.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    parsed, unknown = parser.parse_known_intermixed_args(list(arguments))
    if unknown:
        raise _unknown_option(unknown[0], arguments, keys)
    if dashed := [override for override in parsed.overrides if override.startswith("-")]:  # behind --
        raise UserError(f"{dashed[0]}: cannot be read as KEY=VALUE")
    options = tuple(_options(parser, parsed))
    _check_search(parsed.overrides, options)
    _check_globs(disguise_arguments(parsed.overrides))
    return CommandLine(
        options=options,
        overrides=tuple(parsed.overrides),
        help=parsed.help,
        config_path=parsed.config_path,
        config_name=parsed.config_name or "config",
        config_dir=parsed.config_dir,
    )


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message}; cxr-run --help shows what is understood")


def _options(parser: ArgumentParser, parsed: Namespace) -> list[str]:
    """Write the options anew: Hydra understands them before all KEY=VALUE only."""
    options: list[str] = []
    for action in parser._actions:
        value = getattr(parsed, action.dest, None)
        if action.option_strings and value not in (None, False):
            options += [action.option_strings[0]] if value is True else [action.option_strings[0], value]
    return options


def _unknown_option(option: str, arguments: Sequence[str], keys: Collection[str]) -> UserError:
    """Return what is to be said of an option that does not exist."""
    name, _, value = option.lstrip("-").partition("=")
    following = arguments[list(arguments).index(option) + 1 :][:1]
    if not value and following and not re.search("^-|=", following[0]):
        value = following[0]
    key = name if name in keys else nearest_key(name, keys)
    meant = f"write {key}={value or 'VALUE'}" if key else "keys are given as KEY=VALUE, cxr-run --help lists them"
    return UserError(f"{option}: no such option, {meant}")


def _check_search(overrides: Sequence[str], options: Sequence[str]) -> None:
    """Refuse a search without -m, which would be a single run.

    Raises:
        UserError: that is asked for.
    """
    if _NO_TRAINING & set(options) or any(argument.startswith("hydra.mode=") for argument in overrides):
        return
    for argument in overrides:
        if argument.startswith(("search=", "hydra/sweeper=optuna")) and argument != "search=null":
            raise UserError(f"{argument}: a search is a sweep, which needs -m")


def _check_globs(overrides: Sequence[str]) -> None:
    """Refuse a pattern that fits no choice, of which Hydra would make a sweep of nothing.

    Raises:
        UserError: there is such a pattern.
    """
    for argument in overrides:
        if not re.fullmatch(r"[\w/@+]+=\s*glob\(.*\)\s*", argument):
            continue
        override = OverridesParser.create().parse_override(argument)
        pattern, choices = override.value(), list_choices(override.key_or_group)
        if isinstance(pattern, Glob) and not pattern.filter(choices):
            valid = name_choices(" ".join(pattern.include), choices) if choices else "only a group of files has choices"
            raise UserError(f"{argument}: fits no choice, {valid}")

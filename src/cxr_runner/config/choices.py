"""The text of ``cxr-run GROUP=CHOICE ... --help``: the files of these choices, and all that is set with them."""

import shlex
from collections.abc import Iterator

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cxr_runner.base.errors import UserError
from cxr_runner.config.help import indented, usage
from cxr_runner.config.loading import VerbatimLoader, make_loader
from cxr_runner.config.options import CommandLine
from cxr_runner.config.suggestions import name_choices
from cxr_runner.config.text import disguise_arguments


def explain_choices(line: CommandLine) -> str:
    """Return the help for a command line: every choice in it in full, or the usual one where it holds none.

    Args:
        line: the command line.

    Raises:
        UserError: there is no such choice.
        Exception: one of Hydra's or OmegaConf's: the configuration cannot be composed.
    """
    loader = make_loader(line.config_path, line.config_dir, shown=True)
    arguments = disguise_arguments(line.overrides)
    parts = [part for argument in arguments for part in _choices_in_full(argument, loader)]
    if not parts:
        return usage()
    if "--multirun" not in line.options:
        shown = indented(OmegaConf.to_yaml(loader.compose(arguments, line.config_name)))
        parts += [f"All that is set, as cxr-run --cfg job {shlex.join(line.overrides)} shows it:\n", shown]
    return "\n".join(parts)


def _choices_in_full(argument: str, loader: VerbatimLoader) -> Iterator[str]:
    """Yield a heading and a file for every choice that a KEY=VALUE makes; nothing where it sets a key."""
    (override,) = OverridesParser.create(loader).parse_overrides([argument])
    group = override.key_or_group
    if override.is_delete() or not loader.repository.group_exists(group):
        return
    for choice in override.sweep_string_iterator() if override.is_discrete_sweep() else [override.value()]:
        if choice is None:  # experiment=null
            continue
        found = loader.repository.read(f"{group}/{choice}")
        if found is None:
            valid = name_choices(str(choice), loader.repository.get_group_options(group))
            raise UserError.for_key(group, choice, f"no such choice, {valid}")
        place, text = found
        yield (
            f"{group}={choice}, with {group}.KEY=VALUE ({place}):\n"
            if "@package" not in text
            else f"{group}={choice} ({place}):\n"
        )
        yield indented(text)

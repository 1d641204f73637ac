"""How configurations are composed by Hydra, with all text in them verbatim."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra import version
from hydra._internal import hydra as internal
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf, ValueNode, open_dict, read_write

from cxr_runner.base.errors import UserError
from cxr_runner.config.options import CommandLine
from cxr_runner.config.text import disguise, disguise_arguments, is_text_key, reveal
from cxr_runner.config.yaml_files import VerbatimFiles

CONF = "pkg://cxr_runner.conf"
_VERSION_BASE = "1.3"
_SEED = re.compile(r"seed=\d+")


def call_hydra(task: Callable[..., Any], line: CommandLine) -> None:
    """Have Hydra do what a command line asks for.

    Args:
        task: what it calls, see :class:`cxr_runner.commands.run.Task`.
        line: the command line.
    """
    sys.argv[1:] = [*line.options, *disguise_arguments(line.overrides)]
    # Hydra offers no way to choose its loader. This name, from which it is built, is all that is replaced, and for the
    # time of the command only.
    vars(internal)["ConfigLoaderImpl"] = partial(VerbatimLoader, shown="--cfg" in line.options)
    try:
        hydra.main(version_base=_VERSION_BASE, config_path=CONF, config_name="config")(task)()
    finally:
        vars(internal)["ConfigLoaderImpl"] = ConfigLoaderImpl


def make_loader(
    config_path: str | None = None, config_dir: str | None = None, *, shown: bool = False
) -> "VerbatimLoader":
    """Return a loader of the configuration files of ``cxr-run``.

    Args:
        config_path: where else they are, as Hydra's option of that name.
        config_dir: a folder of further ones, as Hydra's option of that name.
        shown: whether what it composes is only written out.

    Raises:
        UserError: there is no such folder.
    """
    version.setbase(_VERSION_BASE)
    setup_globals()
    search_path = create_automatic_config_search_path(None, None, config_path or CONF)
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise UserError.for_key("--config-dir", config_dir, "no such folder")
        search_path.prepend("command-line", f"file://{Path(config_dir).absolute()}", SearchPathQuery(provider="schema"))
    return VerbatimLoader(search_path, shown=shown)


class VerbatimLoader(ConfigLoaderImpl):
    """Composes as Hydra does, with text that was disguised until then; launchers take it to other processes."""

    repository: VerbatimFiles

    def __init__(self, config_search_path: ConfigSearchPath, *, shown: bool = False) -> None:
        """Look for files where Hydra would; ``shown`` is whether what is composed is only written out."""
        super().__init__(config_search_path)
        self.repository = VerbatimFiles(config_search_path)
        self._node = ShownNode if shown else _text_node
        self._jobs: dict[tuple[str, ...], DictConfig] = {}  # composed, by what was overridden besides the seed

    def __getstate__(self) -> dict[str, Any]:
        """Go to another process without what was composed in this one."""
        return {**vars(self), "_jobs": {}}

    def compose(self, arguments: Sequence[str], config_name: str = "config") -> DictConfig:
        """Return the configuration of one job, without Hydra's part of it."""
        config = self.load_configuration(config_name, list(arguments), RunMode.RUN, from_shell=False)
        with open_dict(config):
            del config["hydra"]
        return config

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose, then reveal the text."""
        config = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        with read_write(config):
            _reveal_text(config, self._node)
        return config

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Compose one job of a sweep, once: Hydra asks for each when it checks them and when it launches them.

        Jobs that differ in nothing but their seed are composed once together. It takes a tenth of a second.
        """
        others = tuple(override for override in sweep_overrides if not _SEED.fullmatch(override))
        if known := others in self._jobs:
            composed = self._jobs[others]
        else:
            composed = self._jobs[others] = super().load_sweep_config(master_config, list(others))
        if len(others) < len(sweep_overrides):
            return _with_seed(composed, sweep_overrides)
        if known:
            return self._jobs.pop(others)  # no more than those that are waiting are kept
        return composed.copy()


def _with_seed(composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return the job that overrides make of one that was composed without its seed."""
    config = composed.copy()
    task = [one for one in OverridesParser.create().parse_overrides(list(overrides)) if not one.is_hydra_override()]
    with read_write(config), open_dict(config):
        config.seed = [one.value() for one in task if one.key_or_group == "seed"][-1]
        config.hydra.overrides.task = [one.input_line for one in task]
        config.hydra.job.override_dirname = get_overrides_dirname(task, **config.hydra.job.config.override_dirname)
    return config


class ShownNode(AnyNode):
    """A text as it is written out; values are read from other nodes, because OmegaConf would look ``${`` up in it."""

    def __init__(self, text: str) -> None:
        """Hold a text."""
        super().__init__()
        self._val = text

    def __deepcopy__(self, memo: dict[int, Any]) -> "ShownNode":
        """Copy it with what OmegaConf has noted of it."""
        copied = ShownNode(self._val)
        self._deepcopy_impl(copied, memo)
        return copied

    def _is_interpolation(self) -> bool:
        return False

    def _is_missing(self) -> bool:
        return False


# What the text ${...} and the text ??? are in a configuration: something to be looked up, which gives them back.
OmegaConf.register_new_resolver("cxr_text", reveal, replace=True)


def _text_node(text: str) -> AnyNode:
    special = "${" in text or text == "???"
    return AnyNode(f"${{cxr_text:'{disguise(text)}'}}" if special else text)


def _reveal_text(config: DictConfig, make_node: Callable[[str], AnyNode], prefix: str = "") -> None:
    """Put the text where it was disguised."""
    for name in list(config.keys()):
        key, node = f"{prefix}{name!s}", config._get_node(name)
        if isinstance(node, DictConfig) and _holds_values(node) and key != "hydra":
            _reveal_text(node, make_node, f"{key}.")
        elif isinstance(node, ListConfig) and _holds_values(node) and is_text_key(key):
            for index in range(len(node)):
                _reveal(node, index, make_node)
        elif is_text_key(key):
            _reveal(config, name, make_node)


def _reveal(place: Any, name: Any, make_node: Callable[[str], AnyNode]) -> None:
    node = place._get_node(name)
    text = reveal(node._value()) if isinstance(node, ValueNode) else None
    if text is not None:
        place[name] = make_node(text)


def _holds_values(node: DictConfig | ListConfig) -> bool:
    return not (node._is_none() or node._is_missing() or node._is_interpolation())

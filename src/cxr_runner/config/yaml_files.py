"""Reads configuration files: text as it is written, ``NO``, ``1`` and ``2024`` too, and mistakes with file and line."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader
from omegaconf.errors import OmegaConfBaseException

from cxr_runner.base.errors import UserError
from cxr_runner.config.text import disguise, is_text_key
from cxr_runner.config.yaml_lines import say_where

_NULL, _STRING, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "merge"))
_MOST_DEPTH = 20  # an anchor may hold itself


class VerbatimFiles(ConfigRepository):
    """The configuration files, in which text is disguised as soon as it is read."""

    def read(self, config_path: str) -> tuple[str, str] | None:
        """Return the place and the content of a file.

        Args:
            config_path: the choice that it is, e.g. ``model/cnn``.

        Returns:
            None where there is no such file.

        Raises:
            UserError: it cannot be read as text.
        """
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or source.scheme() not in ("pkg", "file"):
            return None
        folder = files(source.path) if source.scheme() == "pkg" else Path(source.path)
        file = folder.joinpath(f"{config_path.removesuffix('.yaml')}.yaml")
        try:
            return str(file), file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{file}: is not text in UTF-8 ({error.reason} at byte {error.start})") from None
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from None

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Load a choice as Hydra does, in its place.

        Raises:
            UserError: there is a mistake in the file; the message says where.
        """
        found = self.read(config_path)
        if found is None:
            return super().load_config(config_path)
        place, text = found
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        assert source is not None
        header = ConfigSource._get_header_dict(text[:512])
        content = _parse(text, place, _package(header["package"], config_path))
        try:
            config = OmegaConf.create(content)
        except OmegaConfBaseException as error:
            raise UserError(f"{place}: {error.full_key}: {str(error).splitlines()[0]}") from None
        result = ConfigResult(source.provider, source.full_path(), config, header)
        defaults = self._extract_defaults_list(config_path, config)
        result.defaults_list = self._create_defaults_list(config_path, defaults)
        return result


def _package(header: str | None, config_path: str) -> str:
    """Return where the keys of a file belong: where it says so, or in the group of its folder."""
    group = config_path.rpartition("/")[0].replace("/", ".")
    package = (header or "_group_").replace("_group_", group)
    return package.replace("_global_", "").strip(".")


@cache  # a sweep composes tens of jobs from the same files
def _parse(text: str, place: str, package: str) -> dict[str, Any]:
    """Parse a configuration file, text in it disguised; the result is for reading only.

    Raises:
        UserError: it is no mapping in YAML; the message says where.
    """
    try:
        loader = get_yaml_loader()(text)
        loader.name = place
        node = loader.get_single_node()
        # Once each: an anchor makes one node the value of several keys.
        for scalar in {id(scalar): scalar for scalar in _find_text(node, package)}.values():
            scalar.value, scalar.tag = disguise(scalar.value), _STRING
        content = {} if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(say_where(error, text, place)) from None
    if not isinstance(content, dict):
        raise UserError(f"{place}: must hold lines of KEY: VALUE")
    return content


def _find_text(node: yaml.Node | None, key: str, depth: int = 0) -> Iterator[yaml.ScalarNode]:
    """Yield what is written as the value of a text key, but for none and for what is still missing."""
    if isinstance(node, yaml.MappingNode) and depth < _MOST_DEPTH:
        for name, value in node.value:
            if name.tag == _MERGE:
                for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    yield from _find_text(one, key, depth + 1)
            else:
                yield from _find_text(value, f"{key}.{name.value}".lstrip("."), depth + 1)
    elif is_text_key(key) and node is not None:
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(one, yaml.ScalarNode) and one.tag != _NULL and not _is_missing(one):
                yield one


def _is_missing(scalar: yaml.ScalarNode) -> bool:
    """Whether it is Hydra's sign of a value that must be given, and no text in quotes."""
    return scalar.value == "???" and scalar.style is None

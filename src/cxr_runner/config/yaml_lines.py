"""YAML with the line of everything in it, so that a mistake is named with file and line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cxr_runner.base.errors import UserError

_MOST_DEPTH = 20
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML has it
Step = str | int


class _Loader(_BASE):  # type: ignore[misc]
    """Reads 1e-4 as a number, as people mean it, and dates as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


@dataclass(frozen=True)
class LinedYaml:
    """The content of a YAML file.

    Attributes:
        place: what the file is called in messages.
        content: its content.
        lines: line of every entry, counted from 1, by the keys and positions that lead to it.
    """

    place: str
    content: dict[str, Any]
    lines: Mapping[tuple[Step, ...], int]

    def error(self, path: Sequence[Step], reason: str, *, value: bool = True) -> UserError:
        """Return a mistake at an entry, or where it should be.

        Args:
            path: keys and positions that lead to it; steps that the file does not have are passed over.
            reason: what is wrong, as a phrase.
            value: whether to show the value that stands there.
        """
        known: tuple[Step, ...] = ()
        for step in path:
            known = (*known, step) if (*known, step) in self.lines else known
        found: Any = self.content
        for step in known:
            found = found[step]
        named = ".".join(step for step in known if isinstance(step, str))
        shown = f"{named}={found}: " if value and not isinstance(found, dict | list) else f"{named}: " if named else ""
        return UserError(f"{self.place}, line {self.lines.get(known, 1)}: {shown}{reason}")


def parse_lined(text: str, place: str) -> LinedYaml:
    """Parse a mapping; anchors and aliases, by which a small file stands for one without end, are refused, and tags.

    Args:
        text: content of the file.
        place: what the file is called in messages.

    Raises:
        UserError: it is no mapping in YAML; the message says where.
    """
    lines: dict[tuple[Step, ...], int] = {}
    try:
        _check_events(text, place)
        loader = _Loader(text)
        node = loader.get_single_node()
        content = {} if node is None else _build(node, (), lines, loader, place)
    except yaml.YAMLError as error:
        raise UserError(say_where(error, text, place)) from None
    if not isinstance(content, dict):
        raise UserError(f"{place}: must hold lines of KEY: VALUE")
    return LinedYaml(place, content, lines)


def _check_events(text: str, place: str) -> None:
    """Refuse what would make a content without end, before anything is built of it."""
    depth = 0
    event: Any  # PyYAML's types do not say what its events have
    for event in yaml.parse(text, _Loader):
        where = f"{place}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            raise UserError(f"{where}: {name}: anchors and aliases are not read; write it out")
        if getattr(event, "tag", None) not in (None, "!"):  # "!" is what quotes give
            raise UserError(f"{where}: {event.tag}: tags are not read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise UserError(f"{where}: nested more than {_MOST_DEPTH} deep")


def _build(node: yaml.Node, path: tuple[Step, ...], lines: dict[tuple[Step, ...], int], loader: Any, place: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(one, (*path, number), lines, loader, place) for number, one in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[str, Any] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{place}, line {line}: a key must be a word")
        if name in content:
            raise UserError(f"{place}, line {line}: {name} stands twice, first in line {lines[(*path, name)]}")
        lines[(*path, name)] = line
        content[name] = _build(value, (*path, name), lines, loader, place)
    return content


def say_where(error: yaml.YAMLError, text: str, place: str) -> str:
    """Say what is wrong with a YAML file, with file and line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, problem = error.problem_mark.line, str(error.problem)
    else:  # a character that YAML does not allow
        line = text[: getattr(error, "position", 0)].count("\n")
        problem = str(getattr(error, "reason", "cannot be read as YAML"))
    indented = "".join(text.split("\n")[line : line + 1]).lstrip(" ")
    if indented.startswith("\t"):
        problem = "begins with a tab, YAML is indented with spaces"
    return f"{place}, line {line + 1}: {problem}"

"""What an archive says otherwise than its runs: paths of the machine go, title, citation and licence may be added."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from cxr_runner.base.errors import UserError

SETTINGS, DESCRIPTION = ("root", "path", "file"), ("title", "citation", "licence")
"""What can be restated: settings of the data in ``config.yaml``, none of which enters an id, and ``data.json``."""


def read_restated(settings: Sequence[str]) -> dict[str, str]:
    """Return what ``--restate KEY=VALUE`` asks for, by its key.

    Raises:
        UserError: a key that is none of :data:`SETTINGS` and :data:`DESCRIPTION`, or no value.
    """
    restated = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in (*SETTINGS, *DESCRIPTION) or not equals:
            raise UserError(f"--restate {setting}: is KEY=VALUE with one of {', '.join((*SETTINGS, *DESCRIPTION))}")
        restated[key] = value
    return restated


def restate_config(config: Mapping[str, Any], restated: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration without absolute paths, and with the settings of its data that are restated."""
    content: dict[str, Any] = without_paths(config)
    content["outputs"] = "outputs"
    data = content.get("data")
    if isinstance(data, dict):
        data |= {key: restated[key] for key in SETTINGS if key in restated and key in data}
    return content


def restate_description(description: Mapping[str, Any], restated: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a ``data.json`` without absolute paths, and with what is restated of the images."""
    content: dict[str, Any] = without_paths(description)
    return content | {key: restated[key] for key in DESCRIPTION if key in restated}


def without_paths(value: Any) -> Any:
    """Return a nested value in which of every absolute path the last part alone is left."""
    if isinstance(value, Mapping):
        return {key: without_paths(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_paths(part) for part in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value

"""What a user may have meant by a key or a choice that does not exist."""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

_FEW = 10  # choices that one line can name
_OTHER_NAMES = {"learning_rate": "optimizer.lr"}  # what keys are called elsewhere


def unknown_key(key: str, keys: Collection[str]) -> str:
    """Say what a user who wrote an unknown key may have meant.

    Args:
        key: key in dotted form.
        keys: all keys of the schema, in dotted form.
    """
    if key in keys:
        group = key.split(".")[0]
        return f"not a key of the chosen {group}"
    meant = nearest_key(key, keys)
    return "no such key" + (f", did you mean {meant}?" if meant else "; cxr-run --help lists all keys")


def nearest_key(name: str, keys: Collection[str]) -> str | None:
    """Return the key that was probably meant by a name; None where none is near."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf in _OTHER_NAMES:
        return _OTHER_NAMES[leaf]
    leaves = sorted(known for known in keys if not any(other.startswith(f"{known}.") for other in keys))
    near = [known for known in leaves if known.rsplit(".", 1)[-1] == name] or get_close_matches(name, leaves, n=1)
    return near[0] if near else None


def list_choices(group: str) -> list[str]:
    """Return what can be chosen in a group of the configuration; nothing where there is no such group."""
    folder = files("cxr_runner.conf").joinpath(group)
    names = (file.name for file in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def name_choices(option: str, choices: Sequence[str]) -> str:
    """Name the choices: all where they are few, otherwise the one that was probably meant."""
    if len(choices) <= _FEW:
        return f"valid are {', '.join(choices)}"
    near = get_close_matches(option, choices, n=1) or [choice for choice in choices if option and option in choice]
    return f"did you mean {near[0]}?" if near else f"valid are {choices[0]} ... {choices[-1]}, see cxr-run --help"


def key_for_group(group: str, value: object, keys: Collection[str]) -> str:
    """Say how to set a key of a group where the group itself was given a value.

    Args:
        group: the group, in dotted form.
        value: what was given.
        keys: all keys of the schema, in dotted form.
    """
    below = sorted(key for key in keys if key.startswith(f"{group}."))
    meant = f"{group}.name" if f"{group}.name" in keys else below[0] if len(below) == 1 else None
    said = "is a group of keys, which are set one by one: "
    return said + (f"write {meant}={value}" if meant else ", ".join(below))


def keys_for_data(option: str) -> str | None:
    """Say which keys name images of one's own, where a folder or a data set of the Hub was given as the choice."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+", option) and not option.startswith(".") and not Path(option).exists():
        return (
            f"no such choice; a data set of the Hub is data=hub data.repo={option}, a folder data=folder data.root=..."
        )
    if "/" in option or option.startswith(("~", ".")) or Path(option).is_dir():
        return f"no such choice; a folder of images is data=folder data.root={option}"
    return None

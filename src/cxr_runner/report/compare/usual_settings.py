"""The settings of a run: flat, without what two runs may differ in and still be the same, and what they usually are."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

# Names, folders and seeds tell no configuration from another; model.sgd_lr is where older runs had optimizer.lr from.
_NOT_COMPARED = ("seed", "seeds", "outputs", "name", "force", "progress", "device", "model.sgd_lr")
_SPLIT = ("strategy", "folds", "val_share", "keep_test")  # of the data, the settings that replicates share


def flatten_settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings that can tell runs on the same images apart: ``model.name`` as ``model``, the rest dotted."""
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        if dotted in _NOT_COMPARED:
            continue
        if dotted == "data":
            split = value.get("split") if isinstance(value, Mapping) else None
            known = dict(split) if isinstance(split, Mapping) else {}
            if known.get("keep_test") is False and known.get("folds") is None:
                known["keep_test"] = None  # what false meant until there were folds
            yield from ((f"data.split.{name}", known[name]) for name in _SPLIT if name in known)
        elif isinstance(value, Mapping):
            yield from flatten_settings(value, f"{dotted}.")
        else:
            yield dotted.removesuffix(".name"), value


@cache
def usual_settings(model: str, optimizer: str, data: str) -> dict[str, Any]:
    """Return what the settings are where nobody has asked for anything: those that follow from these three among them.

    Args:
        model: name of the model.
        optimizer: name of the optimizer.
        data: name of the source of the images.
    """
    content = {key: value for key, value in _read("config").items() if key not in ("defaults", "hydra")}
    content |= {"model": _read(f"model/{model}"), "data": _read(f"data/{data}")}
    content |= {"optimizer": _read(f"optimizer/{optimizer}") | _read(f"optimizer/lr/{optimizer}_{model}")}
    return dict(flatten_settings(content)) | {
        group: name for group, name in (("model", "linear"), ("optimizer", "sgd"))
    }


def overrides(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that somebody has asked for, or an older version had other defaults for."""
    settings = dict(flatten_settings(config))
    data = config.get("data")
    source = data.get("name") if isinstance(data, Mapping) else ""
    usual = usual_settings(str(settings.get("model")), str(settings.get("optimizer")), str(source))
    return {key: value for key, value in settings.items() if key not in usual or not _same(value, usual[key])}


def _same(value: Any, usual: Any) -> bool:
    return bool(value == usual) and isinstance(value, bool) == isinstance(usual, bool)


def _read(name: str) -> dict[str, Any]:
    """Return the content of a configuration file of this package; nothing where there is none of that name."""
    *folders, last = name.split("/")
    path = files("cxr_runner.conf").joinpath(*folders, f"{last}.yaml")
    if not last.replace("_", "").isalnum() or not path.is_file():
        return {}
    content = yaml.safe_load(path.read_text("utf-8"))
    return content if isinstance(content, dict) else {}

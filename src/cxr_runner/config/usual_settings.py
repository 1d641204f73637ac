"""The settings of a run: flat, without what two runs may differ in and still be the same, and what they usually are."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from cxr_runner.base.markdown import printable

# Names, folders and seeds tell no configuration from another; model.sgd_lr is where older runs had optimizer.lr from.
_NOT_COMPARED = (
    "seed",
    "seeds",
    "outputs",
    "name",
    "force",
    "save",
    "plots",
    "progress",
    "device",
    "kernels",
    "model.sgd_lr",
)
_SPLIT = ("strategy", "folds", "val_share", "keep_test")  # of the data, the settings that replicates share


def flatten_settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings that can tell runs on the same images apart: ``model.name`` as ``model``, the rest dotted."""
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        if dotted in _NOT_COMPARED:
            continue
        if dotted == "data":
            if isinstance(value, Mapping) and value.get("train_share", 1) != 1:
                yield "data.train_share", value["train_share"]
            known = split_settings(value)
            yield from ((f"data.split.{name}", known[name]) for name in _SPLIT if name in known)
        elif isinstance(value, Mapping):
            yield from flatten_settings(value, f"{dotted}.")
        else:
            yield dotted.removesuffix(".name"), value


def split_settings(data: object) -> dict[str, Any]:
    """Return the settings of a split as they would be written now.

    Until there were folds, a test split of the data was not kept unless that was asked for, which is no setting now.

    Args:
        data: configuration of the images, whatever it may be.
    """
    split = data.get("split") if isinstance(data, Mapping) else None
    known = dict(split) if isinstance(split, Mapping) else {}
    if known.get("keep_test") is False and known.get("folds") is None:
        known["keep_test"] = None
    return known


@cache
def usual_settings(model: str, optimizer: str, data: str) -> dict[str, Any]:
    """Return what the settings are where nobody has asked for anything: those that follow from these three among them.

    Args:
        model: name of the model.
        optimizer: name of the optimizer.
        data: name of the source of the images.
    """
    content = {**usual_training(model, optimizer), "data": read_defaults("data", data)}
    return dict(flatten_settings(content)) | {"model": "linear", "optimizer": "sgd"}


def usual_training(model: str, optimizer: str) -> dict[str, Any]:
    """Return the configuration, nested and without data, where nothing but model and optimizer is given."""
    content = {key: value for key, value in read_defaults("config").items() if key not in ("defaults", "hydra")}
    lr = read_defaults("optimizer", "lr", f"{optimizer}_{model}")
    optimizing = {**read_defaults("optimizer", optimizer), **lr}
    return {**content, "model": read_defaults("model", model), "optimizer": optimizing}


def override(key: str, value: Any) -> str:
    """Return a setting as one would write it for ``cxr-run``."""
    if value is None:
        return f"{key}=null"
    if isinstance(value, Mapping):
        value = f"{{{', '.join(f'{name}: {json.dumps(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        value = f"[{','.join(map(str, value))}]"
    return printable(f"{key}={str(value).lower() if isinstance(value, bool) else value}")


def overrides(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that somebody has asked for, or an older version had other defaults for."""
    settings = dict(flatten_settings(config))
    data = config.get("data")
    source = data.get("name") if isinstance(data, Mapping) else ""
    usual = usual_settings(str(settings.get("model")), str(settings.get("optimizer")), str(source))
    return {key: value for key, value in settings.items() if key not in usual or not _same(value, usual[key])}


def asked_for(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what somebody has asked for, images included: a key that is added later changes nothing at its default.

    Args:
        config: complete configuration of a run, nested.
    """
    data = config["data"]
    chosen = {"model": config["model"]["name"], "optimizer": config["optimizer"]["name"], "data": data["name"]}
    images = dict(_differing(data, read_defaults("data", data["name"]), "data."))
    return {**overrides(config), **images, **chosen, "seed": config["seed"]}


def _differing(config: Mapping[str, Any], usual: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        default = usual.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            yield from _differing(value, default, f"{prefix}{key}.")
        elif not _same(value, default):
            yield f"{prefix}{key}", value


def _same(value: Any, usual: Any) -> bool:
    return bool(value == usual) and isinstance(value, bool) == isinstance(usual, bool)


@cache
def read_defaults(*names: str) -> Mapping[str, Any]:
    """Return the content of a configuration file of this package; nothing where there is none of that name.

    Args:
        names: its folders and its name without ending, e.g. ``model``, ``cnn``.
    """
    path = files("cxr_runner.conf").joinpath(*names[:-1], f"{names[-1]}.yaml")
    if not all(name.replace("_", "").isalnum() for name in names) or not path.is_file():
        return {}
    content = yaml.safe_load(path.read_text("utf-8"))
    return content if isinstance(content, dict) else {}

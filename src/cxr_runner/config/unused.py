"""Settings that a model has no use for: refused, or set aside where they are meant for others."""

from collections.abc import Mapping
from typing import Any

from cxr_runner.base.errors import UserError
from cxr_runner.config.used import ABSENT, AS_USUAL, model_of
from cxr_runner.config.usual_settings import flatten_settings, override, usual_training

_WHY = {"logistic": "model=logistic is solved to its optimum, from all training images at once"}


def find_unused(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a nested configuration that its model has no use for and that are not as usual."""
    model = model_of(config)
    usual = dict(flatten_settings(_unused_part(usual_training(model, "sgd"), model)))
    given = dict(flatten_settings(_unused_part(config, model)))
    differing = {key: value for key, value in given.items() if key not in usual or value != usual[key]}
    return {"schedule.name" if key == "schedule" else key: value for key, value in differing.items()}


def refuse_unused(config: Mapping[str, Any]) -> None:
    """Refuse settings that the model of a nested configuration has no use for.

    Raises:
        UserError: there is one that is not as usual.
    """
    for key, value in find_unused(config).items():
        valid = f"{_WHY[model_of(config)]}, and has no {key}; in a sweep (-m) with other models it is for these"
        raise UserError.for_key(key, override("", value)[1:], valid)


def set_unused_aside(config: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a nested configuration in which the settings that its model has no use for are as usual."""
    model = model_of(config)
    return {**config, **_unused_part(usual_training(model, "sgd"), model)}


def say_set_aside(config: Mapping[str, Any]) -> str:
    """Say which settings are set aside for the model of a nested configuration; '' for none."""
    settings = [override(key, value) for key, value in find_unused(config).items()]
    return f"{', '.join(settings)}: not for model={model_of(config)}" if settings else ""


def _unused_part(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    keys = (*ABSENT.get(model, ()), *AS_USUAL.get(model, ()))
    return {key: config[key] for key in keys if key in config}

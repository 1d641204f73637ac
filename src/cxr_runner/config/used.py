"""Which settings a model has a use for: one that is solved to its optimum has no epochs and no optimizer."""

from collections.abc import Mapping
from typing import Any

ABSENT = {"logistic": ("epochs", "optimizer", "schedule", "early_stopping", "augment")}
"""By model, keys and groups of keys that its runs do not say of themselves."""

AS_USUAL = {"logistic": ("batch_size", "precision")}
"""Those that they say, since metrics go by batches, and that never have another value than the usual one."""


def without_unused(config: dict[str, Any]) -> dict[str, Any]:
    """Return a nested configuration without the groups and keys that its model has no use for."""
    absent = ABSENT.get(model_of(config), ())
    return {key: value for key, value in config.items() if key not in absent}


def is_used(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the model of a nested configuration has a use for a key, given in dotted form."""
    return key.split(".")[0] not in ABSENT.get(model_of(config), ())


def may_set(key: str, model: str) -> bool:
    """Whether a model has a use for another value of a key, given in dotted form, than the usual one."""
    return key.split(".")[0] not in (*ABSENT.get(model, ()), *AS_USUAL.get(model, ()))


def model_of(config: Mapping[str, Any]) -> str:
    """Return the name of the model of a nested configuration; '' where it says none."""
    model = config.get("model")
    return str(model.get("name")) if isinstance(model, Mapping) else ""

"""Configurations as finished runs keep them: what a run of any version says of its model and of its data."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from cxr_runner.base.errors import UserError
from cxr_runner.config.compose import compose
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.config.identity import LATER
from cxr_runner.config.schema import AnyModelConfig

_DATA: TypeAdapter[AnyDataConfig] = TypeAdapter(Annotated[AnyDataConfig, Field(discriminator="name")])
_MODEL: TypeAdapter[AnyModelConfig] = TypeAdapter(Annotated[AnyModelConfig, Field(discriminator="name")])
_LATER = {key.removeprefix("model."): value for key, value in LATER.items() if key.startswith("model.")}


def read_model_config(stored: Mapping[str, Any]) -> AnyModelConfig | None:
    """Return the configuration of a run's model; None where this version knows no such model.

    Args:
        stored: content of the run's ``config.yaml``.
    """
    model = stored.get("model")
    if not isinstance(model, Mapping):
        return None
    for later in ({}, _LATER):  # keys that the model may have gained since
        with suppress(ValidationError, TypeError):
            return _MODEL.validate_json(json.dumps({**later, **model}))
    return None


def read_data_config(stored: Mapping[str, Any]) -> AnyDataConfig:
    """Return the configuration of a run's data; keys that it lacks, of an older version, have their defaults.

    Args:
        stored: content of the run's ``config.yaml``.

    Raises:
        UserError: it holds none, or one that this version does not understand.
    """
    data = stored.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise UserError("its config.yaml says nothing of its data")
    with suppress(ValidationError, TypeError):
        return _DATA.validate_json(json.dumps(data))
    values = {f"data.{key}": value for key, value in data.items() if key != "name"}
    return compose({"data": data["name"], **values})[0].data

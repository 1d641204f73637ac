"""Types and ranges that several parts of the schema share."""

from typing import Annotated

from pydantic import ConfigDict, Field

Count = Annotated[int, Field(ge=1, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict:
    """What all parts of a configuration share: unknown keys, other types, NaN and infinity are refused."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

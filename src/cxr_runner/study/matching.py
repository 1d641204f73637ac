"""Which row of a study a run repeats: by its configuration, never by its name."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cxr_runner.study.published import Study


def match_row(config: Mapping[str, Any], study: Study) -> str | None:
    """Find the row of the study that a run repeats.

    Model, optimizer, loss, batch size and epochs must be the row's, and everything that the study left as it is must
    be so (no momentum, no schedule, no augmentation ...). Data, image size, seed, engine and device do not matter. A
    setting that the configuration does not have, because its model or optimizer has none, is as in the study.

    Args:
        config: configuration of a run, nested, as ``config.yaml`` of a run directory holds it.
        study: study that the row is one of.

    Returns:
        The id of the row; None for a run that is none of the study's.
    """
    given = dict(_flatten(config))
    if not all(same_setting(given.get(key, value), value) for key, value in study.conditions.items()):
        return None
    for row in study.rows:
        if all(key in given and same_setting(given[key], value) for key, value in row.settings().items()):
            return row.id
    return None


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def same_setting(given: object, value: object) -> bool:
    """Compare two settings: numbers up to the rounding of a float, and 0 is not false."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return type(given) is type(value) and given == value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isclose(given, value)
    except OverflowError:  # a whole number beyond all floats
        return False

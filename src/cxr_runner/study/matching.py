"""Which row of a study a run repeats: by its configuration, never by its name."""

from collections.abc import Mapping
from typing import Any

from cxr_runner.config.used import is_used
from cxr_runner.study.published import Study
from cxr_runner.study.study_rows import flatten_config, same_setting

_FILLED_IN = ("model.source",)


def match_row(config: Mapping[str, Any], study: Study) -> str | None:
    """Find the row of the study that a run repeats.

    Its settings must be the row's, and everything that the study left as it is must be so (no momentum, no schedule,
    no augmentation ...). Data, image size, seed, engine and device do not matter. A setting that the configuration
    does not have, because its model or optimizer has none, is as in the study; what a run fills in where nothing is
    given, the digest of a class's file, may be any. A run on a share of the training images repeats none.

    Args:
        config: configuration of a run, nested, as ``config.yaml`` of a run directory holds it.
        study: study that the row is one of.

    Returns:
        The id of the row; None for a run that is none of the study's.
    """
    given = flatten_config(config)
    if given.get("data.train_share", 1) != 1:
        return None
    for row in study.rows:
        others = {key: value for key, value in {**study.conditions, **row.shared}.items() if key not in _FILLED_IN}
        own = {key: value for key, value in row.own.items() if is_used(key, config)}
        if all(key in given and same_setting(given[key], value) for key, value in own.items()) and all(
            same_setting(given.get(key, value), value) for key, value in others.items() if key not in row.own
        ):
            return row.id
    return None

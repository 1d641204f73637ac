"""Settings that are given to all jobs of a sweep, and meant for some of their models."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from cxr_runner.config.unused import say_set_aside
from cxr_runner.config.used import model_of


def shares_settings(jobs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether settings may be meant for the models of other jobs: a setting of a sweep is given to all of them.

    Args:
        jobs: nested configurations; a launcher that calls jobs one by one shows only one.
    """
    if len(jobs) > 1:
        return len({model_of(job) for job in jobs}) > 1
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def name_set_aside(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each model whose jobs have settings that it has no use for; none where lines are not wanted.

    Args:
        jobs: nested configurations.
    """
    lines = [say_set_aside(job) for job in jobs if job.get("progress") != "none"]
    return list(dict.fromkeys(filter(None, lines)))

"""Settings that are given to all jobs of a sweep, and meant for some of their models."""

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_runner.config.unused import say_set_aside


def shares_settings(configs: Sequence[DictConfig]) -> bool:
    """Whether settings may be meant for the models of other jobs: a setting of a sweep is given to all of them.

    Args:
        configs: configurations of the jobs, as composed; a launcher that calls them one by one shows only one.
    """
    if len(configs) > 1:
        return len({str(OmegaConf.select(config, "model.name")) for config in configs}) > 1
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def name_set_aside(configs: Sequence[DictConfig]) -> list[str]:
    """Return a line for each model whose jobs have settings that it has no use for; none where lines are not wanted.

    Args:
        configs: configurations of the jobs, as composed.
    """
    lines = []
    for config in configs:
        try:
            values: Any = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException:  # said where it is checked
            continue
        if values.get("progress") != "none":
            lines.append(say_set_aside(values))
    return list(dict.fromkeys(filter(None, lines)))

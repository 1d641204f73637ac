"""Composes configurations in Python, from the same files and with the same messages as ``cxr-run``."""

from collections.abc import Sequence

from hydra import compose as compose_with_hydra
from hydra import initialize_config_module

from cxr_runner.config.messages import explain_composition
from cxr_runner.config.schema import RunConfig
from cxr_runner.config.validation import KEYS, from_hydra, split_seeds


def compose(overrides: Sequence[str]) -> list[RunConfig]:
    """Return the runs that arguments of ``cxr-run`` stand for, one for every seed.

    Args:
        overrides: arguments of the command; no sweeps.

    Raises:
        UserError: a mistake in them.
    """
    try:
        with initialize_config_module("cxr_runner.conf", version_base="1.3"):
            config = compose_with_hydra("config", list(overrides))
    except Exception as error:  # Hydra and OmegaConf raise many classes
        raise explain_composition(error, overrides, KEYS) from None
    return split_seeds(from_hydra(config))

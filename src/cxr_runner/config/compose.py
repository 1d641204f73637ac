"""Composes configurations in Python, from the same files and with the same messages as ``cxr-run``."""

from collections.abc import Mapping, Sequence
from typing import Any

from cxr_runner.base.errors import UserError
from cxr_runner.config.loading import make_loader
from cxr_runner.config.messages import explain_composition
from cxr_runner.config.schema import RunConfig
from cxr_runner.config.text import disguise_arguments, write_arguments
from cxr_runner.config.unused import set_unused_aside
from cxr_runner.config.validation import KEYS, from_values, plain_values, split_runs


def compose(
    overrides: Sequence[str] | Mapping[str, object] = (),
    settings: Mapping[str, object] | None = None,
    config_dir: str | None = None,
    *,
    set_aside: bool = False,
) -> list[RunConfig]:
    """Return the runs that arguments of ``cxr-run`` stand for, one for every split and seed.

    Args:
        overrides: arguments of the command, no sweeps; or values by their keys in dotted form, each as it is: text is
            taken verbatim, numbers, truth values, None and lists need no writing out.
        settings: further values by their keys, as the mapping.
        config_dir: folder of further configuration files, as ``--config-dir`` of ``cxr-run``.
        set_aside: whether settings that the model has no use for, being meant for others too, are set aside.

    Raises:
        UserError: a mistake in them.
    """
    if isinstance(overrides, str):
        raise UserError.for_key(
            "overrides", overrides, f"must be a list, [{overrides!r}], or a mapping of values by keys"
        )
    typed, values = ((), overrides) if isinstance(overrides, Mapping) else (overrides, {})
    values = {**values, **(settings or {})}
    arguments = [*disguise_arguments(typed), *write_arguments(values)]
    try:
        config = make_loader(config_dir=config_dir).compose(arguments)
    except Exception as error:  # Hydra and OmegaConf raise many classes
        raise explain_composition(error, [*typed, *_as_typed(values)], KEYS) from None
    values = plain_values(config)
    return split_runs(from_values(set_unused_aside(values) if set_aside else values))


def _as_typed(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return values as one would type them, for messages."""
    typed = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        typed += _as_typed(value, f"{key}.") if isinstance(value, Mapping) else [f"{key}={value}"]
    return typed

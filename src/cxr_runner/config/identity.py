"""Which runs are the same run.

A run's id is for ever: new seeds join the directories of old ones, and what is finished is not trained again. A key
that the schema gains later must therefore change no id while its value means what was always done; :data:`LATER` holds
these values.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cxr_runner.base.checksums import digest
from cxr_runner.config.used import without_unused

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.config.schema import RunConfig

LATER: dict[str, object] = {"model.freeze": None}
"""Keys, dotted, that the schema gained after the first ids were given, each with the value that means what was done
before. A key of a model, an optimizer or a schedule that is new altogether needs no entry: no old run has it."""

NEVER = frozenset(
    {
        "data",  # enters by the fingerprint of the images, labels and splits that came out
        "device",  # enters by its kind
        "engine",  # enters as the one that was chosen
        "force",
        "kernels",  # round differently, as different CPUs do; metrics.json names those that were used
        "name",
        "outputs",
        "plots",
        "progress",
        "save",
        "seed",  # names the directory inside that of the id
        "seeds",
    }
)
"""Keys and groups of keys whose text is no part of an id. Keys that matter only after training belong here; one that
the schema loses stays here, because the report computes ids anew from what finished runs say of themselves."""


def to_dict(config: "RunConfig") -> dict[str, Any]:
    """Return the configuration as nested plain dictionaries, in the order of the schema.

    What the model has no use for is not in it, so that neither an id nor a reader depends on it.
    """
    return without_unused(asdict(config))


def run_id(config: "RunConfig", data_fingerprint: str, device_type: str, engine: str, weights: str) -> str:
    """Return the identity of a run but for its seed: ten hex digits.

    Two configurations share an id only if nothing in them or in the files that they name can make the numbers differ.
    The data set enters by the fingerprint of the images that came out, and initial weights by their content, not by
    the paths that led to them, so that a moved folder or another machine still gets the same ids. Versions of this
    program and of its libraries are no part of the id; ``metrics.json`` names them.

    Args:
        config: configuration of the run.
        data_fingerprint: fingerprint of the images, labels and splits as trained on.
        device_type: ``cpu``, ``cuda`` or ``mps``; kinds of device round differently, numbers of devices do not.
        engine: ``pixel`` or ``gram``, the one that ``auto`` stands for; they round differently.
        weights: digest of the file of initial weights, '' where there is none.
    """
    return run_id_of_dict(to_dict(config), data_fingerprint, device_type, engine, weights)


def device_type_of(metrics: Mapping[str, Any]) -> str:
    """Return the ``device_type`` of :func:`run_id`, of a run as its ``metrics.json`` names the device."""
    return str(metrics["device"]).partition(" ")[0].partition(":")[0]


def run_id_of_dict(config: dict[str, Any], data_fingerprint: str, device_type: str, engine: str, weights: str) -> str:
    """Return what :func:`run_id` returns, of a configuration as :func:`to_dict` gives it and ``config.yaml`` holds."""
    identity = select_identity(config)
    if weights:
        identity["model"]["weights"] = weights
    identity |= {"data": data_fingerprint, "device": device_type, "engine": engine}
    return digest(json.dumps(identity, sort_keys=True), 10)


def select_identity(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return what enters an id.

    That is a configuration without :data:`NEVER`, without the keys of :data:`LATER` whose value means what was
    always done, and without the groups that this leaves empty.
    """
    kept: dict[str, Any] = {}
    for key, value in config.items():
        dotted = prefix + key
        if dotted in NEVER or (dotted in LATER and value == LATER[dotted]):
            continue
        if not isinstance(value, dict):
            kept[key] = value
        elif rest := select_identity(value, f"{dotted}."):
            kept[key] = rest
    return kept

"""Which runs are the same run."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from cxr_runner.config.schema import RunConfig


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as nested plain dictionaries, in the order of the schema."""
    return asdict(config)


def run_id(config: RunConfig, data_fingerprint: str, device_type: str, engine: str, weights: str) -> str:
    """Return the identity of a run but for its seed: ten hex digits.

    Two configurations share an id only if nothing in them or in the files that they name can make the numbers differ.
    The data set enters by the fingerprint of the images that came out, and initial weights by their content, not by
    the paths that led to them, so that a moved folder or another machine still finds its runs. Versions of this
    program and of its libraries are no part of the id; ``metrics.json`` names them.

    Args:
        config: the configuration.
        data_fingerprint: of the images, labels and splits as trained on.
        device_type: ``cpu``, ``cuda`` or ``mps``; kinds of device round differently, numbers of devices do not.
        engine: ``pixel`` or ``gram``, the one that ``auto`` stands for; they round differently.
        weights: digest of the file of initial weights, '' where there is none.
    """
    identity = to_dict(config)
    for key in ("seed", "seeds", "outputs", "name", "force", "progress"):
        del identity[key]
    if weights:
        identity["model"]["weights"] = weights
    del identity["model"]["sgd_lr"]  # already in optimizer.lr, where it is used
    identity |= {"data": data_fingerprint, "device": device_type, "engine": engine}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]

"""``gram.safetensors``: where a finished run in Gram space ended, in coefficients of its training images.

They are far below a megabyte for most models, where the weights that they stand for may be 16. From them a longer run
goes on, and with the images at hand they give the weights back.
"""

import json
from importlib.metadata import version
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.files import replacing
from cxr_runner.training.loop import Trainer

_FACTS = "cxr_runner"


def write_final_state(files: RunDir, trainer: Trainer, kernels: str | None) -> None:
    """Keep where a run ended.

    Args:
        files: the run directory.
        trainer: after its last epoch.
        kernels: which have computed it, where there is a choice.
    """
    state = trainer.backend.state_dict(trainer.member)
    tensors = {f"{group}.{name}": value for group, values in state.items() for name, value in values.items()}
    facts = {
        "seed": trainer.settings.seed,  # of the first weights, to which the coefficients are added
        "best": {"epoch": trainer.best.epoch, "score": trainer.best.score},
        "versions": code_versions(kernels),
    }
    metadata = {_FACTS: json.dumps(facts)}  # in one piece: safetensors writes several in any order
    with replacing(files.gram) as temporary:
        temporary.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}, metadata))


def read_final_state(files: RunDir) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read where a run ended.

    Returns:
        What the backend's ``load_state_dict`` takes; and the seed of its first weights, its best epoch and the
        ``versions`` that it was trained by.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not what a run writes.
    """
    state: dict[str, dict[str, torch.Tensor]] = {"trained": {}, "velocity": {}}
    try:
        with safe_open(files.gram, "pt") as content:
            facts: dict[str, Any] = json.loads(content.metadata()[_FACTS])
            for key in list(content.keys()):
                group, _, name = key.partition(".")
                state[group][name] = content.get_tensor(key)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{files.gram} is not what a run writes ({error})") from None
    return state, facts


def code_versions(kernels: str | None) -> str:
    """Name what decides how a run rounds: versions, and kernels other than torch's."""
    own = f", {kernels} kernels" if kernels not in (None, "torch") else ""
    return f"cxr-runner {version('cxr-runner')}, torch {torch.__version__}{own}"

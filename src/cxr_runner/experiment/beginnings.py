"""Where a finished run in Gram space stood: kept beside its results, so that a longer run goes on from there.

A run of 20 epochs is, epoch for epoch, one of 10 that goes on, wherever the learning rate does not depend on how many
there will be. What is kept are coefficients of the training images, not pixels: far below a megabyte for most models.
"""

import csv
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.files import replacing
from cxr_runner.config.identity import run_id_of_dict, to_dict
from cxr_runner.experiment.plan import PlannedRun
from cxr_runner.training.loop import Trainer

_FACTS = "cxr_runner"


@dataclass(frozen=True)
class Beginning:
    """A finished run that is the beginning of a longer one.

    Attributes:
        epochs: how many it has trained.
        files: its directory.
        state: as :meth:`Trainer.state_dict` gave it.
    """

    epochs: int
    files: RunDir
    state: dict[str, Any]


def write_gram_state(files: RunDir, trainer: Trainer) -> None:
    """Keep where a run in Gram space ended.

    Args:
        files: the run directory.
        trainer: after its last epoch.
    """
    state = trainer.backend.state_dict(trainer.member)
    tensors = {f"{group}.{name}": value for group, values in state.items() for name, value in values.items()}
    facts = {
        "seed": trainer.settings.seed,  # of the first weights, to which the coefficients are added
        "best": {"epoch": trainer.best.epoch, "score": trainer.best.score},
        "versions": _versions(),
    }
    metadata = {_FACTS: json.dumps(facts)}  # in one piece: safetensors writes several in any order
    with replacing(files.gram) as temporary:
        temporary.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}, metadata))


def find_beginning(run: PlannedRun) -> Beginning | None:
    """Return the longest finished run that a run goes on from; None where there is none that is intact."""
    config = run.config
    if run.choice.engine != "gram" or config.force or config.schedule.name != "constant":
        return None
    if config.early_stopping.restore_best:  # the others then ended with the weights of another epoch than their last
        return None
    finished = {path.name.rpartition("-")[2]: path for path in run.files.path.parents[1].iterdir()}
    values = to_dict(config)
    for epochs in range(config.epochs - 1, config.schedule.warmup_epochs, -1):
        shorter = run_id_of_dict(values | {"epochs": epochs}, run.dataset.fingerprint, run.device.type, "gram", "")
        if shorter in finished:
            files = RunDir(finished[shorter] / run.files.path.name)
            if state := _read_state(files):
                return Beginning(epochs, files, state)
    return None


def _read_state(files: RunDir) -> dict[str, Any] | None:
    """Read where a run ended; None where it did not, was altered, or versions were others, which may round."""
    if not (files.gram.is_file() and files.complete()) or files.altered():
        return None
    backend: dict[str, dict[str, Tensor]] = {"trained": {}, "velocity": {}}
    try:
        with safe_open(files.gram, "pt") as content:
            facts = json.loads(content.metadata()[_FACTS])
            for key in list(content.keys()):
                group, _, name = key.partition(".")
                backend[group][name] = content.get_tensor(key)
    except (OSError, SafetensorError):
        return None
    if facts["versions"] != _versions():
        return None
    with files.history.open(newline="") as lines:
        history = [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
            for row in csv.DictReader(lines)
        ]
    return {"history": history, "best": facts["best"] | {"snapshot": None}, "backend": backend}


def _versions() -> str:
    return f"cxr-runner {version('cxr-runner')}, torch {torch.__version__}"

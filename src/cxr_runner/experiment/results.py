"""What a finished run leaves: metrics, predictions and weights."""

import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.files import replacing, write_csv, write_json
from cxr_runner.base.machine import describe_machine
from cxr_runner.data.dataset import Dataset
from cxr_runner.training.diagnosis import explain_collapse
from cxr_runner.training.formulas import compute_metrics, is_collapsed
from cxr_runner.training.loop import Trainer

EVALUATED = ("val", "test")


def write_results(
    files: RunDir,
    dataset: Dataset,
    trainer: Trainer,
    logits: dict[str, Tensor],
    weights: dict[str, Tensor] | None,
    batch_size: int,
    facts: dict[str, Any],
) -> None:
    """Write the files of a finished run, ``metrics.json`` last; its history is there already.

    Args:
        files: the run directory.
        dataset: what was trained on.
        trainer: after its last epoch.
        logits: for each of :data:`EVALUATED`, float32 [images].
        weights: float32, under the plain names of the module; None where the run keeps them in another form.
        batch_size: batch size of the evaluation.
        facts: what else ``metrics.json`` is to say, ready for JSON; ``diagnosis`` is one of them.
    """
    with ThreadPoolExecutor(1) as aside:  # megabytes go to the disk while metrics are computed
        written = aside.submit(_write_weights, files, weights)
        write_csv(files.predictions, pd.concat([_predictions(split, dataset, logits[split]) for split in EVALUATED]))
        metrics: dict[str, Any] = {
            split: compute_metrics(logits[split], torch.tensor(dataset.labels(split)), batch_size)
            for split in EVALUATED
        }
        written.result()
    metrics |= {
        "collapsed": (collapsed := is_collapsed(torch.cat(list(logits.values())))),
        "collapse_reason": explain_collapse(**facts["diagnosis"]) if collapsed else None,
        "epochs_trained": len(trainer.history),
        "best_epoch": trainer.best.epoch,
        "stopped_early": trainer.stopped_early,
        "train_seconds": sum(epoch.seconds for epoch in trainer.history),
        **facts,
        "data_fingerprint": dataset.fingerprint,
        "synthetic": dataset.about.synthetic,
    }
    write_json(files.metrics, metrics)


def _write_weights(files: RunDir, weights: dict[str, Tensor] | None) -> None:
    if weights is None:
        files.model.unlink(missing_ok=True)  # of an earlier training
    else:
        with replacing(files.model) as temporary:
            temporary.write_bytes(save(weights))


def _predictions(split: str, dataset: Dataset, logits: Tensor) -> pd.DataFrame:
    probabilities = logits.double().sigmoid()
    columns = dataset.columns(split).reset_index(drop=True)
    predictions = pd.DataFrame(
        {
            "split": split,
            "name": dataset.names(split),
            "patient": dataset.patients(split),
            "label": dataset.labels(split),
            "logit": logits.numpy(),
            "probability": probabilities.numpy(),
        }
    )
    return pd.concat([predictions, columns], axis=1)


def describe_origin() -> dict[str, Any]:
    """Return the versions and the commit of the code that runs, and the machine that it runs on, ready for JSON."""
    return {"machine": describe_machine(), "versions": _versions(), "git_commit": _git_commit()}


def _versions() -> dict[str, str]:
    packages = ("cxr-runner", "torch", "torchvision", "numpy", "pillow")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def _git_commit() -> str | None:
    """Return the commit of the checkout that this program runs from, with ``+`` behind it for uncommitted changes."""
    checkout = Path(__file__).parents[3]
    if not (checkout / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()

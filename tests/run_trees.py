"""Run directories as ``cxr-run`` leaves them, without training anything."""

from pathlib import Path
from typing import Any

import pandas as pd

from cxr_runner.artifacts.rundir import RunDir, run_dir
from cxr_runner.base.files import write_csv, write_json, write_yaml

PHANTOM = {
    "title": "synthetic phantom data",
    "citation": "Drawn by a generator.",
    "licence": "none needed",
    "synthetic": True,
    "fingerprint": "f" * 16,
}
HOSPITAL = {
    "title": "Ward 7",
    "citation": "Nobody et al., 2020",
    "licence": "CC BY 4.0",
    "synthetic": False,
    "fingerprint": "0" * 16,
}
CONFIG = {
    "data": {"name": "phantom", "image_size": 64},
    "model": {"name": "linear", "layers": 2, "hidden": 10, "sgd_lr": 1e-4},
    "optimizer": {"name": "sgd", "lr": 1e-4, "nesterov": False},
    "loss": {"pos_weight": None},
    "epochs": 3,
    "batch_size": 32,
    "seed": 0,
    "device": "auto",
    "outputs": "outputs",
}


def split_metrics(tp: int, fp: int, fn: int, tn: int, auroc: float = 0.9) -> dict[str, float | int]:
    """Return the metrics of a split with the given confusion counts."""
    n = tp + fp + fn + tn
    return {
        "accuracy": (tp + tn) / n,
        "accuracy_batch_mean": min(1.0, (tp + tn) / n + 0.001),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "auroc": auroc,
        "auprc": auroc,
        "brier": 0.1,
        "ece": 0.05,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        "n": n,
    }


def run_metrics(tp: int = 70, fp: int = 5, fn: int = 4, tn: int = 21, **changes: Any) -> dict[str, Any]:
    """Return a whole ``metrics.json``; the counts are those of the test split."""
    return {
        "val": split_metrics(60, 10, 10, 20, auroc=0.8),
        "test": split_metrics(tp, fp, fn, tn),
        "collapsed": False,
        "train_seconds": 2.0,
        "engine": "pixel",
        "device": "cpu (2 threads)",
        "pos_weight": None,
        **changes,
    }


def history(num_epochs: int = 3, val_loss: float = 0.6) -> pd.DataFrame:
    """Return a history."""
    epochs = range(1, num_epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "train_loss": [0.7 / epoch for epoch in epochs],
            "train_accuracy": [1 - 0.3 / epoch for epoch in epochs],
            "val_loss": [val_loss / epoch for epoch in epochs],
            "val_accuracy": [1 - 0.4 / epoch for epoch in epochs],
            "lr": 1e-4,
            "seconds": 0.5,
        }
    )


def write_run(
    outputs: Path,
    name: str = "linear",
    run_id: str = "0123456789",
    seed: int = 0,
    *,
    config: dict[str, Any] = CONFIG,
    metrics: dict[str, Any] | None = None,
    data: dict[str, Any] = PHANTOM,
    status: dict[str, Any] | None = None,
) -> RunDir:
    """Write a run directory, that of a finished run unless ``status`` says otherwise."""
    files = run_dir(outputs, name, run_id, seed)
    files.path.mkdir(parents=True)
    write_yaml(files.config, config | {"seed": seed})
    write_json(files.data, data)
    write_csv(files.history, history())
    write_json(files.metrics, metrics or run_metrics())
    write_json(files.status, status or {"state": "done"})
    return files

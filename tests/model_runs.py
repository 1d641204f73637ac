"""Two folds of a small linear model on phantoms: what the tests of ``cxr-model`` use and hand on."""

from pathlib import Path

import cxr_runner
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset

PHANTOM = {"data.num_images": 80, "data.image_size": 64, "data.split.folds": 2}
TRAINING = {
    "epochs": 12,
    "batch_size": 8,
    "loss.pos_weight": "balanced",
    "engine": "pixel",
    "device": "cpu",
    "optimizer.lr": 0.003,
    "optimizer.momentum": 0.9,
    "progress": "none",
}


def train_folds(outputs: Path) -> list[Path]:
    """Train both folds; return their directories, that of the first fold first."""
    cxr_runner.run({**PHANTOM, **TRAINING, "outputs": outputs})
    return folds_of(outputs)


def folds_of(outputs: Path) -> list[Path]:
    """Return the directories of both folds, that of the first one first."""
    runs = outputs.glob("runs/*/seed=0")
    return sorted(runs, key=lambda run: "fold: 0" not in (run / "config.yaml").read_text("utf-8"))


def first_fold() -> Dataset:
    """Return the images of the first fold."""
    return open_dataset(compose({**PHANTOM, "data.split.fold": 0})[0].data, Reporter())

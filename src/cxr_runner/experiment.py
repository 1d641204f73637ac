"""One run, end to end: data, model, training, and everything it leaves behind."""

import os
import platform
import subprocess
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import save
from torch import Tensor, nn

from cxr_runner import artifacts
from cxr_runner.artifacts import RunDir, replacing, run_dir, write_csv, write_json, write_yaml
from cxr_runner.augment import Augment
from cxr_runner.config import RunConfig, run_id, to_dict
from cxr_runner.dataset import Dataset, open_dataset
from cxr_runner.devices import choose_device, describe_device, set_determinism
from cxr_runner.errors import RunFailedError, UserError
from cxr_runner.figures import plot_confusion, plot_curves, save_figure
from cxr_runner.metrics import compute_metrics, is_constant
from cxr_runner.models import build_model, describe_model
from cxr_runner.pixel import PixelBackend, PixelFeed
from cxr_runner.progress import Reporter, make_reporter
from cxr_runner.summary import print_results
from cxr_runner.train import Subset, Trainer, TrainSettings

_EVALUATED = ("val", "test")


def run_experiment(config: RunConfig) -> float:
    """Train and evaluate one run, unless it is finished already.

    A finished run is not trained again (unless ``force``), a cut-off one goes on from its last epoch.

    Returns:
        The validation accuracy, for sweepers that optimise.

    Raises:
        UserError: the configuration asks for something that is not there.
        RunFailedError: training failed; the run directory says why.
    """
    reporter = make_reporter(config.progress)
    device = choose_device(config.device)
    model = build_model(config.model, config.data.image_size, config.seed)
    outputs = _writable(Path(config.outputs).expanduser().absolute())
    dataset = open_dataset(config.data, reporter)
    identity = run_id(config, dataset.fingerprint, device.type)
    files = run_dir(outputs, config.name or config.model.name, identity, config.seed)
    reporter.line(describe_data(dataset))
    files.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(files.lock):  # a second process with the same run waits, and then finds it done
        if files.state() == "done" and not config.force:
            reporter.line(f"already done (force=true trains it anew): {files.path}")
        else:
            with _recorded(files, config):
                _train_and_evaluate(config, dataset, model, device, files, reporter)
    metrics = artifacts.read_json(files.metrics)
    assert metrics is not None
    print_results(metrics, dataset.about, files.path, reporter)
    return float(metrics["val"]["accuracy"])


def describe_data(dataset: Dataset) -> str:
    """Say in one line which data a run uses."""
    labels = dataset.table["label"]
    negative, positive = dataset.class_names
    counts = f"{(labels == 1).sum():,} {positive} / {(labels == 0).sum():,} {negative} ({labels.mean():.1%} positive)"
    splits = ", ".join(f"{split} {len(dataset.rows(split)):,}" for split in ("train", "val", "test"))
    dropped = [
        f"{len(table):,} {what}"
        for table, what in ((dataset.duplicates, "duplicates dropped"), (dataset.unreadable, "unreadable skipped"))
        if len(table)
    ]
    parts = [f"{len(labels):,} images", counts, splits, *dropped, f"fingerprint {dataset.fingerprint}"]
    return f"data: {dataset.about.title}: " + "; ".join(parts)


def resolve_pos_weight(pos_weight: float | str | None, labels: Tensor) -> float | None:
    """Return the weight of the positive class; ``balanced`` is negatives / positives of the training labels."""
    if pos_weight == "balanced":
        return float((labels == 0).sum() / (labels == 1).sum())
    return None if pos_weight is None else float(pos_weight)


def _train_and_evaluate(
    config: RunConfig,
    dataset: Dataset,
    model: nn.Module,
    device: torch.device,
    files: RunDir,
    reporter: Reporter,
) -> None:
    set_determinism(config.deterministic)
    reporter.line(f"model: {describe_model(config.model, model)}")
    reporter.line(f"device: {describe_device(device)}, {config.precision}; engine: pixel")
    subsets = {split: _subset(dataset, split) for split in ("train", "val", "test")}
    pos_weight = resolve_pos_weight(config.loss.pos_weight, subsets["train"].labels)
    augment = Augment(config.augment) if config.augment.enabled else None
    feed = PixelFeed(dataset.images, device)
    backend = PixelBackend(model, feed, config.optimizer, pos_weight, config.precision, augment)
    settings = TrainSettings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        lr=config.optimizer.lr,
        schedule=config.schedule,
        early_stopping=config.early_stopping,
        pos_weight=pos_weight,
    )
    trainer = Trainer(backend, subsets["train"], subsets["val"], settings)
    write_json(files.data, dataset.describe())
    _fit(trainer, files, reporter)
    logits = {split: backend.logits(subsets[split].rows, config.batch_size) for split in _EVALUATED}
    facts = {
        "engine": backend.name,
        "device": describe_device(device),
        "precision": config.precision,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pos_weight": pos_weight,
    }
    _write_results(config, dataset, trainer, logits, facts, files)


def _subset(dataset: Dataset, split: str) -> Subset:
    return Subset(torch.tensor(dataset.rows(split)), torch.tensor(dataset.labels(split)).float())


def _fit(trainer: Trainer, files: RunDir, reporter: Reporter) -> None:
    """Train all epochs, leaving history and checkpoint after each."""
    if files.checkpoint.exists():
        trainer.load_state_dict(torch.load(files.checkpoint, weights_only=True))
        reporter.line(f"resuming after epoch {len(trainer.history)}")
    first_epoch = len(trainer.history) + 1
    with reporter.training(trainer.settings.epochs, trainer.num_batches, first_epoch) as shown:
        while not trainer.finished:
            shown.epoch(trainer.run_epoch(shown.batch))
            write_csv(files.history, pd.DataFrame([asdict(epoch) for epoch in trainer.history]))
            with replacing(files.checkpoint) as temporary:
                torch.save(trainer.state_dict(), temporary)
    trainer.finish()


def _write_results(
    config: RunConfig,
    dataset: Dataset,
    trainer: Trainer,
    logits: dict[str, Tensor],
    facts: dict[str, Any],
    files: RunDir,
) -> None:
    labels = {split: torch.tensor(dataset.labels(split)) for split in _EVALUATED}
    metrics: dict[str, Any] = {
        split: compute_metrics(logits[split], labels[split], config.batch_size) for split in _EVALUATED
    }
    metrics |= {
        "collapsed": is_constant(torch.cat(list(logits.values()))),
        "epochs_trained": len(trainer.history),
        "best_epoch": trainer.best.epoch,
        "stopped_early": trainer.stopped_early,
        "train_seconds": sum(epoch.seconds for epoch in trainer.history),
        **facts,
        "data_fingerprint": dataset.fingerprint,
        "synthetic": dataset.about.synthetic,
        "versions": _versions(),
        "git_commit": _git_commit(),
    }
    predictions = [_predictions(split, dataset, logits[split]) for split in _EVALUATED]
    write_csv(files.predictions, pd.concat(predictions))
    with replacing(files.model) as temporary:
        temporary.write_bytes(save(trainer.backend.weights()))
    history = pd.DataFrame([asdict(epoch) for epoch in trainer.history])
    title = f"{files.path.parent.name}, seed {config.seed} — {dataset.about.title}"
    save_figure(plot_curves(history, title), files.curves)
    save_figure(plot_confusion(metrics["test"], dataset.class_names, title), files.confusion)
    write_json(files.metrics, metrics)


def _predictions(split: str, dataset: Dataset, logits: Tensor) -> pd.DataFrame:
    probabilities = logits.double().sigmoid()
    return pd.DataFrame(
        {
            "split": split,
            "name": dataset.names(split),
            "label": dataset.labels(split),
            "logit": logits.numpy(),
            "probability": probabilities.numpy(),
        }
    )


@contextmanager
def _recorded(files: RunDir, config: RunConfig) -> Iterator[None]:
    """Keep ``status.json`` true while a run is under way."""
    files.path.mkdir(parents=True, exist_ok=True)
    if config.force:
        files.checkpoint.unlink(missing_ok=True)
    write_yaml(files.config, to_dict(config))
    status: dict[str, Any] = {"state": "running", "started": _now(), "host": platform.node()}
    write_json(files.status, status)
    start = time.perf_counter()
    try:
        yield
    except BaseException as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        status |= {"state": "failed", "error": reason.splitlines()[0], "traceback": traceback.format_exc()}
        write_json(files.status, status | {"ended": _now(), "seconds": time.perf_counter() - start})
        if isinstance(error, (KeyboardInterrupt, SystemExit, UserError)):
            raise
        raise RunFailedError(f"{status['error']} ({files.path})") from error
    write_json(files.status, status | {"state": "done", "ended": _now(), "seconds": time.perf_counter() - start})
    files.checkpoint.unlink(missing_ok=True)


def _writable(outputs: Path) -> Path:
    """Check, before hours of work, that the outputs tree can be written."""
    try:
        outputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError.for_key("outputs", outputs, f"cannot be made ({error.strerror})") from None
    if not os.access(outputs, os.W_OK):
        raise UserError.for_key("outputs", outputs, "cannot be written to")
    return outputs


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    packages = ("cxr-runner", "torch", "torchvision", "torchmetrics", "numpy", "pillow")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def _git_commit() -> str | None:
    """Return the commit of this program's own checkout, with ``+`` behind it for uncommitted changes."""
    checkout = Path(__file__).parents[2]
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

"""One run, end to end: data, model, training, and everything it leaves behind."""

import os
import platform
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor, nn

from cxr_runner import artifacts
from cxr_runner.artifacts import RunDir, replacing, run_dir, write_csv, write_json, write_yaml
from cxr_runner.config import RunConfig
from cxr_runner.dataset import Dataset, open_dataset
from cxr_runner.devices import choose_device, describe_device, keep_freed_memory, set_determinism
from cxr_runner.engine import Choice, build_backend, choose_engine, largest_disagreement
from cxr_runner.errors import RunFailedError, UserError, user_path
from cxr_runner.identity import run_id, to_dict
from cxr_runner.models import build_model, describe_model, initial_weights_digest
from cxr_runner.progress import Reporter, make_reporter
from cxr_runner.results import EVALUATED, describe_origin, write_results
from cxr_runner.summary import print_results
from cxr_runner.train import Subset, Trainer, TrainSettings

_TOLERANCE = 1e-3  # of the saved model's logits against the engine's, relative; float32 rounding stays far below


@dataclass(frozen=True)
class _Job:
    """What one run is made of."""

    config: RunConfig
    dataset: Dataset
    model: nn.Module
    device: torch.device
    choice: Choice
    files: RunDir
    reporter: Reporter


def run_experiment(config: RunConfig) -> float:
    """Train and evaluate one run, unless it is finished already.

    A finished run is not trained again (unless ``force``), a cut-off one goes on from its last epoch.

    Returns:
        The validation accuracy, for sweepers that optimise.

    Raises:
        UserError: the configuration asks for something that is not there.
        RunFailedError: training failed; the run directory says why.
    """
    keep_freed_memory()
    reporter = make_reporter(config.progress)
    device = choose_device(config.device)
    model = build_model(config.model, config.data.image_size, config.seed)
    outputs = _writable(user_path("outputs", config.outputs))
    dataset = open_dataset(config.data, reporter)
    choice = choose_engine(config, dataset, device)
    identity = run_id(config, dataset.fingerprint, device.type, choice.engine, initial_weights_digest(config.model))
    files = run_dir(outputs, config.name or config.model.name, identity, config.seed)
    reporter.line(describe_data(dataset))
    with _locked(files):
        if files.complete() and not config.force:
            reporter.line(f"already done (force=true trains it anew): {files.path}")
        else:
            with _recorded(files, config):
                _train_and_evaluate(_Job(config, dataset, model, device, choice, files, reporter))
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


def _train_and_evaluate(job: _Job) -> None:
    config, reporter = job.config, job.reporter
    set_determinism(config.deterministic)
    reporter.line(f"model: {describe_model(config.model, job.model)}")
    engine = f"engine: {job.choice.engine} ({job.choice.reason})"
    reporter.line(f"device: {describe_device(job.device)}, {config.precision}; {engine}")
    write_json(job.files.data, job.dataset.describe())
    origin = describe_origin()  # now, because the code on disk may change while the run goes on
    subsets = {split: _subset(job.dataset, split) for split in ("train", "val", "test")}
    pos_weight = resolve_pos_weight(config.loss.pos_weight, subsets["train"].labels)
    backend = build_backend(job.choice.engine, config, job.dataset, job.model, pos_weight, job.device, reporter)
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
    _fit(trainer, job.files, reporter)
    logits = {split: backend.logits(subsets[split].rows, config.batch_size).float() for split in EVALUATED}
    weights = backend.weights()
    facts = origin | {
        "engine": job.choice.engine,
        "engine_reason": job.choice.reason,
        "engine_disagreement": _check_weights(job, weights, logits),
        "device": describe_device(job.device),
        "precision": config.precision,
        "num_parameters": sum(parameter.numel() for parameter in job.model.parameters()),
        "pos_weight": pos_weight,
    }
    title = f"{job.files.path.parent.name}, seed {config.seed} — {job.dataset.about.title}"
    write_results(job.files, job.dataset, trainer, logits, weights, facts, title)


def _check_weights(job: _Job, weights: dict[str, Tensor], logits: dict[str, Tensor]) -> float | None:
    """Return how far the logits of the weights to be saved are from the engine's; None where they are its own.

    Raises:
        RunFailedError: farther than rounding explains.
    """
    if job.choice.engine == "pixel":
        return None
    job.model.load_state_dict(weights)
    rows = torch.cat([torch.tensor(job.dataset.rows(split)) for split in logits])
    own = torch.cat(list(logits.values()))
    disagreement = largest_disagreement(job.model, job.dataset, rows, own, job.device)
    if not disagreement <= _TOLERANCE * (1 + own.abs().max().item()):  # so that nan fails too
        raise RunFailedError(
            f"the saved weights give logits that differ by {disagreement:.2g} from those of engine=gram; "
            "the training has left the range of float32, try a smaller optimizer.lr or engine=pixel"
        )
    return disagreement


def _subset(dataset: Dataset, split: str) -> Subset:
    return Subset(torch.tensor(dataset.rows(split)), torch.tensor(dataset.labels(split)).float())


def _fit(trainer: Trainer, files: RunDir, reporter: Reporter) -> None:
    """Train all epochs, leaving history and checkpoint after each."""
    if files.checkpoint.exists():
        try:
            trainer.load_state_dict(torch.load(files.checkpoint, map_location="cpu", weights_only=True))
        except (OSError, MemoryError, torch.OutOfMemoryError):  # no fault of the file
            raise
        except Exception as error:  # garbage may raise anything
            files.checkpoint.replace(files.checkpoint.with_name("checkpoint.damaged.pt"))
            raise RunFailedError(
                "checkpoint.pt cannot be used and is now called checkpoint.damaged.pt; the same command starts over"
            ) from error
        reporter.line(f"resuming after epoch {len(trainer.history)}")
    first_epoch = len(trainer.history) + 1
    with reporter.training(trainer.settings.epochs, trainer.num_batches, first_epoch) as shown:
        while not trainer.finished:
            epoch = trainer.run_epoch(shown.batch)
            write_csv(files.history, pd.DataFrame([asdict(epoch) for epoch in trainer.history]))
            with replacing(files.checkpoint) as temporary:
                torch.save(trainer.state_dict(), temporary)
            shown.epoch(epoch)  # only now: an epoch that a person has read of is never lost
    trainer.finish()


@contextmanager
def _locked(files: RunDir) -> Iterator[None]:
    """Make the run directory and keep other processes out: one with the same run waits, and then finds it done."""
    lock = FileLock(files.lock)
    try:
        files.path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise UserError.for_key("outputs", files.path, f"cannot be written to ({error.strerror})") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _recorded(files: RunDir, config: RunConfig) -> Iterator[None]:
    """Keep ``status.json`` true while a run is under way."""
    if files.complete():  # force: train a finished run anew; one that was cut off goes on all the same
        files.checkpoint.unlink(missing_ok=True)
    write_yaml(files.config, to_dict(config))
    status: dict[str, Any] = {"state": "running", "started": _now(), "host": platform.node()}
    write_json(files.status, status)
    start = time.perf_counter()
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt | BrokenPipeError)
        reason = "interrupted" if interrupted else str(error) or type(error).__name__
        status |= {"state": "failed", "error": reason.splitlines()[0], "traceback": traceback.format_exc()}
        with suppress(OSError):  # a full disk must not hide what went wrong
            write_json(files.status, status | {"ended": _now(), "seconds": time.perf_counter() - start})
        if interrupted or isinstance(error, SystemExit | UserError):
            raise
        raise RunFailedError(f"{status['error']} ({files.path})") from error
    write_json(files.status, status | {"state": "done", "ended": _now(), "seconds": time.perf_counter() - start})
    files.checkpoint.unlink(missing_ok=True)


def _writable(outputs: Path) -> Path:
    """Check, before hours of work and without leaving anything, that the outputs tree can be written."""
    nearest = next(folder for folder in (outputs, *outputs.parents) if os.path.exists(folder))
    if not nearest.is_dir():
        raise UserError.for_key("outputs", outputs, f"cannot be made, {nearest} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError.for_key("outputs", outputs, f"cannot be written to, {nearest} forbids it")
    return outputs


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

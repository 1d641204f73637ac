"""One stack of runs, end to end: runs of one shape on the same data, trained together, each left in its directory."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from cxr_runner.artifacts.status import Status
from cxr_runner.base.errors import DivergedError, RunFailedError
from cxr_runner.base.files import clear_temporaries, write_json
from cxr_runner.base.progress import Reporter
from cxr_runner.config.identity import to_dict
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.dataset import Dataset
from cxr_runner.experiment.member import Job, Member, enough_memory, explained, locked, write_history
from cxr_runner.experiment.results import EVALUATED, describe_origin, write_results
from cxr_runner.models.build import build_model, describe_model, rectified_layers
from cxr_runner.training.backend import Backend
from cxr_runner.training.devices import describe_device, lacks_bf16, moved, num_processes, set_determinism
from cxr_runner.training.diagnosis import diagnose, diagnosed_at_once, largest_disagreements, sample_images, spread_out
from cxr_runner.training.engines import build_backend
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.loop import Subset, Trainer, TrainSettings, train_epoch

_TOLERANCE = 1e-3  # of the saved model's logits against the engine's, relative; float32 rounding stays far below
_CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints


def train_stack(jobs: Sequence[Job], space: GramSpace | None, reporter: Reporter) -> dict[Job, RunFailedError]:
    """Train runs together that share data, device, engine, shape of the model, batch size and number of epochs.

    A finished run is not trained again (unless ``force``), a cut-off one goes on from its last checkpoint, and one that
    fails does not touch the others.

    Args:
        jobs: the runs; several only for the Gram engine.
        space: the images in Gram space, for that engine.
        reporter: shown what goes on.

    Returns:
        Those that failed; their directories say why.

    Raises:
        UserError: the directories cannot be made.
        RunFailedError: a disk is full, or failed; all runs of the stack go on from where they were.
    """
    with ExitStack() as locks, explained(jobs[0].files):
        # In one order everywhere, so that two processes with overlapping stacks cannot wait for each other.
        for job in sorted(jobs, key=lambda job: job.files.path):
            locks.enter_context(locked(job.files, reporter))
        unfinished = [job for job in jobs if job.config.force or not job.files.complete()]
        if not unfinished:
            return {}
        for job in unfinished:
            clear_temporaries(job.files.path)
        statuses = [Status(job.files, to_dict(job.config)) for job in unfinished]
        try:
            with enough_memory(unfinished[0]):
                failures = _train(unfinished, statuses, space, reporter)
        except BaseException as error:
            for status in statuses:
                if not status.ended:
                    status.failed(error)
            raise
    return failures


def resolve_pos_weight(pos_weight: float | str | None, labels: Tensor) -> float | None:
    """Return the weight of the positive class; ``balanced`` is negatives / positives of the training labels."""
    if pos_weight == "balanced":
        return float((labels == 0).sum() / (labels == 1).sum())
    return None if pos_weight is None else float(pos_weight)


def _train(
    jobs: Sequence[Job], statuses: Sequence[Status], space: GramSpace | None, reporter: Reporter
) -> dict[Job, RunFailedError]:
    first = jobs[0]
    set_determinism(first.config.deterministic)
    origin = describe_origin()  # now, because the code on disk may change while the runs go on
    models = [build_model(job.config.model, job.config.data.image_size, job.config.seed) for job in jobs]
    _announce(jobs, models[0], reporter)
    for job in jobs:
        write_json(job.files.data, job.dataset.describe())
    subsets = {split: _subset(first.dataset, split) for split in ("train", "val", "test")}
    weights = [resolve_pos_weight(job.config.loss.pos_weight, subsets["train"].labels) for job in jobs]
    starts = _diagnose(models, weights, subsets["train"], first)
    backend = build_backend([job.config for job in jobs], first.dataset, models, weights, first.device, space)
    trainers = [
        Trainer(backend, subsets["train"], subsets["val"], _settings(job.config, weight), place)
        for place, (job, weight) in enumerate(zip(jobs, weights, strict=True))
    ]
    members = [Member(*parts) for parts in zip(jobs, models, trainers, statuses, strict=True)]
    try:
        failures = _fit(members, reporter)
        finished = [member for member in members if member.job not in failures]
        if finished:
            own_starts = {job: start for job, start in zip(jobs, starts, strict=True)}
            facts = {"stack_size": len(jobs)} | origin
            failures |= _leave_results(finished, subsets, backend, own_starts, facts)
    except BaseException:  # an interruption above all: no epoch that was finished is lost
        with suppress(OSError):  # a full disk must not hide what went wrong
            for member in members:
                if not member.status.ended:
                    member.save()
        raise
    return failures


def _announce(jobs: Sequence[Job], model: nn.Module, reporter: Reporter) -> None:
    config, choice = jobs[0].config, jobs[0].choice
    together = f"; {len(jobs)} runs together" if len(jobs) > 1 else ""
    reporter.line(f"model: {describe_model(config.model, model)}{together}")
    device = f"device: {describe_device(jobs[0].device)}, {config.precision}"
    reporter.line(f"{device}; engine: {choice.engine} ({choice.reason})")
    if config.precision == "bf16" and lacks_bf16(jobs[0].device):
        reporter.line("precision=bf16 is slower than float32 on this CPU, which has no instructions for it")


def _settings(config: RunConfig, pos_weight: float | None) -> TrainSettings:
    return TrainSettings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        lr=config.optimizer.lr,
        schedule=config.schedule,
        early_stopping=config.early_stopping,
        pos_weight=pos_weight,
    )


def _subset(dataset: Dataset, split: str) -> Subset:
    return Subset(torch.tensor(dataset.rows(split)), torch.tensor(dataset.labels(split)).float())


def _fit(members: Sequence[Member], reporter: Reporter) -> dict[Job, RunFailedError]:
    """Train all epochs, leaving history and checkpoint now and then; return the members that failed."""
    failures = {member.job: error for member in members if (error := member.resume(reporter))}
    active = [member for member in members if member.job not in failures and not member.trainer.finished]
    trainer = members[0].trainer
    first_epoch = 1 + min((len(member.trainer.history) for member in active), default=trainer.settings.epochs)
    saved, cost = time.perf_counter(), 0.0
    with reporter.training(trainer.settings.epochs, trainer.num_batches, first_epoch, len(active)) as shown:
        while active:
            train_epoch([member.trainer for member in active], shown.batch)
            for member in active:
                if member.trainer.failure is not None:
                    failures[member.job] = member.status.failed(member.trainer.failure)
            active = [member for member in active if member.job not in failures]
            for member in active:
                member.remember()
            start = time.perf_counter()
            if cost <= _CHECKPOINT_SHARE * (start - saved):
                for member in active:
                    member.save()
                saved, cost = time.perf_counter(), time.perf_counter() - start
            shown.epoch([member.trainer.history[-1] for member in active])
            active = [member for member in active if not member.trainer.finished]
    for member in members:
        write_history(member.files, [asdict(epoch) for epoch in member.trainer.history])
        member.trainer.finish()
    return failures


def _leave_results(
    members: Sequence[Member],
    subsets: dict[str, Subset],
    backend: Backend,
    starts: Mapping[Job, dict[str, Any]],
    facts: dict[str, Any],
) -> dict[Job, RunFailedError]:
    """Write what finished runs leave; return those whose weights do not give the logits that training ended with."""
    places = [member.trainer.member for member in members]
    batch_size = members[0].job.config.batch_size
    together = {split: backend.logits(places, subsets[split].rows, batch_size).float() for split in EVALUATED}
    logits = [{split: values[number] for split, values in together.items()} for number in range(len(places))]
    weights = backend.weights(places)
    for member, own_weights in zip(members, weights, strict=True):
        member.model.load_state_dict(own_weights)
    disagreements: list[float | None] = [None] * len(members)
    if backend.name == "gram":
        disagreements = _disagreements(members, subsets, logits)
    pos_weights = [member.trainer.settings.pos_weight for member in members]
    ends = _diagnose([member.model for member in members], pos_weights, subsets["train"], members[0].job)
    failures = {}
    for member, own_logits, own_weights, disagreement, end in zip(
        members, logits, weights, disagreements, ends, strict=True
    ):
        largest = torch.cat(list(own_logits.values())).abs().max().item()  # nan if any is
        if not math.isfinite(largest):
            reason = "training ended with outputs that are not finite; try a smaller optimizer.lr"
            failures[member.job] = member.status.failed(DivergedError(reason))
            continue
        if disagreement is not None and not disagreement <= _TOLERANCE * (1 + largest):  # so that nan fails too
            reason = (
                f"the saved weights give logits that differ by {disagreement:.2g} from those of engine=gram; "
                "the training has left the range of float32, try a smaller optimizer.lr or engine=pixel"
            )
            failures[member.job] = member.status.failed(DivergedError(reason))
            continue
        diagnosis = {"start": starts[member.job], "end": end}
        own_facts = facts | _facts(member) | {"engine_disagreement": disagreement, "diagnosis": diagnosis}
        write_results(member.files, member.job.dataset, member.trainer, own_logits, own_weights, own_facts)
        member.status.done()
    return failures


def _diagnose(
    models: Sequence[nn.Module], pos_weights: Sequence[float | None], train: Subset, job: Job
) -> list[dict[str, Any]]:
    """Look for dead units and vanished gradients of models."""
    chosen = spread_out(len(train.rows))
    images = sample_images(job.dataset, train.rows[chosen], job.device)
    labels = train.labels[chosen]
    at_once = diagnosed_at_once(job.config, job.device)
    diagnoses = []
    for model, pos_weight in zip(models, pos_weights, strict=True):
        with moved(model, job.device):
            diagnoses.append(diagnose(model, rectified_layers(model), images, labels, pos_weight, at_once))
    return diagnoses


def _disagreements(
    members: Sequence[Member], subsets: dict[str, Subset], logits: Sequence[dict[str, Tensor]]
) -> list[float | None]:
    """Return how far the logits of the weights to be saved are from the engine's own, for each member."""
    job, rows = members[0].job, torch.cat([subsets[split].rows for split in EVALUATED])
    own = torch.stack([torch.cat([values[split] for split in EVALUATED]) for values in logits])
    models = [member.model for member in members]
    return list(largest_disagreements(models, job.dataset, rows, own, job.device))


def _facts(member: Member) -> dict[str, Any]:
    job = member.job
    return {
        "engine": job.choice.engine,
        "engine_reason": job.choice.reason,
        "device": describe_device(job.device),
        "num_processes": num_processes(),
        "precision": job.config.precision,
        "num_parameters": sum(parameter.numel() for parameter in member.model.parameters()),
        "pos_weight": member.trainer.settings.pos_weight,
    }

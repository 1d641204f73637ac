"""One stack of runs, end to end: runs that see the same images, trained together, each left in its directory."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from cxr_runner.artifacts.status import Status
from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.files import clear_temporaries, write_json
from cxr_runner.base.progress import Reporter
from cxr_runner.base.signals import raise_if_interrupted
from cxr_runner.config.identity import to_dict
from cxr_runner.config.schema import LogisticConfig
from cxr_runner.config.validation import needs_gram
from cxr_runner.experiment.beginnings import beginnings_of_others, go_on_from_shorter_run, take_over
from cxr_runner.experiment.evaluation import diagnose_members, leave_results, subset
from cxr_runner.experiment.member import (
    Member,
    enough_memory,
    exclusive_directory,
    explaining_disks,
    explaining_model,
    failing_together,
    saving_when_interrupted,
    write_history,
)
from cxr_runner.experiment.plan import PlannedRun
from cxr_runner.experiment.results import describe_origin
from cxr_runner.experiment.watch import Watch
from cxr_runner.models.build import build_model, describe_model
from cxr_runner.models.classifier import share_equal_weights
from cxr_runner.training.backend import Backend
from cxr_runner.training.devices import describe_device, set_determinism
from cxr_runner.training.engines import build_backend
from cxr_runner.training.formulas import import_torchmetrics_in_background
from cxr_runner.training.gram.convex import ConvexBackend, convex_settings
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.kernels import Kernels, bf16_slowness, choose_kernels
from cxr_runner.training.loop import Trainer, TrainSettings, train_epoch

_CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints
_CLIP = "optimizer.grad_clip=1 or "  # to try where training diverges; only pixels have what it needs


def train_stack(
    runs: Sequence[PlannedRun], space: GramSpace | None, reporter: Reporter, watch: Watch | None = None
) -> dict[Path, RunFailedError]:
    """Train runs together that share data, device, engine and batch size; each is left as soon as it has ended.

    A finished run is not trained again (unless ``force``), a cut-off one goes on from its last checkpoint, and one that
    fails does not touch the others.

    Args:
        runs: what was planned; several only for the Gram engine.
        space: the images in Gram space, for that engine.
        reporter: shown what goes on.
        watch: asked after every epoch of a run whether it goes on.

    Returns:
        The errors of those that failed, by their directories, which say why.

    Raises:
        UserError: the directories cannot be made.
        RunFailedError: a disk is full, or failed; all runs of the stack go on from where they were.
    """
    with ExitStack() as locks, explaining_disks(runs[0].files):
        # In one order everywhere, so that two processes with overlapping stacks cannot wait for each other.
        held: dict[Path, ExitStack] = {}
        for run in sorted(runs, key=lambda run: run.files.path):
            held[run.files.path] = locks.enter_context(ExitStack())
            held[run.files.path].enter_context(exclusive_directory(run.files, reporter))
        unfinished = [run for run in runs if run.config.force or not run.files.complete()]
        if not unfinished:
            return {}
        for run in unfinished:
            clear_temporaries(run.files.path)
        statuses = [Status(run.files, to_dict(run.config)) for run in unfinished]
        with failing_together(statuses), enough_memory(unfinished[0]):
            set_determinism(unfinished[0].config.deterministic)
            origin = describe_origin()  # now, because the code on disk may change while the runs go on
            members = _build_members(unfinished, statuses, space, reporter)
            import_torchmetrics_in_background()
            with saving_when_interrupted(members), explaining_model(unfinished[0]):
                for finished in fit(members, reporter, watch):
                    leave_results(finished, {"stack_size": len(members)} | origin)
                    for member in finished:
                        held[member.files.path].close()
    return {member.files.path: member.failure for member in members if member.failure is not None}


def fit(members: Sequence[Member], reporter: Reporter, watch: Watch | None = None) -> Iterator[list[Member]]:
    """Train all epochs, leaving history and checkpoint now and then; members that fail say so.

    Yields:
        Members after their last epoch, or after that in which ``watch`` has ended them, ready to be evaluated, as soon
        as they are.
    """
    for member in members:
        member.resume(reporter)
        if member.failure is None and not member.trainer.history:
            go_on_from_shorter_run(member, reporter)
    waiting = beginnings_of_others(members)
    active = [member for member in members if member.failure is None and member not in waiting]
    yield from _finish([member for member in active if member.trainer.finished])
    active = [member for member in active if not member.trainer.finished]
    trainer, num_epochs = members[0].trainer, max(member.trainer.settings.epochs for member in members)
    first_epoch = 1 + min((len(member.trainer.history) for member in active), default=num_epochs)
    saved, cost = time.perf_counter(), 0.0
    with reporter.training(num_epochs, trainer.num_batches, first_epoch, len(active)) as shown:
        while active:
            raise_if_interrupted()
            train_epoch([member.trainer for member in active], shown.batch)
            for member in active:
                if member.trainer.failure is not None:
                    member.fail(member.trainer.failure)
            active = [member for member in active if member.failure is None]
            taken_over, alone = take_over(waiting)
            for member in [*active, *taken_over]:
                member.remember()
            start = time.perf_counter()
            if cost <= _CHECKPOINT_SHARE * (start - saved):
                for member in active:
                    member.save()
                saved, cost = time.perf_counter(), time.perf_counter() - start
            shown.epoch([member.trainer.history[-1] for member in active])
            if watch is not None:
                for member in (member for member in active if not member.trainer.finished):
                    member.pruned = watch.judge(member.run, member.trainer)
            yield from _finish([*(member for member in active if member.ended), *taken_over])
            active = [*(member for member in active if not member.ended), *alone]


def _finish(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Yield members after their last epoch, if there are any, with the weights that they are to end with."""
    for member in members:
        write_history(member.run, [asdict(epoch) for epoch in member.trainer.history])
        member.trainer.finish()
    if members:
        yield list(members)


def resolve_pos_weight(pos_weight: float | str | None, labels: Tensor) -> float | None:
    """Return the weight of the positive class; ``balanced`` is negatives / positives of the training labels."""
    if pos_weight == "balanced":
        return float((labels == 0).sum() / (labels == 1).sum())
    return None if pos_weight is None else float(pos_weight)


def _build_members(
    runs: Sequence[PlannedRun], statuses: Sequence[Status], space: GramSpace | None, reporter: Reporter
) -> list[Member]:
    first = runs[0]
    train, val = subset(first.dataset, "train"), subset(first.dataset, "val")
    members, models = [], dict[object, nn.Module]()
    for run, status in zip(runs, statuses, strict=True):
        start = (run.config.model, run.config.seed)  # members that begin alike share their initial weights
        if start not in models:
            models[start] = build_model(run.config.model, run.config.data.image_size, run.config.seed)
        members.append(Member(run, status, models[start], resolve_pos_weight(run.config.loss.pos_weight, train.labels)))
    if space is not None:  # whose backend leaves the models as they are
        share_equal_weights(list(models.values()))
    engine, num_train = first.choice.engine, len(train.rows)
    kernels = choose_kernels(first.config, engine, first.device, list(models.values()), num_train)
    _announce(members, kernels, reporter)
    for run in runs:
        write_json(run.files.data, run.dataset.describe())
    begun, pos_weights = [member.model for member in members], [member.pos_weight for member in members]
    configs = [run.config for run in runs]
    backend = build_backend(configs, first.dataset, begun, pos_weights, first.device, space, kernels)
    for number, member in enumerate(members):
        member.kernels = kernels
        member.trainer = Trainer(backend, train, val, _settings(member, backend, len(train.rows)), number)
    for member, diagnosis in zip(members, diagnose_members(members), strict=True):
        member.diagnosis = diagnosis
    return members


def _announce(members: Sequence[Member], kernels: Kernels | None, reporter: Reporter) -> None:
    runs = [member.run for member in members]
    config, choice = runs[0].config, runs[0].choice
    models = {describe_model(member.run.config.model, member.model): None for member in members}
    together = f"; {len(runs)} runs together" if len(runs) > 1 else ""
    for number, model in enumerate(models, start=1):
        reporter.line(f"model: {model}{together if number == len(models) else ''}")
    for note in dict.fromkeys(note for member in members for note in getattr(member.model, "notes", ())):
        reporter.line(note)
    device = f"device: {describe_device(runs[0].device)}, {config.precision}"
    computed = f"; kernels: {kernels.name} ({kernels.reason})" if kernels else ""
    reporter.line(f"{device}; engine: {choice.engine} ({choice.reason}){computed}")
    if isinstance(config.model, LogisticConfig) and config.model.l2 == "path":
        reporter.line(f"an epoch is a penalty, from the largest to the smallest; {config.model.path_metric} chooses")
    if (reason := bf16_slowness(config, runs[0].device)) is not None:
        reporter.line(f"precision=bf16 is slower than float32 {reason}")


def _settings(member: Member, backend: Backend, num_train: int) -> TrainSettings:
    config = member.run.config
    if isinstance(config.model, LogisticConfig):
        assert isinstance(backend, ConvexBackend)
        return convex_settings(config.model, backend.variance, num_train, member.pos_weight)
    return TrainSettings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        lr=config.optimizer.lr,
        schedule=config.schedule,
        early_stopping=config.early_stopping,
        pos_weight=member.pos_weight,
        remedy=_CLIP * (config.engine != "gram" and not needs_gram(config.model)) + "a smaller optimizer.lr",
    )

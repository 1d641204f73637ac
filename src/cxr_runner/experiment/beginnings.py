"""Runs that are the beginning of a longer one, which goes on from where they ended, or passes there on its way.

A run of 20 epochs is, epoch for epoch, one of 10 that goes on, wherever the learning rate does not depend on how many
there will be. Runs in Gram space keep what that takes.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.progress import Reporter
from cxr_runner.config.identity import run_id_of_dict, to_dict
from cxr_runner.config.schema import LogisticConfig
from cxr_runner.experiment.member import Member
from cxr_runner.experiment.plan import PlannedRun
from cxr_runner.training.gram.final_state import code_versions, read_final_state


def go_on_from_shorter_run(member: Member, reporter: Reporter) -> None:
    """Have a run that has not begun go on from the longest finished run that it would repeat, where there is one."""
    for files in _shorter_runs(member.run):
        if state := _read_state(files, member.kernels_name):
            member.trainer.load_state_dict(state)
            name, epochs = files.path.parent.name, len(state["history"])
            member.went_on_from = {"run": name, "epochs": epochs}
            reporter.line(f"seed {member.run.config.seed}: going on after the {epochs} epochs of {name}")
            return


def beginnings_of_others(members: Sequence[Member]) -> dict[Member, Member]:
    """Return which members of a stack need not be trained, since a longer one will be where they end: which one."""
    longest: dict[str, Member] = {}
    beginnings: dict[Member, Member] = {}
    for member in sorted(members, key=lambda member: -member.run.config.epochs):
        if member.failure is not None or not _can_be_cut(member.run):
            continue
        longer = longest.setdefault(f"{_id_by_epochs(member.run)(0)} {member.run.config.seed}", member)
        if longer is not member and not member.trainer.history and not longer.trainer.finished:
            if len(longer.trainer.history) < member.run.config.epochs:  # one that stands there will be further at once
                beginnings[member] = longer
    return beginnings


def take_over(waiting: dict[Member, Member]) -> tuple[list[Member], list[Member]]:
    """Let members that wait for a longer one take what it has reached, where that is their end.

    Args:
        waiting: by member, the longer one; those that need not wait any more are taken out.

    Returns:
        The members that have ended, and those that must be trained after all, since the longer one failed.
    """
    taken_over, alone = [], []
    for member, longer in list(waiting.items()):
        reached = len(longer.trainer.history)
        if longer.failure is not None:
            alone.append(member)
        elif longer.trainer.finished or reached == member.run.config.epochs:
            assert reached <= member.run.config.epochs, "a run is no longer than its beginning"
            member.trainer.load_state_dict(longer.trainer.state_dict())
            member.earlier_kernels, member.earlier_epochs = longer.earlier_kernels, longer.earlier_epochs
            member.went_on_from = {"run": longer.files.path.parent.name, "epochs": reached}
            taken_over.append(member)
        else:
            continue
        del waiting[member]
    return taken_over, alone


def _can_be_cut(run: PlannedRun) -> bool:
    """Whether a run of fewer epochs is the beginning of one like this."""
    config = run.config
    if run.choice.engine != "gram" or isinstance(config.model, LogisticConfig) or config.schedule.name != "constant":
        return False
    # Where the best epoch's weights are put back, a run ends with those of another epoch than its last.
    return not config.early_stopping.restore_best and config.epochs > config.schedule.warmup_epochs


def _id_by_epochs(run: PlannedRun) -> Callable[[int], str]:
    """Return what gives the id of a run that differs in nothing but its number of epochs."""
    values = to_dict(run.config)

    def with_epochs(epochs: int) -> str:
        changed = values | {"epochs": epochs}
        return run_id_of_dict(changed, run.dataset.fingerprint, run.device.type, "gram", run.weights)

    return with_epochs


def _shorter_runs(run: PlannedRun) -> Iterator[RunDir]:
    """Give the directories of runs that differ in nothing but fewer epochs, the longest first."""
    config = run.config
    if config.force or not _can_be_cut(run):
        return
    finished = {path.name.rpartition("-")[2]: path for path in run.files.path.parents[1].iterdir()}
    id_with = _id_by_epochs(run)
    for epochs in range(config.epochs - 1, config.schedule.warmup_epochs, -1):
        shorter = id_with(epochs)
        if shorter in finished:
            yield RunDir(finished[shorter] / run.files.path.name)


def _read_state(files: RunDir, kernels: str | None) -> dict[str, Any] | None:
    """Read where a run ended; None where it did not, was altered, or is of other versions or kernels, which round."""
    if not (files.gram.is_file() and files.complete()) or files.altered():
        return None
    try:
        backend, facts = read_final_state(files)
    except (OSError, ValueError):
        return None
    if facts["versions"] != code_versions(kernels):
        return None
    with files.history.open(newline="") as lines:
        history = [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
            for row in csv.DictReader(lines)
        ]
    return {"history": history, "best": facts["best"] | {"snapshot": None}, "backend": backend}

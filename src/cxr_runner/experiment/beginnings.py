"""Finished runs that are the beginning of a longer one, which goes on from where they ended.

A run of 20 epochs is, epoch for epoch, one of 10 that goes on, wherever the learning rate does not depend on how many
there will be. Runs in Gram space keep what that takes.
"""

import csv
from collections.abc import Iterator
from typing import Any

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.progress import Reporter
from cxr_runner.config.identity import run_id_of_dict, to_dict
from cxr_runner.experiment.member import Member
from cxr_runner.experiment.plan import PlannedRun
from cxr_runner.training.gram.final_state import code_versions, read_final_state


def go_on_from_shorter_run(member: Member, reporter: Reporter) -> None:
    """Have a run that has not begun go on from the longest finished run that it would repeat, where there is one."""
    for files in _shorter_runs(member.run):
        if state := _read_state(files):
            member.trainer.load_state_dict(state)
            name, epochs = files.path.parent.name, len(state["history"])
            member.went_on_from = {"run": name, "epochs": epochs}
            reporter.line(f"seed {member.run.config.seed}: going on after the {epochs} epochs of {name}")
            return


def _shorter_runs(run: PlannedRun) -> Iterator[RunDir]:
    """Give the directories of runs that differ in nothing but fewer epochs, the longest first."""
    config = run.config
    if run.choice.engine != "gram" or config.force or config.schedule.name != "constant":
        return
    if config.early_stopping.restore_best:  # the others then ended with the weights of another epoch than their last
        return
    finished = {path.name.rpartition("-")[2]: path for path in run.files.path.parents[1].iterdir()}
    values = to_dict(config)
    for epochs in range(config.epochs - 1, config.schedule.warmup_epochs, -1):
        shorter = run_id_of_dict(
            values | {"epochs": epochs}, run.dataset.fingerprint, run.device.type, "gram", run.weights
        )
        if shorter in finished:
            yield RunDir(finished[shorter] / run.files.path.name)


def _read_state(files: RunDir) -> dict[str, Any] | None:
    """Read where a run ended; None where it did not, was altered, or versions were others, which may round."""
    if not (files.gram.is_file() and files.complete()) or files.altered():
        return None
    try:
        backend, facts = read_final_state(files)
    except (OSError, ValueError):
        return None
    if facts["versions"] != code_versions():
        return None
    with files.history.open(newline="") as lines:
        history = [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
            for row in csv.DictReader(lines)
        ]
    return {"history": history, "best": facts["best"] | {"snapshot": None}, "backend": backend}

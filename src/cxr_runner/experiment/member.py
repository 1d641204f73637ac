"""One run under way: what it needs, where it stands, and its directory, which no other process touches meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from torch import nn

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.artifacts.status import Status
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.files import write_csv
from cxr_runner.base.locks import hold_lock
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import CustomConfig, LogisticConfig
from cxr_runner.config.validation import needs_gram
from cxr_runner.experiment.plan import PlannedRun
from cxr_runner.models.contract import lines_of_others, raised
from cxr_runner.training.checkpoint import read_checkpoint, write_checkpoint
from cxr_runner.training.devices import is_out_of_memory
from cxr_runner.training.kernels import Kernels
from cxr_runner.training.loop import Trainer

_THEN = ", then "


@dataclass(eq=False)
class Member:
    """A run while it trains.

    Attributes:
        run: what was planned.
        status: its ``status.json``.
        model: with its initial weights, which members that begin alike share; the pixel engine trains it.
        pos_weight: weight of the positive class in its loss; None for 1.
        kernels: what computes it, where there is a choice.
        earlier_kernels: which had computed the epochs that it went on after, one after the other.
        earlier_epochs: how many those were.
        diagnosis: dead units and gradient norms before training.
        trainer: trains it, once the stack has a backend.
        state: where it stood after its last whole epoch, as long as no checkpoint holds that.
        went_on_from: the shorter run that it went on from, or the longer one that it is the beginning of, ready for
            JSON; None where it was trained by itself.
        failure: why it ended before it was finished; None if it did not.
        pruned: who ended it early, with results, and why; None if nobody did.
    """

    run: PlannedRun
    status: Status
    model: nn.Module
    pos_weight: float | None
    kernels: Kernels | None = None
    earlier_kernels: str | None = None
    earlier_epochs: int = 0
    diagnosis: dict[str, Any] = field(default_factory=dict)
    trainer: Trainer = field(init=False)
    state: dict[str, Any] | None = None
    went_on_from: dict[str, Any] | None = None
    failure: RunFailedError | None = None
    pruned: tuple[str, str] | None = None

    @property
    def kernels_name(self) -> str | None:
        """Which kernels have computed it, one after the other; None where there is no choice."""
        own = self.kernels.name if self.kernels else None
        if self.earlier_kernels is None:
            return own
        changed = self.changes_kernels and len(self.trainer.history) > self.earlier_epochs
        return f"{self.earlier_kernels}{_THEN}{own or 'torch'}" if changed else self.earlier_kernels

    @property
    def changes_kernels(self) -> bool:
        """Whether it goes on by other kernels than before, which round differently."""
        own, earlier = self.kernels.name if self.kernels else "torch", self.earlier_kernels
        return earlier is not None and earlier.rpartition(_THEN)[2] != own

    @property
    def files(self) -> RunDir:
        """Its directory."""
        return self.run.files

    def fail(self, error: RunFailedError) -> None:
        """End it, and write down why."""
        self.failure = self.status.failed(error)

    @property
    def ended(self) -> bool:
        """Whether there is no epoch left to train, or somebody has ended it early."""
        return self.trainer.finished or self.pruned is not None

    def end(self) -> None:
        """Write down that its results are there; one that was pruned keeps its checkpoint, to go on from."""
        if self.pruned:
            self.save()
            self.status.pruned(*self.pruned)
        else:
            self.status.done()

    def remember(self) -> None:
        """Note where the run stands, for :meth:`save`, which may be called in the middle of the next epoch."""
        self.state = self.trainer.state_dict() | {"kernels": self.kernels_name}

    def save(self) -> None:
        """Write history and checkpoint as they were at :meth:`remember`."""
        if self.state is not None:
            write_history(self.run, self.state["history"])
            write_checkpoint(self.files, self.state)
            self.state = None

    def resume(self, reporter: Reporter) -> None:
        """Go on from a checkpoint where there is one; one that cannot be used is set aside, and the run fails."""
        checkpoint = self.files.checkpoint
        if not checkpoint.exists():
            return
        try:
            state = read_checkpoint(self.files)
            self.trainer.load_state_dict(state)
            self.earlier_epochs = len(self.trainer.history)
            self.earlier_kernels = state.get("kernels") or ("torch" if self.kernels else None)  # once the only ones
        except Exception as error:  # garbage may raise anything
            if isinstance(error, OSError) or is_out_of_memory(error):  # no fault of the file
                raise
            kept = checkpoint.replace(checkpoint.with_name("checkpoint.damaged.pt")).name
            reason = f"checkpoint.pt is damaged, or of another version, and now called {kept}"
            self.fail(RunFailedError(f"{reason}; the same command starts over"))
            return
        others = f", computed by {self.earlier_kernels} kernels" * self.changes_kernels
        reporter.line(f"seed {self.run.config.seed}: resuming after epoch {self.earlier_epochs}{others}")


@contextmanager
def exclusive_directory(files: RunDir, reporter: Reporter) -> Iterator[None]:
    """Make the run directory and keep other processes out: one with the same run waits, and then finds it done."""
    with ExitStack() as lock:
        try:
            files.path.mkdir(parents=True, exist_ok=True)
            lock.enter_context(hold_lock(files.lock, "trains the same run", reporter))
        except OSError as error:
            raise UserError.for_key("outputs", files.path, f"cannot be written to ({error.strerror})") from None
        yield


@contextmanager
def explaining_disks(files: RunDir) -> Iterator[None]:
    """Say in one line what a disk has refused."""
    try:
        yield
    except OSError as error:
        where = error.filename or files.path
        reason = f"{error.strerror or error}; the same command goes on once that is mended ({where})"
        raise RunFailedError(reason) from error


@contextmanager
def enough_memory(run: PlannedRun) -> Iterator[None]:
    """Say in one line what to do where memory does not suffice."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = f"the memory of {run.device} does not suffice"
        raise RunFailedError(f"{reason}{_less_memory(run)}") from error


def _less_memory(run: PlannedRun) -> str:
    """Say what takes less memory, of what goes with the model."""
    if isinstance(run.config.model, LogisticConfig):
        return "; a smaller data.image_size takes less, so does a smaller data.train_share"
    pixels = ", and engine=pixel" if run.choice.engine == "gram" and not needs_gram(run.config.model) else ""
    less = f"a smaller one takes less, so does a smaller data.image_size or model{pixels}"
    return f" for batch_size={run.config.batch_size}; {less}"


@contextmanager
def explaining_model(run: PlannedRun) -> Iterator[None]:
    """Say in one line what code of others has raised in training, and what to do where an operation is refused."""
    try:
        yield
    except (UserError, RunFailedError, OSError):
        raise
    except Exception as error:
        if "does not have a deterministic implementation" in str(error):
            words = str(error).partition(" does not have")[0]
            raise RunFailedError(f"{words} may give other bits the next time; deterministic=false allows it") from error
        if isinstance(run.config.model, CustomConfig) and lines_of_others(error) and not is_out_of_memory(error):
            raise RunFailedError(f"model.target={run.config.model.target}: {raised(error)} in training") from error
        raise


@contextmanager
def failing_together(statuses: Sequence[Status]) -> Iterator[None]:
    """Write down, in every run that has not ended, what has ended them all."""
    try:
        yield
    except BaseException as error:
        for status in statuses:
            if not status.ended:
                status.failed(error)
        raise


@contextmanager
def saving_when_interrupted(members: Sequence[Member]) -> Iterator[None]:
    """Lose no epoch that was finished, whatever ends the training; an interruption above all."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a full disk must not hide what went wrong
            for member in members:
                if not member.status.ended:
                    member.save()
        raise


def write_history(run: PlannedRun, history: Sequence[dict[str, Any]]) -> None:
    """Write the history of a run that has one; an epoch an entry, of logistic regression a penalty."""
    if history:
        table = pd.DataFrame(history)
        solved = isinstance(run.config.model, LogisticConfig)
        write_csv(run.files.history, table.rename(columns={"lr": "l2"}) if solved else table)

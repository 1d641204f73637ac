"""One run under way: what it needs, where it stands, and its directory, which no other process touches meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.artifacts.status import Status
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.base.files import write_csv
from cxr_runner.base.locks import hold_lock
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.dataset import Dataset
from cxr_runner.training.checkpoint import read_checkpoint, write_checkpoint
from cxr_runner.training.devices import is_out_of_memory
from cxr_runner.training.engines import Choice
from cxr_runner.training.loop import Trainer


@dataclass(frozen=True, eq=False)
class Job:
    """A run that is to be trained: its configuration, and what was found for it.

    Attributes:
        config: of the run.
        dataset: its images.
        device: where it will compute.
        choice: the engine.
        files: its directory.
    """

    config: RunConfig
    dataset: Dataset
    device: torch.device
    choice: Choice
    files: RunDir


@dataclass(eq=False)
class Member:
    """A run under way."""

    job: Job
    model: nn.Module
    trainer: Trainer
    status: Status
    state: dict[str, Any] | None = None  # after its last whole epoch, as long as no checkpoint holds it

    @property
    def files(self) -> RunDir:
        """Its directory."""
        return self.job.files

    def remember(self) -> None:
        """Note where the run stands, for :meth:`save`, which may be called in the middle of the next epoch."""
        self.state = self.trainer.state_dict()

    def save(self) -> None:
        """Write history and checkpoint as they were at :meth:`remember`."""
        if self.state is not None:
            write_history(self.files, self.state["history"])
            write_checkpoint(self.files, self.state)
            self.state = None

    def resume(self, reporter: Reporter) -> RunFailedError | None:
        """Go on from a checkpoint where there is one; one that cannot be used is set aside, and the run fails."""
        checkpoint = self.files.checkpoint
        if not checkpoint.exists():
            return None
        try:
            self.trainer.load_state_dict(read_checkpoint(self.files))
        except Exception as error:  # garbage may raise anything
            if isinstance(error, OSError) or is_out_of_memory(error):  # no fault of the file
                raise
            kept = checkpoint.replace(checkpoint.with_name("checkpoint.damaged.pt")).name
            reason = f"checkpoint.pt is damaged, or of another version, and now called {kept}"
            return self.status.failed(RunFailedError(f"{reason}; the same command starts over"))
        reporter.line(f"seed {self.job.config.seed}: resuming after epoch {len(self.trainer.history)}")
        return None


@contextmanager
def locked(files: RunDir, reporter: Reporter) -> Iterator[None]:
    """Make the run directory and keep other processes out: one with the same run waits, and then finds it done."""
    with ExitStack() as lock:
        try:
            files.path.mkdir(parents=True, exist_ok=True)
            lock.enter_context(hold_lock(files.lock, "trains the same run", reporter))
        except OSError as error:
            raise UserError.for_key("outputs", files.path, f"cannot be written to ({error.strerror})") from None
        yield


@contextmanager
def explained(files: RunDir) -> Iterator[None]:
    """Say in one line what a disk has refused."""
    try:
        yield
    except BrokenPipeError:  # of the terminal, not of a disk
        raise
    except OSError as error:
        place = error.filename or files.path
        reason = f"{error.strerror or error}; the same command goes on once that is mended ({place})"
        raise RunFailedError(reason) from error


@contextmanager
def enough_memory(job: Job) -> Iterator[None]:
    """Say in one line what to do where memory does not suffice."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        way_out = ", and engine=pixel" if job.choice.engine == "gram" else ""
        reason = f"the memory of {job.device} does not suffice for batch_size={job.config.batch_size}"
        less = f"a smaller one takes less, so does a smaller data.image_size or model{way_out}"
        raise RunFailedError(f"{reason}; {less}") from error


def write_history(files: RunDir, history: Sequence[dict[str, Any]]) -> None:
    """Write the history of a run that has one; an epoch an entry."""
    if history:
        write_csv(files.history, pd.DataFrame(history))

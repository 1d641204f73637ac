"""Progress of work: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Literal, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[], None]
Mode = Literal["auto", "bar", "lines", "none"]


class EpochSummary(Protocol):
    """The numbers of an epoch that are shown."""

    @property
    def epoch(self) -> int:
        """Number of the epoch, counted from 1."""

    @property
    def train_loss(self) -> float:
        """Mean loss over the training images."""

    @property
    def val_loss(self) -> float:
        """Mean loss over the validation images."""

    @property
    def val_accuracy(self) -> float:
        """Share of validation images that are classified correctly."""

    @property
    def seconds(self) -> float:
        """Duration of the epoch."""


class Reporter:
    """Shows nothing; base class of the reporters that do."""

    def line(self, text: str) -> None:
        """Print a line that stays on the screen."""

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Show work of ``total`` steps; the context gives a function to call after each step."""
        yield lambda: None

    @contextmanager
    def training(
        self, num_epochs: int, num_batches: int, first_epoch: int, num_members: int
    ) -> Iterator["TrainingReporter"]:
        """Show the training of a stack of runs from ``first_epoch`` (counted from 1) on."""
        yield TrainingReporter()


class TrainingReporter:
    """Shows nothing of the epochs; base class of those that do."""

    def batch(self, num_members: int) -> None:
        """Count one more batch of each of ``num_members`` members."""

    def epoch(self, summaries: Sequence[EpochSummary]) -> None:
        """Count one more epoch, of these members."""


class LineReporter(Reporter):
    """One line at the start and end of a piece of work, one line an epoch."""

    def line(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Print that the work begins."""
        self.line(f"{description}: {total:,} ...")
        yield lambda: None

    @contextmanager
    def training(
        self, num_epochs: int, num_batches: int, first_epoch: int, num_members: int
    ) -> Iterator[TrainingReporter]:
        """Print one line an epoch."""
        yield _EpochLines(num_epochs)


class _EpochLines(TrainingReporter):
    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs

    def epoch(self, summaries: Sequence[EpochSummary]) -> None:
        if summaries:
            seconds = sum(summary.seconds for summary in summaries)
            epoch = max(summary.epoch for summary in summaries)
            print(f"epoch {epoch:>3}/{self.num_epochs}  {_numbers(summaries)}  {seconds:.2f} s", flush=True)


class BarReporter(Reporter):
    """A rich progress bar."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``."""
        self.console = console

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Show a bar of ``total`` steps."""
        with self._progress(MofNCompleteColumn()) as progress:
            task = progress.add_task(description, total=total)
            yield lambda: progress.advance(task)

    @contextmanager
    def training(
        self, num_epochs: int, num_batches: int, first_epoch: int, num_members: int
    ) -> Iterator[TrainingReporter]:
        """Show a bar over all batches of all epochs, with the numbers of the last epoch."""
        with self._progress(TextColumn("{task.fields[numbers]}")) as progress:
            yield _EpochBar(progress, num_epochs, num_batches, first_epoch, num_members)

    def _progress(self, numbers: MofNCompleteColumn | TextColumn) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            numbers,
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )


class _EpochBar(TrainingReporter):
    def __init__(
        self, progress: Progress, num_epochs: int, num_batches: int, first_epoch: int, num_members: int
    ) -> None:
        self.progress, self.num_members = progress, num_members
        self.num_epochs, self.num_batches = num_epochs, num_batches
        total, done = num_epochs * num_batches * num_members, (first_epoch - 1) * num_batches * num_members
        self.task = progress.add_task("", total=total, completed=done, numbers="")
        self.batches_of_epoch = 0  # of all members together
        self.current = first_epoch
        self._describe()

    def batch(self, num_members: int) -> None:
        self.batches_of_epoch += num_members
        self._describe()
        self.progress.advance(self.task, num_members)

    def epoch(self, summaries: Sequence[EpochSummary]) -> None:
        if not summaries:
            return
        self.current, self.num_members, self.batches_of_epoch = self.current + 1, len(summaries), 0
        # Members that have stopped early take no part in the remaining epochs.
        remaining = (self.num_epochs - self.current + 1) * self.num_batches * len(summaries)
        completed = self.progress.tasks[self.task].completed
        self.progress.update(self.task, numbers=_numbers(summaries), total=completed + remaining)

    def _describe(self) -> None:
        text = f"epoch {min(self.current, self.num_epochs)}/{self.num_epochs}"
        batch = self.batches_of_epoch // max(1, self.num_members)
        members = f", {self.num_members} runs" if self.num_members > 1 else ""
        self.progress.update(self.task, description=f"{text}, batch {batch}/{self.num_batches}{members}")


def make_reporter(mode: Mode) -> Reporter:
    """Return the reporter for a mode.

    Args:
        mode: ``bar``, ``lines``, ``none``, or ``auto``: the bar when standard output is a terminal, and lines otherwise
            and in the processes of a launcher, whose bars would overwrite each other.
    """
    if mode == "none":
        return Reporter()
    console = Console(file=sys.stdout)
    if mode == "bar" or (mode == "auto" and console.is_terminal and not parent_process()):
        return BarReporter(console)
    return LineReporter()


def _numbers(summaries: Sequence[EpochSummary]) -> str:
    """Return the numbers of an epoch: those of one run, or their range over several."""
    if len(summaries) == 1:
        (summary,) = summaries
        losses = f"train loss {summary.train_loss:.4f}  val loss {summary.val_loss:.4f}"
        return f"{losses}  val accuracy {summary.val_accuracy:.4f}"
    train_losses = [summary.train_loss for summary in summaries]
    accuracies = [summary.val_accuracy for summary in summaries]
    spread = f"train loss {min(train_losses):.3f} to {max(train_losses):.3f}"
    return f"{len(summaries)} runs  {spread}  val accuracy {min(accuracies):.3f} to {max(accuracies):.3f}"

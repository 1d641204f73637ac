"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere."""

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


class EpochFigures(Protocol):
    """What is shown of an epoch."""

    @property
    def epoch(self) -> int:
        """Its number, counted from 1."""

    @property
    def train_loss(self) -> float:
        """Mean over the training images."""

    @property
    def val_loss(self) -> float:
        """Mean over the validation images."""

    @property
    def val_accuracy(self) -> float:
        """Share of validation images decided rightly."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class Reporter:
    """Says nothing; the parent of those that do."""

    def line(self, text: str) -> None:
        """Print a line for the user to keep."""

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Follow work of ``total`` steps; the context gives a function to call after each step."""
        yield lambda: None

    @contextmanager
    def training(
        self, num_epochs: int, num_batches: int, first_epoch: int, num_members: int
    ) -> Iterator["TrainingReporter"]:
        """Follow the training of a stack of runs from ``first_epoch`` (counted from 1) on."""
        yield TrainingReporter()


class TrainingReporter:
    """Says nothing of the epochs; the parent of those that do."""

    def batch(self, num_members: int) -> None:
        """One more batch is done, of so many members."""

    def epoch(self, summaries: Sequence[EpochFigures]) -> None:
        """One more epoch is done, of these members."""


class LineReporter(Reporter):
    """One line at the start and end of a piece of work, one line an epoch."""

    def line(self, text: str) -> None:
        """Print a line."""
        print(text, flush=True)

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Say that the work begins."""
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

    def epoch(self, summaries: Sequence[EpochFigures]) -> None:
        if summaries:
            seconds = sum(summary.seconds for summary in summaries)
            epoch = max(summary.epoch for summary in summaries)
            print(f"epoch {epoch:>3}/{self.num_epochs}  {_figures(summaries)}  {seconds:.2f} s", flush=True)


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
        """Show a bar over all batches of all epochs, with the last epoch's figures."""
        with self._progress(TextColumn("{task.fields[figures]}")) as progress:
            yield _EpochBar(progress, num_epochs, num_batches, first_epoch, num_members)

    def _progress(self, figures: MofNCompleteColumn | TextColumn) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            figures,
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
        self.progress, self.num_epochs, self.num_batches, self.num_members = (
            progress,
            num_epochs,
            num_batches,
            num_members,
        )
        total, done = num_epochs * num_batches * num_members, (first_epoch - 1) * num_batches * num_members
        self.task = progress.add_task("", total=total, completed=done, figures="")
        self.batches_of_epoch = 0  # of all members together
        self.current = first_epoch
        self._describe()

    def batch(self, num_members: int) -> None:
        self.batches_of_epoch += num_members
        self._describe()
        self.progress.advance(self.task, num_members)

    def epoch(self, summaries: Sequence[EpochFigures]) -> None:
        if not summaries:
            return
        self.current, self.num_members, self.batches_of_epoch = self.current + 1, len(summaries), 0
        # What is left is left for fewer members, where some have stopped.
        left = (self.num_epochs - self.current + 1) * self.num_batches * len(summaries)
        completed = self.progress.tasks[self.task].completed
        self.progress.update(self.task, figures=_figures(summaries), total=completed + left)

    def _describe(self) -> None:
        text = f"epoch {min(self.current, self.num_epochs)}/{self.num_epochs}"
        batch = self.batches_of_epoch // max(1, self.num_members)
        members = f", {self.num_members} runs" if self.num_members > 1 else ""
        self.progress.update(self.task, description=f"{text}, batch {batch}/{self.num_batches}{members}")


def make_reporter(mode: Mode) -> Reporter:
    """Choose how to report progress.

    Args:
        mode: ``auto`` takes the bar when standard output is a terminal and lines otherwise, as in processes that a
            launcher started beside each other: bars would wipe each other out.
    """
    if mode == "none":
        return Reporter()
    console = Console(file=sys.stdout)
    if mode == "bar" or (mode == "auto" and console.is_terminal and not parent_process()):
        return BarReporter(console)
    return LineReporter()


def _figures(summaries: Sequence[EpochFigures]) -> str:
    """Return the figures of an epoch: of one run, or their range over several."""
    if len(summaries) == 1:
        (summary,) = summaries
        losses = f"train loss {summary.train_loss:.4f}  val loss {summary.val_loss:.4f}"
        return f"{losses}  val accuracy {summary.val_accuracy:.4f}"
    train_losses = [summary.train_loss for summary in summaries]
    accuracies = [summary.val_accuracy for summary in summaries]
    spread = f"train loss {min(train_losses):.3f} to {max(train_losses):.3f}"
    return f"{len(summaries)} runs  {spread}  val accuracy {min(accuracies):.3f} to {max(accuracies):.3f}"

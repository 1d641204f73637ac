"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

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

if TYPE_CHECKING:  # torch is not needed to draw a bar
    from cxr_runner.train import Epoch

Advance = Callable[[], None]
Mode = Literal["auto", "bar", "lines", "none"]


class Reporter:
    """Says nothing; the parent of those that do."""

    def line(self, text: str) -> None:
        """Print a line for the user to keep."""

    @contextmanager
    def steps(self, description: str, total: int) -> Iterator[Advance]:
        """Follow work of ``total`` steps; the context gives a function to call after each step."""
        yield lambda: None

    @contextmanager
    def training(self, num_epochs: int, num_batches: int, first_epoch: int) -> Iterator["TrainingReporter"]:
        """Follow the training of one run from ``first_epoch`` (counted from 1) on."""
        yield TrainingReporter()


class TrainingReporter:
    """Says nothing of the epochs; the parent of those that do."""

    def batch(self) -> None:
        """One more batch is done."""

    def epoch(self, summary: "Epoch") -> None:
        """One more epoch is done."""


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
    def training(self, num_epochs: int, num_batches: int, first_epoch: int) -> Iterator[TrainingReporter]:
        """Print one line an epoch."""
        yield _EpochLines(num_epochs)


class _EpochLines(TrainingReporter):
    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs

    def epoch(self, summary: "Epoch") -> None:
        print(_epoch_text(summary, self.num_epochs) + f"  {summary.seconds:.2f} s", flush=True)


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
    def training(self, num_epochs: int, num_batches: int, first_epoch: int) -> Iterator[TrainingReporter]:
        """Show a bar over all batches of all epochs, with the last epoch's figures."""
        with self._progress(TextColumn("{task.fields[figures]}")) as progress:
            yield _EpochBar(progress, num_epochs, num_batches, first_epoch)

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
    def __init__(self, progress: Progress, num_epochs: int, num_batches: int, first_epoch: int) -> None:
        self.progress, self.num_epochs, self.num_batches = progress, num_epochs, num_batches
        self.done = (first_epoch - 1) * num_batches
        self.task = progress.add_task("", total=num_epochs * num_batches, completed=self.done, figures="")
        self.batches_of_epoch = 0
        self.current = first_epoch
        self._describe()

    def batch(self) -> None:
        self.batches_of_epoch += 1
        self._describe()
        self.progress.advance(self.task)

    def epoch(self, summary: "Epoch") -> None:
        figures = f"loss {summary.train_loss:.4f}, val accuracy {summary.val_accuracy:.3f}"
        self.current, self.batches_of_epoch = summary.epoch + 1, 0
        self.progress.update(self.task, figures=figures)

    def _describe(self) -> None:
        text = f"epoch {min(self.current, self.num_epochs)}/{self.num_epochs}"
        self.progress.update(self.task, description=f"{text}, batch {self.batches_of_epoch}/{self.num_batches}")


def make_reporter(mode: Mode) -> Reporter:
    """Choose how to report progress.

    Args:
        mode: ``auto`` takes the bar when standard output is a terminal and lines otherwise.
    """
    if mode == "none":
        return Reporter()
    console = Console(file=sys.stdout)
    if mode == "bar" or (mode == "auto" and console.is_terminal):
        return BarReporter(console)
    return LineReporter()


def _epoch_text(summary: "Epoch", num_epochs: int) -> str:
    return (
        f"epoch {summary.epoch:>3}/{num_epochs}  train loss {summary.train_loss:.4f}  "
        f"val loss {summary.val_loss:.4f}  val accuracy {summary.val_accuracy:.4f}"
    )

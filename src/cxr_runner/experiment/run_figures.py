"""The figures of finished runs, drawn from what the runs left; in another process while others train."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxr_runner.artifacts.rundir import Run, RunDir, read_run
from cxr_runner.base.background import Wait, workers
from cxr_runner.base.progress import Reporter
from cxr_runner.experiment.plan import PlannedRun

MOST_DRAWN = 50


@contextmanager
def drawing_figures(runs: Sequence[PlannedRun], reporter: Reporter) -> Iterator[Callable[[PlannedRun], None]]:
    """Give a function that has the figures of a finished run drawn, where they are missing or the run was forced.

    Those of one run are drawn at once, those of several in a process that training goes before. With ``plots=auto``
    those of more than :data:`MOST_DRAWN` are not drawn: that would take as long as their training.

    Args:
        runs: the runs of the command.
        reporter: told where none are drawn.
    """
    plots = {run.config.plots for run in runs}
    too_many = len(runs) > MOST_DRAWN and "always" not in plots
    if too_many:
        reporter.line(f"figures of single runs are drawn for {MOST_DRAWN} runs at most; plots=always draws them")
    if too_many or plots == {"never"}:
        yield lambda run: None
        return
    waiting: list[Wait] = []
    in_background = len(runs) > 1
    with workers(1 if in_background else 0, niceness=10) as submit:

        def draw(run: PlannedRun) -> None:
            wanted = run.config.force or not run.files.has_figures()
            if run.config.plots == "never" or not wanted:
                return
            wait = submit(draw_into, run.files.path)
            if in_background:
                waiting.append(wait)
            elif problem := wait():
                print(problem, file=sys.stderr)

        yield draw
        for wait in waiting:
            if problem := wait():
                print(problem, file=sys.stderr)


def draw_into(path: Path) -> str:
    """Draw the figures of the finished run in a directory; return what went wrong, '' if nothing did."""
    try:
        draw_figures(read_run(path))
    except Exception as error:  # a full disk, a file that somebody has changed: the run itself is done
        return f"no figures of {path}, the same command draws them ({error!r})"
    return ""


def draw_figures(run: Run) -> None:
    """Draw the curves and the confusion matrix of a finished run into its directory."""
    from cxr_runner.plots.confusion import plot_confusion  # matplotlib takes a while to import
    from cxr_runner.plots.curves import plot_curves
    from cxr_runner.plots.style import save_figure

    files, names = RunDir(run.path), list(run.data["counts"]["test"])
    title = f"{run.path.parent.name}, seed {run.seed} — {run.data['title']}"
    save_figure(plot_curves(run.history(), title), files.curves)
    save_figure(plot_confusion(run.metrics["test"], (names[0], names[1]), title), files.confusion)

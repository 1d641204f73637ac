"""What ``cxr-run`` prints at the end of a run."""

from pathlib import Path
from typing import Any

from cxr_runner.progress import Reporter
from cxr_runner.sources import About

SYNTHETIC = "synthetic phantom data"

_COLUMNS = {
    "accuracy": "accuracy",
    "batch mean": "accuracy_batch_mean",
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "AUROC": "auroc",
}


def print_results(metrics: dict[str, Any], about: About, run_path: Path, reporter: Reporter) -> None:
    """Show the results of a finished run.

    Args:
        metrics: the content of ``metrics.json``.
        about: the data that the run was trained on.
        run_path: the run directory, printed last.
        reporter: where the lines go.
    """
    test = metrics["test"]
    reporter.line(f"{'':6}" + "".join(f"{title:>12}" for title in _COLUMNS))
    for split in ("val", "test"):
        reporter.line(f"{split:6}" + "".join(f"{metrics[split][key]:>12.4f}" for key in _COLUMNS.values()))
    reporter.line(
        f"test confusion: {test['tp']:,} true and {test['fp']:,} false positives, "
        f"{test['tn']:,} true and {test['fn']:,} false negatives, {test['n']:,} images"
    )
    if metrics["collapsed"]:
        reporter.line("warning: collapsed, all images get one and the same output: this says nothing about the model")
    if about.synthetic:
        reporter.line(f"{SYNTHETIC}: these figures say nothing about real X-rays")
    reporter.line(f"run directory: {run_path}")


def data_heading(about: About) -> str:
    """Return the title of a data set, with the words that mark it as synthetic where it is."""
    if not about.synthetic or SYNTHETIC in about.title.lower():
        return about.title
    return f"{about.title} ({SYNTHETIC})"

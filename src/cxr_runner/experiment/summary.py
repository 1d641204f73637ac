"""What ``cxr-run`` prints of data and results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_runner.artifacts.metrics import METRICS
from cxr_runner.base.numbers import plural
from cxr_runner.base.progress import Reporter
from cxr_runner.data.inventory import summarize_inventory
from cxr_runner.data.sources import SPLITS, SYNTHETIC, About

if TYPE_CHECKING:
    from cxr_runner.data.dataset import Dataset

_COLUMNS = {metric.words: metric.key for metric in METRICS if metric.headline}


def print_results(
    metrics: dict[str, Any], about: About, warnings: Sequence[str], run_path: Path, reporter: Reporter
) -> None:
    """Show the results of a finished run.

    Args:
        metrics: the content of ``metrics.json``.
        about: the data that the run was trained on.
        warnings: what has to be known of these data.
        run_path: the run directory, printed last.
        reporter: where the lines go.
    """
    test = metrics["test"]
    reporter.line(f"{'':6}" + "".join(f"{title:>12}" for title in _COLUMNS))
    for split in ("val", "test"):
        reporter.line(f"{split:6}" + _cells(metrics[split]))
    reporter.line(
        f"test confusion: {test['tp']:,} true and {test['fp']:,} false positives, "
        f"{test['tn']:,} true and {test['fn']:,} false negatives, {test['n']:,} images"
    )
    if penalty := _penalty(metrics):
        reporter.line(penalty)
    if answer := _one_answer(metrics):
        reporter.line(f"warning: every test image is called {answer}; more epochs may help")
    if metrics["collapsed"]:
        reporter.line("warning: collapsed, all images get one and the same output: this says nothing about the model")
        if metrics.get("collapse_reason"):
            reporter.line(f"  {metrics['collapse_reason']}")
    for warning in warnings:
        reporter.line(f"warning: {warning}")
    if about.synthetic:
        reporter.line(f"{SYNTHETIC}: these figures say nothing about real X-rays")
    reporter.line(f"run directory: {run_path}")


def _penalty(metrics: Mapping[str, Any]) -> str:
    """Return the penalty of logistic regression and where on its path it lies; '' of other models."""
    if "l2" not in metrics:
        return ""
    number, total = metrics["best_epoch"], metrics["epochs_trained"]
    penalty = f"l2 {metrics['l2']:.3g} (scikit-learn's C {metrics['scikit_learn_C']:.3g})"
    if total == 1:
        return penalty
    end = ", its end: one beyond it may be better, model.l2=NUMBER" * (number in (1, total))
    return f"{penalty}, penalty {number} of {total} of the path{end}"


def print_results_of_many(
    metrics: Sequence[dict[str, Any]],
    about: About,
    warnings: Sequence[str],
    run_paths: Sequence[Path],
    reporter: Reporter,
) -> None:
    """Show the results of runs that were trained together, one line each.

    Args:
        metrics: content of the ``metrics.json`` of each run.
        about: the data that the runs were trained on.
        warnings: what has to be known of these data; counted here, since each stack of a sweep would repeat them.
        run_paths: the run directories.
        reporter: where the lines go.
    """
    names = ["/".join(path.parts[-2:]) for path in run_paths]
    width = max(map(len, names))
    reporter.line(f"{'test split':{width}}" + "".join(f"{title:>12}" for title in _COLUMNS))
    for name, values in zip(names, metrics, strict=True):
        answer = _one_answer(values)
        mark = "  collapsed" if values["collapsed"] else f"  all {answer}" if answer else ""
        reporter.line(f"{name:{width}}{_cells(values['test'])}{mark}")
    if any(values["collapsed"] for values in metrics):
        reporter.line("collapsed: all images get one and the same output, which says nothing about the model")
    if any(map(_one_answer, metrics)):
        reporter.line("warning: all positive, all negative: every test image is called so; more epochs may help")
    if warnings:
        reporter.line(f"{plural(len(warnings), 'warning')} about these data: above, and in data.json of each run")
    if about.synthetic:
        reporter.line(f"{SYNTHETIC}: these figures say nothing about real X-rays")
    reporter.line(f"run directories: {run_paths[0].parent.parent}")


def _one_answer(metrics: Mapping[str, Any]) -> str:
    """Return what a run that did not collapse calls every test image, ``positive`` or ``negative``; '' otherwise."""
    test = metrics["test"]
    if metrics["collapsed"] or test["tp"] + test["fp"] not in (0, test["n"]):
        return ""
    return "positive" if test["tp"] + test["fp"] else "negative"


def _cells(values: Mapping[str, float]) -> str:
    """Return the metrics of a split in columns; a metric that an older run lacks is an empty cell."""
    return "".join(f"{values[key]:>12.4f}" if key in values else " " * 12 for key in _COLUMNS.values())


def describe_data(dataset: "Dataset") -> list[str]:
    """Say in one line which data a run uses, and in further ones what has to be known of them."""
    labels = dataset.table["label"]
    negative, positive = dataset.class_names
    counts = f"{(labels == 1).sum():,} {positive} / {(labels == 0).sum():,} {negative} ({labels.mean():.1%} positive)"
    dropped = [
        f"{len(table):,} {what}"
        for table, what in ((dataset.duplicates, "duplicates dropped"), (dataset.unreadable, "unreadable skipped"))
        if len(table)
    ]
    parts = [f"{len(labels):,} images", counts, _sizes(dataset), *_which_split(dataset.split_facts), *dropped]
    parts += [summarize_inventory(dataset.inventory), f"fingerprint {dataset.fingerprint}"]
    line = f"data: {dataset.about.title}: " + "; ".join(parts)
    notes, warnings = dataset.notes, dataset.checks.warnings()
    return [line, *(f"data: {note}" for note in notes), *(f"warning: {warning}" for warning in warnings)]


def describe_split(dataset: "Dataset", first: "Dataset") -> list[str]:
    """Say in one line what a further split of images is that were described with the first; and what is new of it.

    Args:
        dataset: the images, split otherwise.
        first: the data set that was described.
    """
    facts, warnings = dataset.split_facts, dataset.checks.warnings()
    parts = [*(_which_split(facts) or [f"split seed {facts['seed']}"]), _sizes(dataset)]
    if warnings:
        parts.append(f"{plural(len(warnings), 'warning')}, in data.json of each run")
    line = "data: " + "; ".join([*parts, f"fingerprint {dataset.fingerprint}"])
    return [line, *(f"data: {note}" for note in dataset.notes if note not in first.notes)]


def _sizes(dataset: "Dataset") -> str:
    return ", ".join(f"{split} {len(dataset.rows(split)):,}" for split in SPLITS)


def _which_split(facts: Mapping[str, Any]) -> list[str]:
    """Name fold and seed of a split; nothing where these are the usual ones."""
    if facts["folds"] is not None:
        last = facts["folds"] - 1
        return [f"fold {facts['fold']} (of 0 to {last}) is {facts['rotates']}, split seed {facts['seed']}"]
    return [f"split seed {facts['seed']}"] if facts["seed"] and facts["rotates"] != "nothing" else []

"""The tables of the report: the study's own, as configured and made anew, all configurations, all runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxr_runner.artifacts.rundir import Run
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import between, mean_sd, number
from cxr_runner.base.tables import Table
from cxr_runner.report.runs.comparison import METRICS, comparison_table, published_digits
from cxr_runner.report.runs.configurations import AVERAGED, SUMMARY_COLUMNS, summarize
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.report.runs.table import RUN_COLUMNS
from cxr_runner.study import load_study

PUBLISHED_FIGURES = (20, 23)
LEGEND = (
    "Test split; mean ± sample standard deviation over seeds (initial weights and order of batches; how few the test "
    "images are is not in it). Collapsed runs, whose output is one constant, count in the means. The best mean "
    "accuracy stands first, which is no proof of a difference."
)
COMPARISON_LEGEND = (
    "Ours: mean ± sample standard deviation over the seeds that live; where some have collapsed (one output for all "
    "images) the mean of all stands below. Inside: the published value, which is that of one run on one split, lies "
    "where one more of our runs would (95 %, Student t). That interval holds what the seeds change (initial weights, "
    "order of batches), not how few the test images are: the Wilson interval says that for the accuracy. "
    "Intervals are shown cut off at 0 and 1."
)
_AVERAGED_WORDS = ("accuracy", "batch mean", "F1", "precision", "recall", "AUROC")
_RUN_WORDS = {
    "row": "model",
    "name": "name",
    "id": "id",
    "seed": "seed",
    "data": "data",
    "image_size": "px",
    "optimizer": "optimizer",
    "pos_weight": "weight",
    "batch_size": "batch",
    "epochs": "epochs",
    "accuracy": "accuracy",
    "accuracy_batch_mean": "batch mean",
    "f1": "F1",
    "auroc": "AUROC",
    "collapsed": "collapsed",
    "train_seconds": "train s",
}
_RUN_FORMS = {"pos_weight": "g", "train_seconds": ",.1f"}  # all other broken numbers are metrics
_COLLAPSED_LEGEND = (
    "Runs that give one output for all images, and the share of units of each layer that are 0 for all of 64 training "
    "images, before and after training: a dead unit passes no gradient back, so plain SGD cannot revive it."
)
_COLLAPSED_WORDS = {
    "row": "model",
    "name": "name",
    "seed": "seed",
    "image_size": "px",
    "collapse_reason": "reason",
    "dead_start": "dead at the start",
    "dead_end": "dead at the end",
    "path": "run",
}
_COLLAPSED_TEXTS = ("model", "name", "reason", "dead at the start", "dead at the end", "run")


def study_table(table: int) -> Table:
    """Return Table 1 or 2 of the study as configured here."""
    rows = [row for row in load_study().rows if row.table == table]
    entries = [{"model": row.id, "experiment": row.experiment, **row.settings()} for row in rows]
    data = pd.DataFrame(entries).astype({"model.kernel_size": "Int64", "model.layers": "Int64"})
    shown = pd.DataFrame(
        {
            "model": [row.id for row in rows],
            "experiment": [row.experiment for row in rows],
            "what it is": [row.title for row in rows],
            "optimizer": [f"{row.optimizer}, lr {row.lr:g}" for row in rows],
            "class weight": [number(row.pos_weight or float("nan"), "g") or "none" for row in rows],
            "batch": [str(row.batch_size) for row in rows],
            "epochs": [str(row.epochs) for row in rows],
        }
    )
    caption = f"Table {table} of the study, as the experiment files configure it."
    return Table(f"table{table}", caption, data, shown, ("model", "experiment", "what it is", "optimizer"))


def published_tables(cohort: Cohort) -> dict[int, pd.DataFrame]:
    """Return the comparisons with Figs. 20 and 23."""
    return {figure: comparison_table(cohort.repetitions, figure) for figure in PUBLISHED_FIGURES}


def comparison(table: pd.DataFrame, figure: int, cohort: Cohort) -> Table:
    """Return the comparison with Fig. 20 or 23, which trivial baselines may follow, in both forms."""
    entries = table.to_dict("records")
    shown = pd.DataFrame(
        {
            "model": [f"{entry['row']}: {entry['model']}" for entry in entries],
            "metric": [METRICS[entry["metric"]][0] for entry in entries],
            "ours, alive": [mean_sd(entry["mean"], entry["sd"]) or _missing(entry["num_seeds"]) for entry in entries],
            "ours, all": [mean_sd(entry["all_mean"], entry["all_sd"]) for entry in entries],
            "published": [number(entry["published"], f".{published_digits(entry['metric'])}f") for entry in entries],
            "difference": [number(entry["difference"], "+.3f") for entry in entries],
            "inside": [yes_no(entry["inside"]) for entry in entries],
            "mean, 95 %": [between(entry["low"], entry["high"]) for entry in entries],
            "one more run, 95 %": [between(entry["next_low"], entry["next_high"]) for entry in entries],
            "Wilson": [between(entry["wilson_low"], entry["wilson_high"]) for entry in entries],
            "seeds": [text(entry["num_seeds"]) for entry in entries],
            "collapsed": [text(entry["num_collapsed"]) for entry in entries],
        }
    )
    caption = f"Fig. {figure} of the study made anew on {cohort.heading}, beside the published values."
    data = table.assign(data=cohort.about.title)
    return Table(f"fig{figure}", caption, data, shown, ("model", "metric", "inside"))


def configurations(cohorts: Sequence[Cohort]) -> Table:
    """Return all configurations, of one data set after the other."""
    summaries = [summarize(data_set) for cohort in cohorts for data_set in cohort.data_sets]
    data = pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    rows = []
    for entry in data.to_dict("records"):
        row = {"configuration": entry["configuration"], "differs in": entry["differs_in"]}
        row |= {"model": text(entry["row"]), "data": entry["data"], "px": str(entry["image_size"])}
        row["seeds"] = str(entry["num_seeds"])
        for metric, words in zip(AVERAGED, _AVERAGED_WORDS, strict=True):
            row[words] = mean_sd(entry[f"{metric}_mean"], entry[f"{metric}_sd"])
        row |= {"collapsed": str(entry["num_collapsed"]), "train s": number(entry["train_seconds_mean"], ",.1f")}
        rows.append(row)
    columns = ["configuration", "differs in", "model", "data", "px", "seeds", *_AVERAGED_WORDS, "collapsed", "train s"]
    return Table("configurations", LEGEND, data, pd.DataFrame(rows, columns=columns), tuple(columns[:4]))


def _missing(num_seeds: int) -> str:
    return "all collapsed" if num_seeds else "no runs"


def all_runs(cohorts: Sequence[Cohort]) -> Table:
    """Return all runs, of one data set after the other."""
    tables = [data_set.table for cohort in cohorts for data_set in cohort.data_sets]
    data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(RUN_COLUMNS))
    shown = pd.DataFrame(
        {
            words: [cell(value, _RUN_FORMS.get(column, ".3f")) for value in data[column].astype(object)]
            for column, words in _RUN_WORDS.items()
        }
    )
    texts = tuple(words for column, words in _RUN_WORDS.items() if not _holds_numbers(data[column]))
    return Table("runs", "All finished runs; metrics of the test split.", data, shown, texts)


def left_out_table(left_out: pd.DataFrame) -> Table:
    """Return the runs that are in no other table and in no picture, with the reasons."""
    caption = "These are in no table and no picture."
    shown = left_out.rename(columns={"path": "run"})
    return Table("left_out", caption, left_out, shown, tuple(shown.columns))


def text(value: object) -> str:
    """Return a value as text, '' where it is missing."""
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def yes_no(value: object) -> str:
    """Return yes or no, '' for what is not known."""
    return "" if pd.isna(value) else "yes" if value else "no"  # type: ignore[call-overload]


def _holds_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def cell(value: object, form: str = ".3f") -> str:
    """Return a value as a table shows it."""
    if isinstance(value, bool):
        return yes_no(value)
    return number(value, form) if isinstance(value, float) else text(value)


def collapsed_table(cohorts: Sequence[Cohort]) -> Table:
    """Return the runs that collapsed, of one data set after the other."""
    entries = [
        {**entry, "dead_start": dead_units(run.metrics, "start"), "dead_end": dead_units(run.metrics, "end")}
        for cohort in cohorts
        for data_set in cohort.data_sets
        for run, entry in _collapsed(data_set.runs, data_set.table)
    ]
    data = pd.DataFrame(entries, columns=list(_COLLAPSED_WORDS))
    shown = pd.DataFrame(
        {words: [cell(value) for value in data[column].astype(object)] for column, words in _COLLAPSED_WORDS.items()}
    )
    return Table("collapsed", _COLLAPSED_LEGEND, data, shown, _COLLAPSED_TEXTS)


def _collapsed(runs: Sequence[Run], table: pd.DataFrame) -> list[tuple[Run, dict[Any, Any]]]:
    return [(run, entry) for run, entry in zip(runs, table.to_dict("records"), strict=True) if entry["collapsed"]]


def dead_units(metrics: Mapping[str, Any], moment: str) -> str:
    """Say what share of each layer's units is dead, '' where it is not known.

    Args:
        metrics: the content of a ``metrics.json``, whatever it may be.
        moment: ``start`` or ``end``.
    """
    shares: Any = metrics
    for key in ("diagnosis", moment, "dead_units"):
        shares = shares.get(key) if isinstance(shares, Mapping) else None
    if not isinstance(shares, Mapping):
        return ""
    known = {name: share for name, share in shares.items() if isinstance(share, int | float) and 0 <= share <= 1}
    return ", ".join(f"{printable(name)} {share:.0%}" for name, share in known.items())

"""The tables of the report: the study's tables as configured and made anew, all configurations, all runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxr_runner.artifacts.metrics import HEADLINE, METRICS, metric
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_interval, format_mean_sd, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import Collected, DataSetRuns
from cxr_runner.report.collected_runs import SizedRuns
from cxr_runner.report.compare.configurations import SUMMARY_COLUMNS, summarize
from cxr_runner.report.compare.data_warnings import data_warnings
from cxr_runner.report.render.cells import without_mean, yes_no
from cxr_runner.report.run_columns import RUN_COLUMNS
from cxr_runner.study import Row, Study, StudyFigure

LEGEND = (
    "Test split; mean ± sample standard deviation over seeds (initial weights and order of batches; how few the test "
    "images are is not in it). Collapsed runs, whose output is one constant, count in the means. The best mean "
    "accuracy stands first, which is no proof of a difference."
)
_RUN_WORDS = {
    "row": "model",
    "name": "name",
    "id": "id",
    "seed": "seed",
    "split_seed": "split",
    "fold": "fold",
    "data": "data",
    "image_size": "px",
    "optimizer": "optimizer",
    "pos_weight": "weight",
    "batch_size": "batch",
    "epochs": "epochs",
    **{key: metric(key).words for key in ("accuracy", "accuracy_batch_mean", "f1", "auroc")},
    "collapsed": "collapsed",
    "train_seconds": "train s",
}
_RUN_FORMS = {one.key: f".{one.decimals}f" for one in METRICS} | {"pos_weight": "g", "train_seconds": ",.1f"}
_COLLAPSED_LEGEND = (
    "Runs that give one output for all images, and the share of units of each layer that are 0 for all of 64 training "
    "images, before and after training: a dead unit passes no gradient back, so plain SGD cannot revive it."
)
_COLLAPSED_WORDS = {
    "row": "model",
    "name": "name",
    "split_seed": "split",
    "fold": "fold",
    "seed": "seed",
    "image_size": "px",
    "collapse_reason": "reason",
    "dead_start": "dead at the start",
    "dead_end": "dead at the end",
    "path": "run",
}
_COLLAPSED_TEXTS = ("model", "name", "reason", "dead at the start", "dead at the end", "run")


def study_tables(study: Study) -> list[Table]:
    """Return the tables that list the rows of a study, as configured here; rows of no table are one table."""
    numbers = dict.fromkeys(row.table for row in study.rows)
    return [_study_table(number, [row for row in study.rows if row.table == number]) for number in numbers]


def _study_table(number: int | None, rows: Sequence[Row]) -> Table:
    entries = [{"model": row.id, "experiment": row.experiment, **row.settings()} for row in rows]
    counts = {key: "Int64" for key in ("model.kernel_size", "model.layers") if any(key in row.own for row in rows)}
    data = pd.DataFrame(entries).astype(counts)
    shown = pd.DataFrame(
        {
            "model": [row.id for row in rows],
            "experiment": [row.experiment or "" for row in rows],
            "what it is": [row.title for row in rows],
            "optimizer": [f"{row.optimizer}, lr {row.lr:g}" for row in rows],
            "class weight": [row.weight_words for row in rows],
            "batch": [str(row.batch_size) for row in rows],
            "epochs": [str(row.epochs) for row in rows],
        }
    )
    texts = ["model", "experiment", "what it is", "optimizer"]
    if not any(row.experiment for row in rows):
        data, shown, texts = data.drop(columns="experiment"), shown.drop(columns="experiment"), [*texts[:1], *texts[2:]]
    if number is None:
        return Table("rows", "The rows of the study, as its file configures them.", data, shown, tuple(texts))
    caption = f"Table {number} of the study, as the experiment files configure it."
    return Table(f"table{number}", caption, data, shown, tuple(texts))


def published_table(table: pd.DataFrame, figure: StudyFigure, runs: DataSetRuns) -> Table:
    """Return runs beside published metrics, which trivial baselines may follow, in both forms."""
    entries, metrics = table.to_dict("records"), {one.key: one for one in runs.study.metrics}
    shown = pd.DataFrame(
        {
            "model": [f"{entry['row']}: {entry['model']}" for entry in entries],
            "metric": [metrics[entry["metric"]].label for entry in entries],
            "ours, not collapsed": [
                format_mean_sd(entry["mean"], entry["sd"]) or _without_mean(entry) for entry in entries
            ],
            "ours, all": [format_mean_sd(entry["all_mean"], entry["all_sd"]) for entry in entries],
            "published": [
                format_number(entry["published"], f".{metrics[entry['metric']].digits}f") for entry in entries
            ],
            "difference": [format_number(entry["difference"], "+.3f") for entry in entries],
            "inside": [yes_no(entry["inside"]) for entry in entries],
            "mean, 95 %": [format_interval(entry["low"], entry["high"]) for entry in entries],
            "one more run, 95 %": [format_interval(entry["next_low"], entry["next_high"]) for entry in entries],
            "Wilson": [format_interval(entry["wilson_low"], entry["wilson_high"]) for entry in entries],
            "seeds": [text(entry["num_seeds"]) for entry in entries],
            "collapsed": [text(entry["num_collapsed"]) for entry in entries],
        }
    )
    caption = f"Fig. {figure.number} of the study made anew on {runs.heading}, beside the published values."
    data = table.assign(data=runs.about.title)
    return Table(figure.name, caption, data, shown, ("model", "metric", "inside"))


def configurations(collected: Collected) -> Table:
    """Return all configurations, of one data set after the other."""
    summaries = [summarize(sized) for sized in _all_sizes(collected)]
    data = pd.concat(summaries, ignore_index=True) if summaries else pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    rows = []
    for entry in data.to_dict("records"):
        row = {"configuration": entry["configuration"], "differs in": entry["differs_in"]}
        row |= {"model": text(entry["row"]), "data": entry["data"], "px": str(entry["image_size"])}
        row["seeds"] = str(entry["num_seeds"])
        row |= {one.words: format_mean_sd(entry[f"{one.key}_mean"], entry[f"{one.key}_sd"]) for one in HEADLINE}
        row |= {"collapsed": str(entry["num_collapsed"]), "train s": format_number(entry["train_seconds_mean"], ",.1f")}
        rows.append(row)
    columns = ["configuration", "differs in", "model", "data", "px", "seeds"]
    columns += [*(one.words for one in HEADLINE), "collapsed", "train s"]
    shown = pd.DataFrame(rows, columns=columns)
    return Table("configurations", LEGEND, data, shown, tuple(columns[:4]), "Means over seeds", _warnings(collected))


def _without_mean(entry: Mapping[Any, Any]) -> str:
    return without_mean(entry["num_seeds"], entry["num_collapsed"])


def all_runs(collected: Collected) -> Table:
    """Return all runs, of one data set after the other."""
    tables = [sized.ordered_table for sized in _all_sizes(collected)]
    data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(RUN_COLUMNS))
    told = {column: words for column, words in _RUN_WORDS.items() if not _says_nothing(data, column)}
    shown = pd.DataFrame(
        {
            words: [cell(value, _RUN_FORMS.get(column, ".3f")) for value in data[column].astype(object)]
            for column, words in told.items()
        }
    )
    texts = tuple(words for column, words in told.items() if not _holds_numbers(data[column]))
    caption = "All finished runs by configuration, fold and seed; metrics of the test split."
    return Table("runs", caption, data, shown, texts, notes=_warnings(collected))


def left_out_table(left_out: pd.DataFrame) -> Table:
    """Return the runs that are in no other table and in no picture, with the reasons."""
    caption = "These are in no table and no picture."
    shown = left_out.rename(columns={"path": "run"})
    return Table("left_out", caption, left_out, shown, tuple(shown.columns))


def text(value: object) -> str:
    """Return a value as text, '' where it is missing."""
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _says_nothing(data: pd.DataFrame, column: str) -> bool:
    """Return whether a column about splits or the study's models says nothing of these runs."""
    values = data[column]
    if column == "split_seed":
        return values.nunique() < 2
    return column in ("row", "fold", "pos_weight") and bool(values.isna().all())


def _holds_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def cell(value: object, form: str = ".3f") -> str:
    """Return a value as a table shows it."""
    if isinstance(value, bool):
        return yes_no(value)
    return format_number(value, form) if isinstance(value, float) else text(value)


def collapsed_table(collected: Collected) -> Table:
    """Return the runs that collapsed, of one data set after the other."""
    entries = [
        {**entry, "dead_start": dead_units(run.metrics, "start"), "dead_end": dead_units(run.metrics, "end")}
        for sized in _all_sizes(collected)
        for run, entry in zip(sized.ordered, sized.ordered_table.to_dict("records"), strict=True)
        if entry["collapsed"]
    ]
    data = pd.DataFrame(entries, columns=list(_COLLAPSED_WORDS))
    told = {column: words for column, words in _COLLAPSED_WORDS.items() if not _says_nothing(data, column)}
    shown = pd.DataFrame(
        {words: [cell(value) for value in data[column].astype(object)] for column, words in told.items()}
    )
    return Table(
        "collapsed",
        _COLLAPSED_LEGEND,
        data,
        shown,
        tuple(words for words in told.values() if words in _COLLAPSED_TEXTS),
    )


def _warnings(collected: Collected) -> tuple[str, ...]:
    """Return what is wrong or doubtful with the images, of one data set after the other."""
    return tuple(f"{runs.heading}: {said}" for runs in collected.data_sets for said in data_warnings(runs))


def _all_sizes(collected: Collected) -> list[SizedRuns]:
    return [sized for runs in collected.data_sets for sized in runs.sizes]


def dead_units(metrics: Mapping[str, Any], moment: str) -> str:
    """Say what share of each layer's units is dead, '' where it is not known.

    Args:
        metrics: content of a ``metrics.json``, whatever it may be.
        moment: ``start`` or ``end``.
    """
    shares: Any = metrics
    for key in ("diagnosis", moment, "dead_units"):
        shares = shares.get(key) if isinstance(shares, Mapping) else None
    if not isinstance(shares, Mapping):
        return ""
    known = {name: share for name, share in shares.items() if isinstance(share, int | float) and 0 <= share <= 1}
    return ", ".join(f"{printable(name)} {share:.0%}" for name, share in known.items())

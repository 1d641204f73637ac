"""What ``cxr-report`` prints."""

import math
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_mean_sd, plural
from cxr_runner.report.collected import Collected, DataSetRuns
from cxr_runner.report.compare.configurations import summarize
from cxr_runner.report.compare.data_warnings import data_warnings

_NUM_SHOWN = 5  # runs left out that are named on the terminal; the page names all
_MOST_WARNINGS = 10  # about the images of a data set; there are fewer, unless a file is damaged
_SHOWN = ("accuracy", "f1", "auroc")
_PLAIN_WIDTH = 100  # of the table where there is no terminal to ask


def print_report(collected: Collected, out: Path) -> None:
    """Print the results of all configurations, what was left out, and where the report is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for runs in collected.data_sets:
        for sized in runs.sizes:
            console.print(Text(f"{runs.heading}, {sized.image_size} px", style="bold"))
            console.print(_table(summarize(sized)))
        for line in _warnings(runs):
            console.print(Text(line), soft_wrap=True)
    left_out = collected.left_out
    lines = [count(collected)]
    lines += [f"  {row.path}: {row.reason}" for row in left_out.head(_NUM_SHOWN).itertuples()]
    if len(left_out) > _NUM_SHOWN:
        lines.append(f"  and {len(left_out) - _NUM_SHOWN} more, named in the report")
    lines.append(f"report: {out / 'index.html'}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _warnings(runs: DataSetRuns) -> list[str]:
    """Return what is wrong or doubtful with the images of the tables above, and an empty line behind it."""
    said = data_warnings(runs)
    lines = [f"warning: {sentence}" for sentence in said[:_MOST_WARNINGS]]
    if len(said) > _MOST_WARNINGS:
        lines.append(f"and {plural(len(said) - _MOST_WARNINGS, 'more warning')}, in the report")
    return [*lines, ""] if lines else []


def count(collected: Collected) -> str:
    """Say how many runs of what are in the report, and how many are not."""
    sizes = [sized for runs in collected.data_sets for sized in runs.sizes]
    num_runs = sum(len(sized.runs) for sized in sizes)
    num_configurations = sum(len({run.configuration for run in sized.runs}) for sized in sizes)
    counted = (
        f"{plural(num_runs, 'finished run')} of {plural(num_configurations, 'configuration')} "
        f"on {plural(len(collected.data_sets), 'data set')}"
    )
    states = collected.left_out["state"].replace("done", "done but not usable").value_counts().sort_index()
    dropped = "; left out: " + ", ".join(f"{number} {state}" for state, number in states.items()) if len(states) else ""
    return (counted if collected.data_sets else "No run is finished") + dropped


def _table(summary: pd.DataFrame) -> Table:
    table = Table("configuration", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for title in ("seeds", *(metric(key).words for key in _SHOWN), "collapsed"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        name = "\n".join(filter(None, (row["configuration"], row["differs_in"])))
        accuracy = format_mean_sd(row["accuracy_mean"], row["accuracy_sd"])
        others = [format_mean_sd(row[f"{key}_mean"], math.nan) for key in _SHOWN[1:]]
        cells = [name, str(row["num_seeds"]), accuracy, *others, str(row["num_collapsed"] or "")]
        table.add_row(*map(Text, cells))
    return table

"""What ``cxr-report`` prints."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_runner.base.numbers import mean_sd, plural
from cxr_runner.report.runs.configurations import label, summarize
from cxr_runner.report.runs.groups import Cohort

_NUM_SHOWN = 5  # runs left out that are named on the terminal; the page names all
_PLAIN_WIDTH = 100  # of the table where there is no terminal to ask


def print_report(cohorts: Sequence[Cohort], left_out: pd.DataFrame, out: Path) -> None:
    """Print the results of all configurations, what was left out, and where the report is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for cohort in cohorts:
        for data_set in cohort.data_sets:
            console.print(Text(f"{cohort.heading}, {data_set.image_size} px", style="bold"))
            console.print(_table(summarize(data_set)))
    lines = [count(cohorts, left_out)]
    lines += [f"  {row.path}: {row.reason}" for row in left_out.head(_NUM_SHOWN).itertuples()]
    if len(left_out) > _NUM_SHOWN:
        lines.append(f"  and {len(left_out) - _NUM_SHOWN} more, named in the report")
    lines.append(f"report: {out / 'index.html'}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def count(cohorts: Sequence[Cohort], left_out: pd.DataFrame) -> str:
    """Say how many runs of what are in the report, and how many are not."""
    data_sets = [data_set for cohort in cohorts for data_set in cohort.data_sets]
    num_runs = sum(len(data_set.runs) for data_set in data_sets)
    num_configurations = sum(len({label(run) for run in data_set.runs}) for data_set in data_sets)
    counted = (
        f"{plural(num_runs, 'finished run')} of {plural(num_configurations, 'configuration')} "
        f"on {plural(len(cohorts), 'data set')}"
    )
    states = left_out["state"].replace("done", "done but not usable").value_counts().sort_index()
    dropped = "; left out: " + ", ".join(f"{number} {state}" for state, number in states.items()) if len(states) else ""
    return (counted if cohorts else "No run is finished") + dropped


def _table(summary: pd.DataFrame) -> Table:
    table = Table("configuration", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for title in ("seeds", "accuracy", "F1", "AUROC", "collapsed"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        name = "\n".join(filter(None, (row["configuration"], row["differs_in"])))
        accuracy = mean_sd(row["accuracy_mean"], row["accuracy_sd"])
        others = [f"{row[f'{metric}_mean']:.3f}" for metric in ("f1", "auroc")]
        cells = [name, str(row["num_seeds"]), accuracy, *others, str(row["num_collapsed"] or "")]
        table.add_row(*map(Text, cells))
    return table

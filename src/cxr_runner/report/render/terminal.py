"""What is printed of runs: a comparison of their configurations, warnings, what was left out."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import plural
from cxr_runner.report.collected import Collected, DataSetRuns
from cxr_runner.report.compare.comparison import DataSetComparison
from cxr_runner.report.compare.data_warnings import data_warnings
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.render.comparison_cells import compared_metrics, difference_cell, mean_cell, p_cell, runs_cell
from cxr_runner.report.render.comparison_words import find_sentences
from cxr_runner.report.render.side_by_side_section import pair_lines
from cxr_runner.report.render.verdict import verdict

_NUM_SHOWN = 5  # runs left out that are named on the terminal; the page names all
_MOST_WARNINGS = 10  # about the images of a data set; there are fewer, unless a file is damaged
_PLAIN_WIDTH = 100  # of the table where there is no terminal to ask


def print_report(collected: Collected, compared: Sequence[DataSetComparison], out: Path, *, pair: bool = False) -> None:
    """Print the results of all configurations, what was left out, and where the report is.

    Args:
        collected: what the report is made from.
        compared: what it comes to.
        out: folder that the report is in.
        pair: whether two configurations are shown side by side, as was asked for.
    """
    console = make_console()
    for one in compared:
        print_comparisons(one.runs, one.comparisons, console, pair=pair)
        for line in _warnings(one.runs):
            console.print(Text(line), soft_wrap=True)
    left_out = collected.left_out
    lines = [count(collected)]
    lines += [f"  {row.path}: {row.reason}" for row in left_out.head(_NUM_SHOWN).itertuples()]
    if len(left_out) > _NUM_SHOWN:
        lines.append(f"  and {len(left_out) - _NUM_SHOWN} more, named in the report")
    lines.append(f"report: {out / 'index.html'}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def make_console() -> Console:
    """Return where tables are printed; without a terminal they are as wide as a page."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def print_comparisons(
    runs: DataSetRuns, comparisons: Sequence[Comparison], console: Console, *, pair: bool = False
) -> None:
    """Print how the configurations on a data set compare, at one size after the other.

    Args:
        runs: runs on the data set.
        comparisons: their configurations.
        console: where to.
        pair: whether two configurations are shown side by side.
    """
    for one in comparisons:
        console.print(Text(f"{runs.heading}, {one.image_size} px", style="bold"))
        console.print(_table(one))
        lines = [verdict(one), *find_sentences(one)]
        lines += pair_lines(one.pair) if pair and one.pair else []
        for line in lines:
            console.print(Text(line), soft_wrap=True)


def _warnings(runs: DataSetRuns) -> list[str]:
    """Return what is wrong or doubtful with the images of the tables above, and an empty line behind it."""
    said = data_warnings(runs)
    lines = [f"warning: {sentence}" for sentence in said[:_MOST_WARNINGS]]
    if len(said) > _MOST_WARNINGS:
        lines.append(f"and {plural(len(said) - _MOST_WARNINGS, 'more warning')}, in the report")
    return [*lines, ""]


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


def _table(compared: Comparison) -> Table:
    """Return the configurations, the reference first: label and id, metrics, difference, runs."""
    first, *others = compared_metrics(compared)
    several = len(compared.standings) > 1
    table = Table("configuration", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    titles = [metric(first).words, *(["difference", "p"] if several else []), *(metric(key).words for key in others)]
    for title in titles:
        table.add_column(title, justify="right")
    table.add_column("runs")
    for one in compared.standings:
        mark = " (reference)" * (several and one is compared.reference)
        cells = [f"{one.label}{mark}\n{one.name}", mean_cell(one, first).replace(" (", "\n(")]
        if several:
            cells += [difference_cell(one, first).replace(" (", "\n("), p_cell(one, first)]
        cells += [mean_cell(one, key).partition(" ")[0] for key in others]
        table.add_row(*map(Text, [*cells, runs_cell(one)]))
    return table

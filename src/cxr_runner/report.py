"""The report: tables, pictures and a page over all runs below a folder.

The same runs give the same report, byte for byte. Data sets are kept apart throughout.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxr_runner.artifacts import Run, find_runs, replacing, write_csv
from cxr_runner.errors import UserError
from cxr_runner.markdown import markdown_table, markdown_text, printable
from cxr_runner.summary import data_heading
from cxr_runner.tables import (
    AVERAGED,
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    DataSet,
    by_configuration,
    sort_runs,
    summarize,
)

_NOTICE = "**Not for clinical use.**\n"
_HISTORY = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
_METRICS = ("accuracy", "F1", "precision", "recall", "AUROC")  # the names of AVERAGED for people
_LEGEND = (
    "Test split; mean ± sample standard deviation over seeds (initial weights and order of batches; how few the test "
    "images are is not in it). Collapsed runs, whose output is one constant, "
    "count in the means. The best mean accuracy stands first, which is no proof of a difference.\n"
)
_NUM_SHOWN = 5  # runs left out that are named on the terminal; the page names all
_PLAIN_WIDTH = 100  # of the table where there is no terminal to ask


@dataclass(frozen=True)
class _Section:
    """What the report has to say of one data set.

    Attributes:
        data_set: its runs.
        summary: one row a configuration.
        picture: the file name of the curves, None where no history can be drawn.
        not_drawn: by the path of a run why its history cannot be drawn.
    """

    data_set: DataSet
    summary: pd.DataFrame
    picture: str | None
    not_drawn: dict[str, str]


def write_report(root: Path, out: Path) -> None:
    """Write ``report.md``, ``tables/`` and ``figures/``, and print the results.

    Args:
        root: holds run directories, at any depth.
        out: the folder to write to; made where it does not exist.

    Raises:
        UserError: ``root`` does not exist or holds no run, or ``out`` cannot be written to.
    """
    if not root.is_dir():
        raise UserError.for_key("ROOT", root, "no such folder; give one that holds runs of cxr-run")
    resolved = root.resolve()
    runs = find_runs(resolved)
    if not runs:
        raise UserError.for_key("ROOT", root, "holds no runs yet; cxr-run makes them, e.g. cxr-run model=linear")
    data_sets, left_out = sort_runs(runs, resolved)
    with _writing_to(out):
        for folder in ("tables", "figures"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        sections = _draw(data_sets, out / "figures")
        _write_tables(sections, out / "tables")
        _write_text(out / "report.md", _page(sections, left_out))
    _print(sections, left_out, out)


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError.for_key("--out", out, f"cannot write there ({error.strerror})") from None


def _draw(data_sets: Sequence[DataSet], folder: Path) -> list[_Section]:
    """Draw one picture of curves for every data set; those of an earlier report go."""
    for path in folder.iterdir():
        if re.fullmatch(r"curves(_\d+)?\.png", path.name):
            path.unlink()
    sections = []
    for number, data_set in enumerate(data_sets, 1):
        summary = summarize(data_set)
        histories, not_drawn = _read_histories(data_set, summary["configuration"].tolist())
        picture = None
        if histories:
            from cxr_runner.figures import plot_comparison, save_figure

            picture = "curves.png" if len(data_sets) == 1 else f"curves_{number}.png"
            save_figure(plot_comparison(histories, data_heading(data_set.about)), folder / picture)
        sections.append(_Section(data_set, summary, picture, not_drawn))
    return sections


def _read_histories(
    data_set: DataSet, configurations: Sequence[str]
) -> tuple[dict[str, list[pd.DataFrame]], dict[str, str]]:
    """Return the histories by configuration, in the order given, and by the path of a run why it has none."""
    groups = by_configuration(data_set)
    histories: dict[str, list[pd.DataFrame]] = {}
    problems = {}
    for configuration in configurations:
        for path, run in groups[configuration]:
            try:
                history = _read_history(run)
            except (OSError, ValueError) as error:
                problems[path] = printable(f"history.csv: {getattr(error, 'strerror', None) or error}")
            else:
                histories.setdefault(configuration, []).append(history)
    return histories, problems


def _read_history(run: Run) -> pd.DataFrame:
    """Read a history, and raise ValueError where it is not one that can be drawn."""
    history = run.history()
    for column in _HISTORY:
        if column not in history or not pd.api.types.is_numeric_dtype(history[column]):
            raise ValueError(f"no column {column} of numbers")
    if not history[list(_HISTORY)].replace([float("inf"), -float("inf")], 0).abs().fillna(0).lt(1e100).all(axis=None):
        raise ValueError("numbers too large to draw")
    if history.empty or not history["epoch"].between(1, 1e6).all():
        raise ValueError("no epochs counted from 1")
    return history


def _write_tables(sections: Sequence[_Section], folder: Path) -> None:
    runs = [section.data_set.table for section in sections]
    write_csv(folder / "runs.csv", pd.concat(runs) if runs else pd.DataFrame(columns=RUN_COLUMNS))
    summaries = [section.summary for section in sections]
    write_csv(folder / "summary.csv", pd.concat(summaries) if runs else pd.DataFrame(columns=SUMMARY_COLUMNS))
    parts = [f"## {_title(section)}\n\n{_table(section)}" for section in sections] or ["No run is finished.\n"]
    _write_text(folder / "summary.md", "\n".join([*parts, _LEGEND, _NOTICE]))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def _page(sections: Sequence[_Section], left_out: pd.DataFrame) -> str:
    parts = ["# Results\n", _NOTICE, _counts(sections, left_out) + "\n"]
    for section in sections:
        parts += _section(section)
    if sections:
        parts.append(_LEGEND)
    if len(left_out):
        table = markdown_table(["run", "state", "reason"], left_out.to_numpy().tolist(), num_texts=3)
        parts += ["## Runs left out\n", "These are in no table and no picture.\n", table]
    files = "All finished runs: [runs.csv](tables/runs.csv). Configurations: [summary.csv](tables/summary.csv), "
    parts.append(f"{files}[summary.md](tables/summary.md).\n")
    return "\n".join(parts)


def _counts(sections: Sequence[_Section], left_out: pd.DataFrame) -> str:
    num_runs = sum(len(section.data_set.runs) for section in sections)
    num_configurations = sum(len(section.summary) for section in sections)
    counted = (
        f"{_plural(num_runs, 'finished run')} of {_plural(num_configurations, 'configuration')} "
        f"on {_plural(len(sections), 'data set')}"
    )
    states = left_out["state"].replace("done", "done but not usable").value_counts().sort_index()
    dropped = "; left out: " + ", ".join(f"{count} {state}" for state, count in states.items()) if len(states) else ""
    return (counted if sections else "No run is finished") + dropped


def _section(section: _Section) -> list[str]:
    about, summary = section.data_set.about, section.summary
    lines = [
        f"Citation: {markdown_text(about.citation) or 'not given'}  ",
        f"Licence: {markdown_text(about.licence) or 'not given'}  ",
        f"Data fingerprint: {markdown_text(section.data_set.fingerprint)}\n",
    ]
    parts = [f"## {_title(section)}\n", "\n".join(lines), _table(section)]
    for row in summary[summary["num_collapsed"] > 0].to_dict("records"):
        parts.append(
            f"**Collapsed:** {row['num_collapsed']} of {_plural(row['num_seeds'], 'run')} of "
            f"{markdown_text(row['configuration'])} give (at least 99 % of) all images the same output and say "
            "nothing about the model.\n"
        )
    if section.picture:
        parts.append(f"![Loss and accuracy over the epochs](figures/{section.picture})\n")
    if section.not_drawn:
        parts.append("Without curves:\n")
        listed = [f"- {markdown_text(path)}: {markdown_text(why)}" for path, why in section.not_drawn.items()]
        parts.append("\n".join(listed) + "\n")
    return parts


def _title(section: _Section) -> str:
    return markdown_text(data_heading(section.data_set.about))


def _table(section: _Section) -> str:
    header = ["configuration", "differs in", "seeds", *_METRICS, "collapsed", "train s"]
    rows = []
    for row in section.summary.to_dict("records"):
        averages = [_mean_sd(row[f"{metric}_mean"], row[f"{metric}_sd"]) for metric in AVERAGED]
        end = [str(row["num_collapsed"]), f"{row['train_seconds_mean']:.1f}"]
        rows.append([row["configuration"], row["differs_in"], str(row["num_seeds"]), *averages, *end])
    return markdown_table(header, rows, num_texts=2)


def _mean_sd(mean: float, sd: float) -> str:
    return f"{mean:.3f}" if pd.isna(sd) else f"{mean:.3f} ± {sd:.3f}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _print(sections: Sequence[_Section], left_out: pd.DataFrame, out: Path) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for section in sections:
        console.print(Text(data_heading(section.data_set.about), style="bold"))
        console.print(_terminal_table(section.summary))
    lines = [_counts(sections, left_out)]
    lines += [f"  {row.path}: {row.reason}" for row in left_out.head(_NUM_SHOWN).itertuples()]
    if len(left_out) > _NUM_SHOWN:
        lines.append(f"  and {len(left_out) - _NUM_SHOWN} more, named in the report")
    lines.append(f"report:   {out / 'report.md'}")
    lines += [f"pictures: {out / 'figures' / section.picture}" for section in sections if section.picture]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _terminal_table(summary: pd.DataFrame) -> Table:
    table = Table("configuration", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for title in ("seeds", "accuracy", "F1", "AUROC", "collapsed"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        name = "\n".join(filter(None, (row["configuration"], row["differs_in"])))
        accuracy = _mean_sd(row["accuracy_mean"], row["accuracy_sd"])
        others = [f"{row[f'{metric}_mean']:.3f}" for metric in ("f1", "auroc")]
        cells = [name, str(row["num_seeds"]), accuracy, *others, str(row["num_collapsed"] or "")]
        table.add_row(*map(Text, cells))
    return table

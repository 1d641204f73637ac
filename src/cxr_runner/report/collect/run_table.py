"""Finished runs as a table.

A run enters the table whole or not at all: one whose files are damaged or altered is left out, with the reason. A
metric that an older run lacks is an empty cell.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_runner.artifacts.rundir import Run, RunDir, find_run_dirs
from cxr_runner.base.errors import UserError
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.config.used import is_used
from cxr_runner.data.sources import About
from cxr_runner.report.collect.agreement import ReadRun, RunReader, find_disagreement
from cxr_runner.report.collect.repeated_runs import SourceImages, name_configurations, read_split, sort_by_images
from cxr_runner.report.collect.selection import select_runs
from cxr_runner.report.collected_runs import CollectedRun, SizedRuns
from cxr_runner.report.run_columns import COLUMNS, RUN_COLUMNS, SPLIT_COLUMNS
from cxr_runner.study import Study, match_row

_KINDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
_DTYPES = {int: "Int64", float: "float64", str: "str", bool: "bool"}


def read_runs(
    root: Path, study: Study, reporter: Reporter, select: Sequence[str] = ()
) -> tuple[list[SizedRuns], pd.DataFrame]:
    """Find, read and sort the runs below a folder.

    Args:
        root: outputs tree, a folder of one, or one run directory.
        study: study whose rows runs may repeat.
        reporter: shown the progress.
        select: settings that runs must have, see :func:`cxr_runner.report.collect.selection.select_runs`.

    Returns:
        As :func:`sort_runs`.

    Raises:
        UserError: there is no such folder, no run in it, or none with these settings.
    """
    return sort_runs(find_and_read(root, reporter, select), root.resolve(), study)


def find_and_read(root: Path, reporter: Reporter, select: Sequence[str] = ()) -> list[ReadRun]:
    """Find and read the runs below a folder, whether they are finished or not; as :func:`read_runs` otherwise."""
    if not root.is_dir():
        raise UserError.for_key("ROOT", root, "no such folder; give one that holds runs of cxr-run")
    paths = find_run_dirs(root.resolve())
    if not paths:
        raise UserError.for_key("ROOT", root, "holds no runs yet; cxr-run makes them, e.g. cxr-run model=linear")
    runs, reader = [], RunReader()
    with reporter.steps("reading runs", len(paths)) as advance:
        for path in paths:
            runs.append(reader.read(path))
            advance()
    return select_runs(runs, select)


def sort_runs(runs: Iterable[ReadRun], root: Path, study: Study) -> tuple[list[SizedRuns], pd.DataFrame]:
    """Sort runs into those that count, by data set and image size, and those left out.

    Args:
        runs: runs below ``root``.
        root: folder that the column ``path`` is relative to.
        study: study whose rows runs may repeat.

    Returns:
        The runs that count, by title, those on the same images at one size together; and one row for every run left
        out: ``path``, ``state``, ``reason``.
    """
    counted: dict[tuple[Any, ...], tuple[ReadRun, dict[str, Any]]] = {}
    left_out, diverged = [], []
    for read in runs:
        run, state = read.run, read.run.state
        path = printable(run.path.relative_to(root).as_posix())
        row, problem = _read_row(run, study)
        if not problem and (problem := find_disagreement(read)):
            state = "altered"
        identity = (row["fingerprint"], run.name, run.id, run.seed)
        if not problem and identity in counted:
            problem = f"the same configuration and seed as {counted[identity][1]['path']}, counted once"
        row["path"] = path
        if run.diverged:
            diverged.append(_collected(read, row, f"{run.name}-{run.id}"))
        if problem:
            left_out.append({"path": path, "state": printable(state), "reason": printable(problem)})
        else:
            counted[identity] = read, row
    groups: dict[SourceImages, list[tuple[ReadRun, dict[str, Any]]]] = {}
    kept = list(counted.values())
    for images, entry in zip(sort_by_images([read.run for read, _ in kept]), kept, strict=True):
        groups.setdefault(images, []).append(entry)
    sized = (_sized_runs(images, group, diverged) for images, group in groups.items())
    ordered = sorted(sized, key=lambda one: (one.about.title, one.fingerprints))
    return ordered, pd.DataFrame(left_out, columns=["path", "state", "reason"])


def _collected(read: ReadRun, row: Mapping[str, Any], configuration: str) -> CollectedRun:
    run = read.run
    return CollectedRun(
        directory=run.path,
        path=row["path"],
        name=run.name,
        id=run.id,
        seed=run.seed,
        split=read_split(run),
        configuration=printable(configuration),
        row=row["row"],
        config=run.config,
        metrics=run.metrics,
        data=run.data,
        started=run.started,
        pictures=_pictures(RunDir(run.path)),
        has_checksums=bool(run.checksums),
        history=read.history,
        history_problem=printable(read.history_problem),
        predictions=read.predictions,
    )


def _pictures(files: RunDir) -> tuple[str, ...]:
    return tuple(path.name for path in (files.curves, files.confusion) if path.is_file())


def _read_row(run: Run, study: Study) -> tuple[dict[str, Any], str]:
    """Return the row of a run, and why it cannot be counted, '' if it can."""
    row: dict[str, Any] = {"row": match_row(run.config, study), "seed": run.seed}
    row |= {"name": printable(run.name), "id": printable(run.id)}
    problem = run.problem
    if run.seed < 0 or not run.name:
        problem = problem or "the folder is not named NAME-ID/seed=NUMBER"
    if run.config.get("seed", run.seed) != run.seed:
        problem = problem or f"config.yaml says seed={printable(run.config['seed'])}: a copy under another name"
    for column in COLUMNS:
        value = _lookup(getattr(run, column.file), column.key)
        row[column.name] = _typed(value, column.kind)
        expected = column.required and (column.file != "config" or is_used(column.key, run.config))
        needed = expected or (column.damaging and value is not None)
        if needed and row[column.name] is None:
            file = "config.yaml" if column.file == "config" else f"{column.file}.json"
            problem = problem or f"{file}: {column.key} is missing or not {_KINDS[column.kind]}"
    return row, problem


def _lookup(content: Any, key: str) -> Any:
    for name in key.split("."):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _typed(value: Any, kind: type) -> Any:
    """Return a value as the kind asked for, or None."""
    if isinstance(value, bool) or kind is bool:
        return value if isinstance(value, bool) and kind is bool else None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    if kind is float and isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if kind is str and isinstance(value, str):
        return printable(value) or None
    return value if kind is int and isinstance(value, int) else None


def _sized_runs(
    images: SourceImages, counted: list[tuple[ReadRun, dict[str, Any]]], diverged: Iterable[CollectedRun]
) -> SizedRuns:
    names = name_configurations([read.run for read, _ in counted], images)
    runs = tuple(_collected(read, row, name) for (read, row), name in zip(counted, names, strict=True))
    splits = [{"split_seed": run.split.seed, "fold": run.split.fold} for run in runs]
    rows = [row | split for (_, row), split in zip(counted, splits, strict=True)]
    dtypes = {column.name: _DTYPES[column.kind] for column in COLUMNS} | dict.fromkeys(SPLIT_COLUMNS, "Int64")
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS)).astype(dtypes | {"row": "str"})
    first = runs[0].data
    about = About(
        title=rows[0]["data"],
        citation=printable(first.get("citation") or ""),
        licence=printable(first.get("licence") or ""),
        synthetic=bool(table["synthetic"].any()),
    )
    fingerprints = set(table["fingerprint"])
    same = tuple(run for run in diverged if run.data.get("fingerprint") in fingerprints)
    return SizedRuns(about, images.source, runs, table, same)

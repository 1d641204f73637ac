"""What ``cxr-study STUDY`` does: the rows of a study, a forecast first, one sweep after the other, and a report."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr_runner.artifacts.rundir import Run, find_runs
from cxr_runner.base.errors import RunFailedError, UserError, user_path
from cxr_runner.base.files import read_json
from cxr_runner.base.numbers import format_duration
from cxr_runner.base.progress import make_reporter
from cxr_runner.base.scratch import scratch_folder
from cxr_runner.commands.failures import Failures
from cxr_runner.config.compose import compose
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.config.schema import MOST_SEEDS
from cxr_runner.experiment.sweep import run_sweep
from cxr_runner.report.write import write_report
from cxr_runner.study import Study
from cxr_runner.study.grid import (
    Pace,
    RowGroup,
    Shape,
    Wanted,
    finished,
    forecast,
    is_on,
    plan,
    samples,
    shape,
    which_split,
)
from cxr_runner.study.published import PresetName
from cxr_runner.study.row_values import load_valid_study
from cxr_runner.study.stated import state_claims

_SAMPLE = 92  # phantoms, 64 of them to train on: one batch of 64, two of 32


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Attributes:
        study: study whose rows are trained.
        preset: which rows are cut short.
        data: ``phantom``, ``chest_xray`` or the path of a folder of images.
        seeds: of every row that the preset does not cut short.
        image_size: of every row that the preset does not make smaller; pixels.
        outputs: where the runs go.
        overrides: further arguments of ``cxr-run``.
        folds: number of folds, on each of which every row is trained; None for one split.
        repeats: number of seeds of the split.
    """

    study: Study
    preset: PresetName
    data: str
    seeds: int
    image_size: int
    outputs: Path
    overrides: tuple[str, ...] = ()
    folds: int | None = None
    repeats: int | None = None

    def arguments(self) -> list[str]:
        """Return what every run is given."""
        runs = self.study.runs
        if any(override.startswith("data=") for override in self.overrides):  # a table, a set on the Hub
            source = list(runs.settings)
        elif self.data in ("phantom", "chest_xray"):
            source = [f"data={self.data}", *runs.settings]
        else:
            source = ["data=folder", f"data.root={user_path('--data', self.data)}", *runs.settings, *runs.folder]
        asked = {"folds": self.folds, "repeats": self.repeats}
        splits = [f"data.split.{name}={number}" for name, number in asked.items() if number is not None]
        return [*source, *self.overrides, *splits, f"outputs={self.outputs.absolute()}"]


def perform_study(given: argparse.Namespace) -> None:
    """Train a study as the command line asks for it.

    Args:
        given: arguments as :func:`~cxr_runner.commands.arguments.read_study_arguments` returns them.

    Raises:
        UserError: there is no such study, a mistake in its file, or the order cannot be carried out.
        RunFailedError: runs failed.
    """
    study = load_valid_study(given.study)
    order = Order(
        study=study,
        preset=given.preset or study.runs.preset,
        data=given.data,
        seeds=study.runs.seeds if given.seeds is None else given.seeds,
        image_size=study.image_size if given.size is None else given.size,
        outputs=given.outputs or Path("outputs/study"),
        overrides=tuple(given.overrides),
        folds=given.folds,
        repeats=given.repeats,
    )
    run_study(order, only_forecast=given.forecast)


def run_study(order: Order, *, only_forecast: bool = False) -> None:
    """Train what is missing of a study and write the report.

    Args:
        order: what was asked for.
        only_forecast: train nothing beyond the short measurement.

    Raises:
        UserError: the order cannot be carried out.
        RunFailedError: runs failed; the others and the report are there all the same.
    """
    splits = _splits(order)
    study, data = order.study, asdict(splits[0])
    state_claims(study, order.outputs)  # before the first run
    chosen = tuple(which_split(asdict(split)) for split in splits)
    groups = plan(order.preset, order.seeds, order.image_size, study, chosen)
    done = finished(find_runs(order.outputs), data, study)
    num_runs, num_done = _num(groups), _num(groups, done)
    print(f"study: {num_runs} runs, {num_done} of them done, in {order.outputs}", flush=True)
    paces = _measure(order, groups, done, data) if num_done < num_runs else {}
    _print_forecast(groups, done, paces)
    if only_forecast:
        return
    failed = [
        group for group in groups for sweep in group.sweeps() if not _train(order, sweep, groups, data, paces, study)
    ]
    write_report(order.outputs, order.outputs / "report", make_reporter("auto"), study)
    if failed:
        missing = num_runs - _num(groups, finished(find_runs(order.outputs), data, study))
        raise RunFailedError(f"{missing} of {num_runs} runs are missing; the lines above name those that failed")


def _splits(order: Order) -> list[AnyDataConfig]:
    """Return the data that was asked for, once for each of its splits.

    Raises:
        UserError: there are too few or too many of seeds, folds or repeats.
    """
    if not 1 <= order.seeds <= MOST_SEEDS:
        valid = f"must be at least 1 and at most {MOST_SEEDS}, as seeds of cxr-run"
        raise UserError.for_key("--seeds", order.seeds, valid)
    for name, number, least in (("--folds", order.folds, 2), ("--repeats", order.repeats, 1)):
        if number is not None and number < least:
            raise UserError.for_key(name, number, f"must be at least {least}")
    splits = [run.data for run in compose([*order.arguments(), "seeds=1"])]
    if order.seeds * len(splits) > MOST_SEEDS:
        valid = f"with {len(splits):,} splits asks for {order.seeds * len(splits):,} runs of a row"
        raise UserError.for_key("--seeds", order.seeds, f"{valid}; at most {MOST_SEEDS:,} are trained")
    return splits


def _train(
    order: Order,
    sweep: RowGroup,
    groups: Sequence[RowGroup],
    data: dict[str, Any],
    paces: dict[Shape, Pace],
    study: Study,
) -> bool:
    """Train one sweep, if anything of it is missing, and say how far the study is; return whether no run failed."""
    done = finished(find_runs(order.outputs), data, study)
    if sweep.wanted() <= done:
        return True
    left = sum(forecast(group, done, paces) for group in groups)
    progress = f"{_num(groups, done)} of {_num(groups)} runs done, about {format_duration(left)} left"
    print(f"\nstudy: {progress}; now {sweep.title}", flush=True)
    return _run_rows(sweep, order.arguments())


def _num(groups: Sequence[RowGroup], done: set[Wanted] | None = None) -> int:
    """Count the runs of a plan: all, or those that are done."""
    return sum(len(group.wanted() if done is None else group.wanted() & done) for group in groups)


def _run_rows(group: RowGroup, arguments: Sequence[str], trial: Sequence[str] = ()) -> bool:
    """Train rows together where that is faster; return whether no run failed.

    Raises:
        UserError: a mistake in what was asked for, which has been said.
    """
    configs = [
        run for row in group.rows for run in compose([*arguments, *group.overrides(row), *trial], set_aside=True)
    ]
    failures = Failures("cxr-study")
    run_sweep(configs, failures.add)
    problems = failures.collect()
    if any(isinstance(problem, UserError) for problem in problems):
        raise UserError("nothing more is done, for the reason above")
    return not problems


def _measure(order: Order, groups: Sequence[RowGroup], done: set[Wanted], data: dict[str, Any]) -> dict[Shape, Pace]:
    """Train two epochs of every shape that is left and see how long they take.

    Rows that share work are measured on the chosen data, whose decoded images and Gram matrix stay in the cache for
    the sweep. The others take as long for one image as for another and are measured on a few synthetic phantoms, but
    for the first where no rows share work: it says how many images there are.
    """
    on_data = (run for run in find_runs(order.outputs) if not run.problem and is_on(run, data))
    num_images = next((run.data.get("num_images") for run in on_data), None)
    paces: dict[Shape, Pace] = {}
    print("study: preparing the images and measuring two epochs of each kind of model", flush=True)
    for group in groups:
        rows = samples(group, done)
        if num_images is None or (group.shared and rows):
            seeds = group.seeds if group.shared else 1
            sample = RowGroup(group.title, tuple(rows or group.rows[:1]), seeds, group.image_size, True)
            one = [
                f"data.split.seed={group.splits[0][0]}",
                f"data.split.fold={group.splits[0][1]}",
                "data.split.repeats=1",
            ]
            with _trial(order, sample, [*order.arguments(), *one]) as runs:
                num_images = runs[0].data["num_images"]
                paces |= _paces(sample, runs, 1.0)
        elif rows:
            sample = RowGroup(group.title, tuple(rows), 1, group.image_size, True)
            phantoms = ["data=phantom", f"data.num_images={_SAMPLE}"]
            others = [argument for argument in order.overrides if not argument.startswith("data")]
            with _trial(order, sample, [*phantoms, *others]) as runs:
                paces |= _paces(sample, runs, num_images / runs[0].data["num_images"])
    return paces


@contextlib.contextmanager
def _trial(order: Order, sample: RowGroup, arguments: Sequence[str]) -> Iterator[list[Run]]:
    """Train two epochs of a few rows somewhere else."""
    with scratch_folder("cxr-forecast-") as folder:
        trial = [f"outputs={folder}", "epochs=2", "progress=none"]
        succeeded = _run_rows(sample, arguments, trial)
        runs = find_runs(folder)
        if not succeeded:
            raise UserError(f"the models of the group {sample.title} cannot be measured, for the reason above")
        yield runs


def _paces(sample: RowGroup, runs: Sequence[Run], scale: float) -> dict[Shape, Pace]:
    """Read the pace of every row from its runs; seconds of epochs grow with the number of images by ``scale``."""
    paces = {}
    for row in sample.rows:
        seeds = [run for run in runs if run.name == row.run_name]
        histories = [run.history()["seconds"] for run in seeds]
        # Runs that train together each report the seconds of all: the longest is the whole.
        whole = max(float((read_json(run.path / "status.json") or {})["seconds"]) for run in seeds)
        epoch = sum(history.iloc[-1] for history in histories) / len(seeds)  # the first one warms up
        beside = (whole - sum(history.sum() for history in histories)) / len(seeds)
        paces[shape(row, sample.image_size)] = Pace(scale * epoch, max(beside, 0.0))
    return paces


def _print_forecast(groups: Sequence[RowGroup], done: set[Wanted], paces: dict[Shape, Pace]) -> None:
    several = len(groups[0].splits) > 1
    header = f"{'splits':>8}" if several else ""
    print(f"\n{'':24}{'rows':>6}{'seeds':>7}{header}{'pixels':>10}{'done':>12}{'forecast':>11}")
    total = 0.0
    for group in groups:
        seconds = forecast(group, done, paces)
        total += seconds
        counted = f"{_num([group], done)} of {_num([group])}"
        pixels = f"{group.image_size}x{group.image_size}"
        sizes = f"{len(group.rows):>6}{group.seeds:>7}" + (f"{len(group.splits):>8}" if several else "")
        print(f"{group.title:24}{sizes}{pixels:>10}{counted:>12}{format_duration(seconds):>11}")
    ends = time.strftime("%H:%M", time.localtime(time.time() + total))
    print(f"{'together':24}{'':{35 + len(header)}}{format_duration(total):>11}   at this pace until {ends}", flush=True)

"""The runs that claims look at, by their settings, and what each of them says."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import DataSetRuns, Predictions
from cxr_runner.report.collected_runs import CollectedRun, RunSplit, SizedRuns
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting, settings_of_claim
from cxr_runner.report.compare.claims.run_numbers import Decisions, RunNumbers, best_constant_loss, curve_numbers
from cxr_runner.report.compare.split_shares import split_shares
from cxr_runner.report.compare.training_setups import timed_runs
from cxr_runner.report.missing import PIXELS
from cxr_runner.study import Row, Study, match_row, same_setting

_Cell = tuple[str, RunSplit, int]  # configuration, split and seed


class _Manner(NamedTuple):
    """How runs split their images, whatever the seed of the split."""

    folds: int | None
    strategy: str

    @property
    def words(self) -> str:
        of_folds = f"{self.folds} folds" if self.folds else "single splits"
        return f"{of_folds} by {self.strategy}" if self.strategy else of_folds


class _Group(NamedTuple):
    """Runs at one size that split their images in one manner."""

    study: Study
    finished: tuple[CollectedRun, ...]
    diverged: tuple[CollectedRun, ...]


def observe(runs: DataSetRuns) -> tuple[Observed, ...]:
    """Return the runs that claims are about, those of each image size and each manner of splitting apart.

    Runs that diverged are among them. Splits of one manner are replicates, as seeds are. Where training times are
    compared, all runs are on one device.
    """
    return tuple(one for sized in runs.sizes for one in _at_size(sized, runs))


def _at_size(sized: SizedRuns, runs: DataSetRuns) -> Iterator[Observed]:
    for manner in dict.fromkeys(map(_manner, sized.runs)):
        group = _Group(
            runs.study,
            tuple(run for run in sized.runs if _manner(run) == manner),
            tuple(run for run in sized.diverged if _manner(run) == manner),
        )
        splits = sorted({run.split for run in (*group.finished, *group.diverged)}, key=lambda split: split.order)
        held_ratio, shared_test = split_shares(group.finished)
        yield Observed(
            _numbers_by_setting(group, splits, _decisions(runs.predictions, group)),
            sized.image_size,
            manner.words if len(splits) > 1 else splits[0].words,
            held_ratio,
            shared_test,
        )


def _manner(run: CollectedRun) -> _Manner:
    said = run.data.get("split")
    strategy = said.get("strategy") if isinstance(said, Mapping) else ""
    return _Manner(run.split.folds, str(strategy or ""))


def _numbers_by_setting(
    group: _Group, splits: Sequence[RunSplit], decisions: Mapping[_Cell, Decisions]
) -> dict[RowSetting, list[RunNumbers]]:
    wanted = list(dict.fromkeys(setting for claim in group.study.claims for setting in settings_of_claim(claim)))
    timed = timed_runs([group.finished], [setting.row for setting in wanted if setting.override == PIXELS])
    found = {}
    for setting in wanted:
        row = group.study.row(setting.row)
        at_setting = timed[setting.row] if setting.override == PIXELS else _runs(setting, row, group)
        by_cell = {}
        for run in at_setting:
            known = None if setting.override else decisions.get((run.configuration, run.split, run.seed))
            by_cell[run.split, run.seed] = _numbers(run, row, group, splits.index(run.split), known)
        found[setting] = sorted(by_cell.values(), key=lambda numbers: numbers.cell)
    return found


def _runs(setting: RowSetting, row: Row, group: _Group) -> list[CollectedRun]:
    """Return the runs at a setting, finished ones before those that diverged."""
    override = setting.override or f"optimizer.lr={row.lr:g}"
    if setting.override:
        finished = [run for run in group.finished if _is_at(run, row, override, group.study)]
    else:  # of several configurations that repeat the row, that with the most runs
        repeating = [run for run in group.finished if run.row == row.id]
        counts = Counter(run.configuration for run in repeating)
        chosen = min(counts, key=lambda name: (-counts[name], name), default="")
        finished = [run for run in repeating if run.configuration == chosen]
    cells = {(run.split, run.seed) for run in finished}
    diverged = [run for run in group.diverged if _is_at(run, row, override, group.study)]
    return [*finished, *(run for run in diverged if (run.split, run.seed) not in cells)]


def _is_at(run: CollectedRun, row: Row, override: str, study: Study) -> bool:
    """Say whether a run is one of a row, but for the learning rate, which is that of ``optimizer.lr=...``."""
    optimizer = run.config.get("optimizer")
    if not isinstance(optimizer, dict) or not same_setting(optimizer.get("lr"), float(override.partition("=")[2])):
        return False
    return match_row({**run.config, "optimizer": {**optimizer, "lr": row.lr}}, study) == row.id


def _numbers(run: CollectedRun, row: Row, group: _Group, split: int, decisions: Decisions | None) -> RunNumbers:
    if any(run is one for one in group.diverged):
        return RunNumbers(run.seed, False, {"converged": 0.0}, split=split)
    trained = not run.metrics["collapsed"]
    numbers: dict[str, float] = {}
    if run.history is not None:
        numbers = curve_numbers(run.history, trained, _constant_loss(run.data, row.pos_weight), group.study)
    if run.metrics["engine"] == "pixel":
        numbers |= {"seconds": float(run.metrics["train_seconds"])}
    return RunNumbers(run.seed, trained, numbers, decisions, split)


def _constant_loss(facts: Mapping[str, Any], pos_weight: float | None) -> float:
    """Return the loss of the best constant output; nan where the training images are not counted by class."""
    counts = class_counts(facts).get("train", {})
    positive = counts.get(str(facts.get("positive_class")), 0)
    negative = sum(counts.values()) - positive
    return best_constant_loss(positive, negative, pos_weight) if positive and negative else math.nan


def _decisions(predictions: Predictions, group: _Group) -> dict[_Cell, Decisions]:
    """Return what the runs say of the test images."""
    decisions = {}
    for name in dict.fromkeys(run.configuration for run in group.finished if run.row is not None):
        for one in predictions.configurations.get(name, ()):
            labels = predictions.labels[one.test_rows] > 0
            groups = _groups(predictions, one.test_rows)
            for seed, answers in zip(one.seeds, one.test, strict=True):
                decisions[name, one.split, seed] = Decisions(answers, labels, groups)
    return decisions


def _groups(predictions: Predictions, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the same number for images of one patient; where patients are not known every image counts as one."""
    if predictions.patients is None:
        return np.arange(len(rows))
    patients = np.asarray(predictions.patients, dtype=object)[rows]
    return pd.factorize(patients)[0].astype(np.int64)

"""The runs that claims look at, by their settings, and what each of them says."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import DataSetRuns, Predictions
from cxr_runner.report.collected_runs import CollectedRun, RunSplit, SizedRuns
from cxr_runner.report.compare.claims.claim_tests import RowSetting, settings_of
from cxr_runner.report.compare.claims.run_numbers import Decisions, RunNumbers, best_constant_loss, curve_numbers
from cxr_runner.report.compare.training_setups import timed_runs
from cxr_runner.report.missing import PIXELS
from cxr_runner.study import Row, Study, match_row, same_setting


def observe(runs: DataSetRuns) -> dict[RowSetting, list[RunNumbers]]:
    """Return the runs that claims are about, those on the largest images that there are of each row.

    Runs that diverged are among them. All are on one split: claims are tested over seeds. Where training times are
    compared, all runs are on images of one size and on one device.
    """
    conditions = [condition for claim in runs.study.claims for condition in claim.conditions]
    wanted = dict.fromkeys(setting for condition in conditions for setting in settings_of(condition))
    timed = timed_runs(runs, [setting.row for setting in wanted if setting.override == PIXELS])
    decisions = _decisions(runs)
    observed: dict[RowSetting, list[RunNumbers]] = {}
    for setting in wanted:
        at_setting = timed[setting.row] if setting.override == PIXELS else _runs(setting, runs)
        known = decisions if not setting.override else {}
        loss = _constant_loss(runs.facts, runs.study.row(setting.row).pos_weight)
        numbers = {run.seed: _numbers(run, runs, loss, known.get((setting.row, run.seed))) for run in at_setting}
        observed[setting] = [numbers[seed] for seed in sorted(numbers)]
    return observed


def _runs(setting: RowSetting, runs: DataSetRuns) -> list[CollectedRun]:
    """Return the runs at a setting, finished ones before those that diverged."""
    row = runs.study.row(setting.row)
    for sized in runs.sizes:
        split = split_of_claims(sized)
        finished = [run for run in _finished(setting, row, sized, runs) if run.split == split]
        seeds = {run.seed for run in finished}
        override = setting.override or f"optimizer.lr={row.lr:g}"
        diverged = [
            run
            for run in sized.diverged
            if run.split.fingerprint == split.fingerprint
            and _is_at(run, row, override, runs.study)
            and run.seed not in seeds
        ]
        if finished or diverged:
            return [*finished, *diverged]
    return []


def split_of_claims(sized: SizedRuns) -> RunSplit:
    """Return the split whose runs claims look at: that with the most runs, of several the first."""
    counts = Counter(run.split for run in sized.runs)
    return min(counts, key=lambda split: (-counts[split], split.order))


def _finished(setting: RowSetting, row: Row, sized: SizedRuns, runs: DataSetRuns) -> list[CollectedRun]:
    if setting.override:
        return [run for run in sized.runs if _is_at(run, row, setting.override, runs.study)]
    repetition = runs.repetitions.get(row.id)
    return list(repetition.runs) if repetition and repetition.image_size == sized.image_size else []


def _is_at(run: CollectedRun, row: Row, override: str, study: Study) -> bool:
    """Say whether a run is one of a row, but for the learning rate, which is that of ``optimizer.lr=...``."""
    optimizer = run.config.get("optimizer")
    if not isinstance(optimizer, dict) or not same_setting(optimizer.get("lr"), float(override.partition("=")[2])):
        return False
    return match_row({**run.config, "optimizer": {**optimizer, "lr": row.lr}}, study) == row.id


def _numbers(run: CollectedRun, runs: DataSetRuns, loss: float, decisions: Decisions | None) -> RunNumbers:
    if run.path not in runs.runs:  # it diverged
        return RunNumbers(run.seed, False, {"converged": 0.0})
    trained = not run.metrics["collapsed"]
    numbers: dict[str, float] = {}
    if run.history is not None:
        numbers = curve_numbers(run.history, trained, loss, runs.study)
    if run.metrics["engine"] == "pixel":
        numbers |= {"seconds": float(run.metrics["train_seconds"])}
    return RunNumbers(run.seed, trained, numbers, decisions)


def _constant_loss(facts: Mapping[str, Any], pos_weight: float | None) -> float:
    """Return the loss of the best constant output; nan where the training images are not counted by class."""
    counts = class_counts(facts).get("train", {})
    positive = counts.get(str(facts.get("positive_class")), 0)
    negative = sum(counts.values()) - positive
    return best_constant_loss(positive, negative, pos_weight) if positive and negative else math.nan


def _decisions(runs: DataSetRuns) -> dict[tuple[str, int], Decisions]:
    """Return, by row and seed, what the runs that did not collapse say of the test images."""
    predictions = runs.predictions
    splits = {split_of_claims(sized) for sized in runs.sizes}
    decisions = {}
    for row_id, repetition in runs.repetitions.items():
        for one in predictions.configurations.get(repetition.runs[0].configuration, ()):
            if one.split in splits:
                labels = predictions.labels[one.test_rows] > 0
                groups = _groups(predictions, one.test_rows)
                for seed, collapsed, answers in zip(one.seeds, one.collapsed, one.test, strict=True):
                    if not collapsed:
                        decisions[row_id, seed] = Decisions(answers > 0, labels, groups)
    return decisions


def _groups(predictions: Predictions, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the same number for images of one patient; where patients are not known every image counts as one."""
    if predictions.patients is None:
        return np.arange(len(rows))
    patients = np.asarray(predictions.patients, dtype=object)[rows]
    return pd.factorize(patients)[0].astype(np.int64)

"""The runs of a cohort as claims see them: which ones stand where, and what each of them says."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import Run
from cxr_runner.report.claims.numbers import Decisions, Trial, best_constant_loss, curve_numbers
from cxr_runner.report.claims.tests import Place, places
from cxr_runner.report.runs.collected import Material
from cxr_runner.report.runs.commands import PIXELS
from cxr_runner.report.runs.groups import Cohort, class_counts, timed_runs
from cxr_runner.report.runs.predictions import Predictions
from cxr_runner.report.runs.table import DataSet
from cxr_runner.study import Row, load_study, match_row, same_setting


def gather_evidence(material: Material, predictions: Predictions) -> dict[Place, list[Trial]]:
    """Gather the runs that claims rest on, those on the largest images that there are of each row.

    Runs that diverged are among them. Where training times are compared, all runs are on
    images of one size and on one device.
    """
    study = load_study()
    conditions = [condition for claim in study.claims for condition in claim.conditions]
    wanted = dict.fromkeys(place for condition in conditions for place in places(condition))
    timed = timed_runs(material.cohort, [place.row for place in wanted if place.override == PIXELS])
    decisions = _decisions(predictions)
    found: dict[Place, list[Trial]] = {}
    for place in wanted:
        runs = timed[place.row] if place.override == PIXELS else _runs(place, material.cohort)
        own = decisions if not place.override else {}
        loss = _constant_loss(material.cohort.facts, study.row(place.row).pos_weight)
        trials = {run.seed: _trial(run, path, material, loss, own.get((place.row, run.seed))) for path, run in runs}
        found[place] = [trials[seed] for seed in sorted(trials)]
    return found


def _runs(place: Place, cohort: Cohort) -> list[tuple[str | None, Run]]:
    """Return the runs of a place, with their paths where they are finished."""
    row = load_study().row(place.row)
    repetition = cohort.repetitions.get(row.id)
    for data_set in cohort.data_sets:
        if place.override:
            finished = [(path, run) for path, run in _finished(data_set) if _is_at(run, row, place.override)]
        elif repetition and repetition.image_size == data_set.image_size:
            finished = list(zip(repetition.table["path"], repetition.runs, strict=True))
        else:
            finished = []
        seeds = {run.seed for _, run in finished}
        override = place.override or f"optimizer.lr={row.lr:g}"
        diverged = [(None, run) for run in data_set.diverged if _is_at(run, row, override) and run.seed not in seeds]
        if finished or diverged:
            return [*finished, *diverged]
    return []


def _finished(data_set: DataSet) -> Iterator[tuple[str, Run]]:
    return zip(data_set.table["path"], data_set.runs, strict=True)


def _is_at(run: Run, row: Row, override: str) -> bool:
    """Say whether a run is one of a row, but for the learning rate, which is that of ``optimizer.lr=...``."""
    optimizer = run.config.get("optimizer")
    if not isinstance(optimizer, dict) or not same_setting(optimizer.get("lr"), float(override.partition("=")[2])):
        return False
    return match_row(run.config | {"optimizer": {**run.config["optimizer"], "lr": row.lr}}) == row.id


def _trial(run: Run, path: str | None, material: Material, loss: float, decisions: Decisions | None) -> Trial:
    if path is None:
        return Trial(run.seed, False, {"converged": 0.0})
    alive = not run.metrics["collapsed"]
    numbers: dict[str, float] = {}
    if path in material.histories:
        numbers = curve_numbers(material.histories[path], alive, loss)
    if run.metrics["engine"] == "pixel":
        numbers |= {"seconds": float(run.metrics["train_seconds"])}
    return Trial(run.seed, alive, numbers, decisions)


def _constant_loss(facts: Mapping[str, Any], pos_weight: float | None) -> float:
    """Return the loss of the best constant output; nan where the training images are not counted by class."""
    counts = class_counts(facts).get("train", {})
    positive = counts.get(str(facts.get("positive_class")), 0)
    negative = sum(counts.values()) - positive
    return best_constant_loss(positive, negative, pos_weight) if positive and negative else math.nan


def _decisions(predictions: Predictions) -> dict[tuple[str, int], Decisions]:
    """Return, by row and seed, what the living runs say of the test images."""
    labels = predictions.test_labels > 0
    patients = predictions.patients or range(len(labels))  # where names do not tell them every image counts as one
    groups = pd.factorize(np.asarray(patients, dtype=object))[0].astype(np.int64)
    return {
        (row_id, seed): Decisions(logits > 0, labels, groups)
        for row_id, found in predictions.rows.items()
        for seed, logits in zip(found.seeds, found.test, strict=True)
    }

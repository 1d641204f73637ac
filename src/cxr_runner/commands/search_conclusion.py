"""What the best trial of a search is worth: the luck in its choice, its test metrics, the choice made anew by fold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cxr_runner import stats
from cxr_runner.artifacts.metrics import metric
from cxr_runner.artifacts.rundir import Run, read_run
from cxr_runner.base.numbers import format_number, plural
from cxr_runner.report.sweep_report import estimate_configuration
from cxr_runner.stats.choice_luck import (
    SPLITS,
    WEIGHTED_METRICS,
    Luck,
    choose_in_folds,
    draw_halves,
    luck_of_choice,
    whole_splits,
)

_FEWEST = 4  # replicates that a trial has to have to be one of those that the best was chosen from
_UNSEEING = ("random", "grid", "qmc")  # samplers whose proposals do not depend on what came out


class Fold(NamedTuple):
    """A fold, by the seed of its split and its number from 0."""

    seed: int
    number: int

    @property
    def label(self) -> str:
        """What it is called."""
        return f"split={self.seed} fold={self.number}"


@dataclass(frozen=True)
class Candidate:
    """A trial that might have been chosen.

    Attributes:
        number: of the trial.
        runs: its finished runs, by the labels of the replicates.
    """

    number: int
    runs: Mapping[str, Run]


def conclude(record: dict[str, Any], outputs: Path, key: str) -> dict[str, Any]:
    """Return the record of a search with what its best trial is worth, in numbers and in sentences.

    Args:
        record: content of ``search.json`` so far, with a best trial.
        outputs: outputs tree that the paths of runs are below.
        key: the metric, without its split.
    """
    higher = bool(record["higher_is_better"])
    best = record["trials"][record["best"]]
    candidates = _candidates(record, outputs)
    luck = _luck(candidates, key, higher)
    expected = None if luck is None else record["best_value"] + max(luck.gain, 0.0) * (-1 if higher else 1)
    estimates = estimate_configuration([outputs / run for run in best["runs"].values()], outputs)
    test = {name: [one.mean, _known(one.low), _known(one.high)] for name, one in estimates.items()}
    nested = _nested(candidates, record, key)
    found = {"luck": None if luck is None else luck._asdict(), "expected": expected, "test": test, "nested": nested}
    verdict = [*record["verdict"], _say(expected, luck, candidates, key), *_say_test(test, best, nested, key)]
    if spared := _spared(record):
        verdict.append(f"pruning spared {spared:,} of {plural(record['runs_planned'], 'run')}")
    return record | found | {"verdict": verdict}


def _spared(record: Mapping[str, Any]) -> int:
    """Return how many runs val has ended or spared; runs that failed by themselves are not among them."""
    return sum(one["planned"] - one["trained"] for one in record["trials"] if one["state"] == "pruned")


def _candidates(record: Mapping[str, Any], outputs: Path) -> list[Candidate]:
    """Return the trials that could have been chosen, with as many replicates as all of them have."""
    trials = [one for one in record["trials"] if one["state"] in ("measured", "pruned") and one["values"]]
    fewest = min(_FEWEST, len(record["trials"][record["best"]]["values"]))
    trials = [one for one in trials if len(one["values"]) >= fewest]
    common = set.intersection(*(set(one["values"]) for one in trials))
    labels = [label for label in trials[0]["values"] if label in common]
    return [
        Candidate(one["number"], {label: read_run(outputs / one["runs"][label]) for label in labels}) for one in trials
    ]


def _luck(candidates: Sequence[Candidate], key: str, higher: bool) -> Luck | None:
    """Estimate what the choice gains by luck; None where there is nothing to take halves of."""
    if key in WEIGHTED_METRICS and (answers := _val_answers(candidates)):
        labels, units, logits = answers
        weights = draw_halves(units)
        halves = np.array([[WEIGHTED_METRICS[key](run, labels, weights) for run in one] for one in logits])
        if math.isfinite((luck := luck_of_choice(halves, higher, halved_images=True)).gain):
            return luck
    values = np.array([[run.metrics["val"][key] for run in one.runs.values()] for one in candidates], np.float64)
    luck = luck_of_choice(whole_splits(values), higher, halved_images=False)
    return luck if math.isfinite(luck.gain) else None


def _val_answers(candidates: Sequence[Candidate]) -> tuple[Any, Any, list[list[Any]]] | None:
    """Return labels, patients as numbers and logits of val; None where replicates have not the same images."""
    tables = [[_val(run) for run in one.runs.values()] for one in candidates]
    first = tables[0][0]
    if not all(table["name"].equals(first["name"]) for row in tables for table in row):
        return None
    named = [patient or f"\0{number}" for number, patient in enumerate(first["patient"])]
    units = np.unique(named, return_inverse=True)[1].astype(np.int64)
    return first["label"].to_numpy(), units, [[table["logit"].to_numpy(np.float64) for table in row] for row in tables]


def _val(run: Run) -> Any:
    table = run.predictions()
    return table[table["split"] == "val"].sort_values("name", kind="stable").reset_index(drop=True)


def _nested(candidates: Sequence[Candidate], record: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """Choose in each fold by its own val and judge on its test images; None where there are no folds to do so."""
    places = {label: _fold(run) for label, run in candidates[0].runs.items()}
    folds = sorted(set(filter(None, places.values())))
    if len(folds) < 2 or len(candidates) < 2:
        return None
    val, test = (
        np.array([[_mean(one, places, fold, split, key) for fold in folds] for one in candidates])
        for split in ("val", "test")
    )
    choice = choose_in_folds(val, test, bool(record["higher_is_better"]))
    runs = {fold: run for label, run in candidates[0].runs.items() if (fold := places[label])}
    ratio = _held_ratio(list(runs.values()))
    numbers = np.arange(len(folds))
    estimate = stats.mean_over_runs(choice.test, numbers, np.zeros_like(numbers), ratio, 0.0, False, bounds=(0.0, 1.0))
    # What test images make uncertain is not seen between folds that all have the same.
    shared = any((run.data.get("split") or {}).get("given_test") for run in runs.values())
    ends = (math.nan, math.nan) if shared else (estimate.low, estimate.high)
    return {
        "folds": len(folds),
        "chosen": [candidates[index].number for index in choice.chosen],
        "test": [estimate.mean, *map(_known, ends)],
        "strict": record["sampler"]["name"] in _UNSEEING and not _spared(record),
        "shared_test": shared,
        "held_ratio": ratio,
        "by_fold": [
            {"fold": fold.label, "data": _data(candidates, places, fold), "test": _known(value)}
            for fold, value in zip(folds, choice.test, strict=True)
        ],
    }


def _fold(run: Run) -> Fold | None:
    split = run.config["data"]["split"]
    return None if split.get("folds") is None else Fold(int(split["seed"]), int(split["fold"]))


def _held_ratio(runs: Sequence[Run]) -> float:
    """Return the number of test images over that of train and val, both of which have led to a choice.

    Over all folds of all images this is 1 / (folds - 1).
    """
    counts = [run.data["counts"] for run in runs]
    train, val, test = (sum(sum(one[split].values()) for one in counts) for split in ("train", "val", "test"))
    return float(test / (train + val))


def _data(candidates: Sequence[Candidate], places: Mapping[str, Fold | None], fold: Fold) -> str:
    """Return the fingerprint of the data of a fold; several, where what is searched changes the images."""
    runs = (run for one in candidates for label, run in one.runs.items() if places[label] == fold)
    return " ".join(sorted({str(run.data.get("fingerprint")) for run in runs}))


def _mean(one: Candidate, places: Mapping[str, Any], fold: object, split: str, key: str) -> float:
    return float(np.mean([run.metrics[split][key] for label, run in one.runs.items() if places[label] == fold]))


def _known(end: float) -> float | None:
    return float(end) if math.isfinite(end) else None


def _say(expected: float | None, luck: Luck | None, candidates: Sequence[Candidate], key: str) -> str:
    if luck is None or expected is None:
        return "the luck in this choice is not known: that takes two trials, and several seeds or folds to halve"
    replicates = "folds" if any(map(_fold, candidates[0].runs.values())) else "seeds"
    halves = [replicates] * (luck.replicates > 1) + ["patients of val"] * luck.halved_images
    how = f"chosen on half of the {' and '.join(halves)} and judged on the other, {SPLITS} times"
    of = f"being the best of {len(candidates)} ({how})"
    said = f"up to {format_number(max(luck.gain, 0.0), '.4f')} of its val {metric(key).words} is luck of {of}"
    unseen = "" if luck.replicates > 1 else "; luck of the seed is not in it, more seeds would show it"
    return f"{said}: expect {format_number(expected, '.4f')} on such images{unseen}"


def _say_test(
    test: Mapping[str, Sequence[float | None]], best: Mapping[str, Any], nested: Mapping[str, Any] | None, key: str
) -> list[str]:
    said = []
    named = [key] if key in test else []
    for name in dict.fromkeys([*named, *test]):
        said.append(f"{metric(name).words} {_with_ends(test[name])}")
    sentences = [f"test, which no choice has seen: {', '.join(said)}"] if said else []
    if nested:
        alike = sum(number == best["number"] for number in nested["chosen"])
        head = f"chosen anew in each of {nested['folds']} folds by its own val: test {metric(key).words}"
        same = f"{alike} of {nested['folds']} choose the same trial"
        loose = "" if nested["strict"] else "; what was tried was led by the val images of all folds"
        sentences.append(f"{head} {_with_ends(nested['test'])}; {same}{loose}")
    return sentences


def _with_ends(estimate: Sequence[float | None]) -> str:
    mean, low, high = estimate
    assert mean is not None
    ends = "" if low is None or high is None else f" ({format_number(low, '.4f')} to {format_number(high, '.4f')})"
    return f"{format_number(mean, '.4f')}{ends}"

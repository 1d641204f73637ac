"""Searches that chose anew in the same folds, compared by pairs: the numbers, and what can be compared."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cxr_runner.artifacts.rundir import Run
from cxr_runner.commands import search_conclusion
from cxr_runner.commands.search_conclusion import Candidate
from cxr_runner.report.compare.search_pairs import compare_searches
from cxr_runner.report.render.search_section import search_sections

FIRST, SECOND = (0.983, 0.974, 0.981, 0.978, 0.974), (0.979, 0.972, 0.975, 0.975, 0.973)


def _search(name: str, tests: tuple[float, ...], strict: bool = True) -> dict[str, Any]:
    """Return what a report needs of a search."""
    folds = [{"fold": f"split=0 fold={at}", "data": f"{at:016x}", "test": one} for at, one in enumerate(tests)]
    mean = float(np.mean(tests))
    nested = {"folds": len(tests), "test": [mean, mean - 0.01, mean + 0.01], "strict": strict, "shared_test": False}
    nested |= {"held_ratio": 1 / (len(tests) - 1), "by_fold": folds}
    trial = {"number": 0, "params": {"a": 1}, "value": 0.9, "state": "measured"}
    trial |= {"trained": 5, "collapsed": 0, "reason": ""}
    content = {"name": name, "metric": "val_auroc", "higher_is_better": True, "space": {"a": "1,2"}, "log": []}
    content |= {"sampler": {"name": "random"}, "prune_p": None, "best_value": 0.9, "importance": {}, "verdict": []}
    return {**content, "trials": [trial], "nested": nested}


def _corrected(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Nadeau and Bengio's corrected t: both ends of the interval, and p."""
    number = len(differences)
    error = math.sqrt((1 / number + 1 / (number - 1)) * differences.var(ddof=1))
    half = stats.t.ppf(0.975, number - 1) * error
    mean = differences.mean()
    return mean - half, mean + half, 2 * stats.t.sf(abs(mean) / error, number - 1)


def test_the_difference_is_paired_by_fold_and_corrected_for_shared_training_images() -> None:
    (pair,) = compare_searches([_search("adam", FIRST), _search("sgd", SECOND)])
    differences = np.subtract(FIRST, SECOND)
    low, high, p = _corrected(differences)
    assert (pair.first, pair.second) == (0, 1)
    assert pair.difference.mean == pytest.approx(differences.mean())
    assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
    assert pair.difference.p == pytest.approx(p)
    assert pair.holm == pair.difference.p


def test_several_pairs_are_corrected_by_holm() -> None:
    third = (0.971, 0.965, 0.966, 0.968, 0.962)
    searches = [_search("a", FIRST), _search("b", SECOND), _search("c", third)]
    pairs = compare_searches(searches)
    assert [(one.first, one.second) for one in pairs] == [(0, 1), (0, 2), (1, 2)]
    values = [_corrected(np.subtract(*both))[2] for both in ((FIRST, SECOND), (FIRST, third), (SECOND, third))]
    assert [one.holm for one in pairs] == pytest.approx(multipletests(values, method="holm")[1])


def _other_images(content: dict[str, Any]) -> None:
    content["nested"]["by_fold"][3]["data"] = "another"


def _other_folds(content: dict[str, Any]) -> None:
    for one in content["nested"]["by_fold"]:
        one["fold"] = one["fold"].replace("split=0", "split=1")


def _fewer_folds(content: dict[str, Any]) -> None:
    del content["nested"]["by_fold"][4]


def _other_metric(content: dict[str, Any]) -> None:
    content["metric"] = "val_f1"


def _shared_test(content: dict[str, Any]) -> None:
    content["nested"]["shared_test"] = True


def _unknown_value(content: dict[str, Any]) -> None:
    content["nested"]["by_fold"][0]["test"] = None


def _without_folds(content: dict[str, Any]) -> None:
    content["nested"] = None


def _of_an_older_record(content: dict[str, Any]) -> None:
    content["nested"] = {key: content["nested"][key] for key in ("folds", "test", "strict")}


CHANGES = (_other_images, _other_folds, _fewer_folds, _other_metric, _shared_test)
CHANGES += (_unknown_value, _without_folds, _of_an_older_record)


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_not_the_same_folds_images_and_metric_is_not_compared(
    change: Callable[[dict[str, Any]], None],
) -> None:
    first, second = _search("a", FIRST), _search("b", SECOND)
    assert len(compare_searches([first, second])) == 1
    change(second)
    assert compare_searches([first, second]) == []
    assert compare_searches([first]) == []
    assert [one.heading for one in search_sections([first, second])] == ["a", "b"]


def test_sentences_say_which_is_better_where_folds_tell_and_what_was_not_strict() -> None:
    far = tuple(one - 0.05 for one in FIRST)
    searches = [_search("same", FIRST), _search("same", SECOND), _search("far", far, strict=False)]
    section = search_sections(searches)[-1]
    assert section.heading == "Searches compared"
    _, first, second, _, note = section.sentences
    assert first.startswith(
        "Test AUROC in the same 5 folds: same (search 1) 0.9780 (0.9680 to 0.9880), same (search 2)"
    )
    assert "same (search 1) minus same (search 2) +0.0032 (" in first
    assert first.endswith(": not beyond what folds explain, which does not show that they are alike.")
    assert second.endswith("p < 0.001: same (search 1) is better, by more than folds explain.")
    assert ": far. " in note
    assert "may be too good" in note
    (table,) = section.tables
    assert table.name == "searches_compared"
    assert table.data["first_strict"].tolist() == [True] * 3
    assert table.data["second_strict"].tolist() == [True, False, False]


def test_where_lower_is_better_the_lower_is() -> None:
    far = tuple(one - 0.05 for one in FIRST)
    lower = {"metric": "val_brier", "higher_is_better": False}
    section = search_sections([_search("a", FIRST) | lower, _search("b", far) | lower])[-1]
    assert section.sentences[1].startswith("Test Brier in the same 5 folds: ")
    assert section.sentences[1].endswith(": b is better, by more than folds explain.")


def test_of_many_pairs_a_few_are_said_and_all_are_in_the_table() -> None:
    searches = [_search(name, tuple(one - at / 100 for one in FIRST)) for at, name in enumerate("abcd")]
    section = search_sections(searches)[-1]
    assert section.sentences[-1] == "The table has 1 more."
    assert len(section.tables[0].rows) == 6


def _candidate(number: int, metrics: dict[tuple[int, int], tuple[float, float]], given_test: bool) -> Candidate:
    """Return a trial by its val and test AUROC in each fold, of five, of each split."""
    runs = {}
    for (seed, fold), (val, test) in metrics.items():
        data = {"fingerprint": f"{seed}{fold}", "split": {"given_test": given_test}}
        data["counts"] = {"train": {"N": 30, "P": 40}, "val": {"N": 5, "P": 5}, "test": {"N": 10, "P": 10}}
        of_run = {"val": {"auroc": val}, "test": {"auroc": test}}
        config = {"data": {"split": {"seed": seed, "folds": 5, "fold": fold}}}
        label = f"split={seed} fold={fold} seed=0"
        runs[label] = Run(Path(label), "linear", "1234", 0, "done", "", False, config, of_run, data)
    return Candidate(number, runs)


@pytest.mark.parametrize("given_test", [False, True])
def test_the_choice_in_each_fold_is_kept_with_its_data_and_has_no_interval_on_one_test_split(given_test: bool) -> None:
    places = [(seed, fold) for seed in (3, 4) for fold in (0, 1)]
    first = dict(zip(places, [(0.9, 0.81), (0.7, 0.82), (0.9, 0.83), (0.7, 0.84)], strict=True))
    second = dict(zip(places, [(0.8, 0.71), (0.8, 0.72), (0.8, 0.73), (0.8, 0.78)], strict=True))
    candidates = [_candidate(5, first, given_test), _candidate(8, second, given_test)]
    record = {"higher_is_better": True, "sampler": {"name": "tpe"}, "trials": []}
    nested = search_conclusion._nested(candidates, record, "auroc")
    assert nested is not None
    kept = [(one["fold"], one["data"], one["test"]) for one in nested["by_fold"]]
    tests = (0.81, 0.72, 0.83, 0.78)
    assert kept == [
        (f"split={seed} fold={at}", f"{seed}{at}", test) for (seed, at), test in zip(places, tests, strict=True)
    ]
    assert nested["chosen"] == [5, 8, 5, 8]
    assert (nested["strict"], nested["shared_test"], nested["held_ratio"]) == (False, given_test, 1 / 4)
    mean, low, high = nested["test"]
    assert mean == pytest.approx(np.mean(tests))
    error = math.sqrt((1 / 4 + 1 / 4) * np.var(tests, ddof=1))  # five folds, however many of them were trained
    half = stats.t.ppf(0.975, 3) * error
    assert (low, high) == ((None, None) if given_test else pytest.approx((mean - half, mean + half)))


@pytest.mark.parametrize(
    ("sampler", "state", "strict"),
    [("random", "measured", True), ("random", "failed", True), ("random", "pruned", False), ("tpe", "measured", False)],
)
def test_a_choice_is_strict_where_no_val_of_other_folds_has_led_what_was_trained(
    sampler: str, state: str, strict: bool
) -> None:
    places = [(0, fold) for fold in (0, 1)]
    candidates = [_candidate(at, dict.fromkeys(places, (0.9, 0.8)), False) for at in (0, 1)]
    trials = [{"state": state, "planned": 2, "trained": 1 if state != "measured" else 2}]
    record = {"higher_is_better": True, "sampler": {"name": sampler}, "trials": trials}
    nested = search_conclusion._nested(candidates, record, "auroc")
    assert nested is not None
    assert nested["strict"] is strict

"""Tests the pairs and rows of a claim: each test gives a p value for and one against it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from cxr_runner.report.compare.claims.bounds import nearest, num_sides, region, strictest, strictest_level
from cxr_runner.report.compare.claims.contrasts import ON_IMAGES, Contrast, contrast_pair, contrast_row
from cxr_runner.report.compare.claims.run_numbers import RunNumbers
from cxr_runner.report.missing import PIXELS
from cxr_runner.stats.power import Share
from cxr_runner.study import Study
from cxr_runner.study.claims import Claim, Condition


class RowSetting(NamedTuple):
    """A row of the study, and what is set otherwise, as one writes it for ``cxr-run``; '' for nothing."""

    row: str
    override: str = ""


Observed = Mapping[RowSetting, Sequence[RunNumbers]]  # the runs at each setting


@dataclass(frozen=True)
class ClaimTest:
    """One pair or one row of a condition, tested.

    Attributes:
        condition: condition that it tests.
        label: which models, in words.
        settings: settings whose runs are looked at.
        estimate: difference, value or share that was seen; nan where there is none.
        low: lower end of its 95 % interval; nan where there is none.
        high: upper end of the interval.
        num_runs: seeds with which no model collapsed, or runs, or models with a seed where something never happens.
        num_lost: runs that collapsed or diverged.
        p_for: p value against its not being as claimed.
        p_against: p value against its being as claimed.
        missing: settings without any run.
        seeds_needed: how many seeds would decide it if what is seen is so; None where no number does.
        images_needed: how many test images would, if seeds were no question; None where these are not the matter.
    """

    condition: Condition
    label: str
    settings: tuple[RowSetting, ...]
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    num_runs: int = 0
    num_lost: int = 0
    p_for: float = 1.0
    p_against: float = 1.0
    missing: tuple[RowSetting, ...] = ()
    seeds_needed: int | None = None
    images_needed: int | None = None


def settings_of(condition: Condition) -> list[RowSetting]:
    """Return the settings whose runs a condition looks at."""
    rows = [*condition.rows, *(row for pair in condition.pairs for group in pair for row in group)]
    if condition.lrs:
        return [RowSetting(row, f"optimizer.lr={lr:g}") for row in (*rows, *condition.beside) for lr in condition.lrs]
    return list(_at(condition, rows))


def tests_of(claim: Claim, observed: Observed, study: Study) -> tuple[ClaimTest, ...]:
    """Test all pairs and rows of a claim."""
    tests = [test for condition in claim.conditions for test in _tests(condition, observed, study)]
    return tuple(test(len(tests)) for test in tests)


def _tests(condition: Condition, observed: Observed, study: Study) -> list[Callable[[int], ClaimTest]]:
    """Return the tests of a condition; each has to know how many there are of the claim."""
    if condition.expect == "never":
        return [lambda _: _never(condition, observed, study)]
    if condition.pairs:
        return [partial(_pair, condition, pair, observed, study) for pair in condition.pairs]
    if condition.expect == "above":
        return [partial(_pair, condition, ((), (row,)), observed, study) for row in condition.rows]
    return [partial(_share, condition, row, observed, study) for row in condition.rows]


def _pair(
    condition: Condition,
    pair: tuple[tuple[str, ...], tuple[str, ...]],
    observed: Observed,
    study: Study,
    num_tests: int,
) -> ClaimTest:
    """Test a pair, or a single row where the first group is empty."""
    first, second = pair
    rules = study.rules
    settings = _at(condition, (*first, *second))
    runs = {setting.row: observed.get(setting, ()) for setting in settings}
    num_lost = sum(not run.trained for of_row in runs.values() for run in of_row)
    factor = rules.much if condition.expect == "much higher" else 1.0
    label = f"{_models(second)} against {_models(first)}" if first else _models(second)
    missing = tuple(setting for setting in settings if not _usable(runs[setting.row], condition.statistic))
    test = ClaimTest(condition, label, settings, num_lost=num_lost, missing=missing)
    if missing:
        return test
    contrast = (
        contrast_pair(condition.statistic, first, second, runs, condition.spread, factor)
        if first
        else contrast_row(condition.statistic, second[0], runs)
    )
    return _tested(test, contrast, study, num_tests)


def _tested(test: ClaimTest, contrast: Contrast, study: Study, num_tests: int) -> ClaimTest:
    """Return a test with what a difference says."""
    rules, effect = study.rules, contrast.effect
    num_runs, bound = len(effect.seeds), nearest(test.condition, effect.estimate, study)
    level = strictest_level(test.condition, effect.estimate, study, num_tests)
    images = effect.images_needed(bound, level, rules.power)
    test = replace(test, estimate=effect.estimate, num_runs=num_runs)
    if num_runs < rules.min_seeds:
        tried = contrast.num_tried
        seeds = -(-rules.min_seeds * tried // num_runs) if num_runs else 2 * tried
        return replace(test, seeds_needed=seeds, images_needed=images)
    lowest, highest = region(test.condition, study)
    trained = effect.seeds_needed(bound, level, rules.power)
    seeds_needed = None if trained is None else -(-trained * contrast.num_tried // num_runs)
    low, high = effect.interval()
    return replace(
        test,
        low=low,
        high=high,
        p_for=max(effect.p_above(lowest), effect.p_below(highest)),
        p_against=min(1.0, num_sides(test.condition, study) * min(effect.p_below(lowest), effect.p_above(highest))),
        seeds_needed=seeds_needed,
        images_needed=None if seeds_needed is not None else images,
    )


def _share(condition: Condition, row: str, observed: Observed, study: Study, num_tests: int) -> ClaimTest:
    """Test the share of a model's runs that do a thing."""
    rules, bound, setting = study.rules, study.rules.mostly, RowSetting(row)
    runs = [run for run in observed.get(setting, ()) if condition.statistic in run.numbers]
    test = ClaimTest(condition, f"model {row}", (setting,), num_lost=sum(not run.trained for run in runs))
    if not runs:
        return replace(test, missing=(setting,))
    share = Share(sum(run.numbers[condition.statistic] > 0 for run in runs), len(runs))
    low, high = share.interval()
    above, below = share.p_above(bound), share.p_below(bound)
    p_for, p_against = (above, below) if condition.expect == "most" else (below, above)
    estimate = share.count / share.total
    level = strictest_level(condition, estimate, study, num_tests)
    return replace(
        test,
        estimate=estimate,
        low=low,
        high=high,
        num_runs=share.total,
        p_for=p_for,
        p_against=p_against,
        seeds_needed=share.needed(bound, level, rules.power),
    )


def _never(condition: Condition, observed: Observed, study: Study) -> ClaimTest:
    """Test that a thing never happens: refuted by counterexamples, supported by many seeds at each setting without one.

    What counts for the share is a model with a seed, at whatever setting it does the thing: runs that start from the
    same weights are not independent.
    """
    rules, statistic = study.rules.never, condition.statistic
    cells = {setting: observed.get(setting, ()) for setting in settings_of(condition) if setting.row in condition.rows}
    runs = [(setting.row, run) for setting, of_cell in cells.items() for run in of_cell if statistic in run.numbers]
    label = f"models {', '.join(condition.rows)} at {len(condition.lrs)} learning rates"
    test = ClaimTest(
        condition,
        label,
        tuple(cells),
        num_lost=sum(not run.trained for _, run in runs),
        missing=tuple(setting for setting, of_cell in cells.items() if not of_cell),
    )
    if not runs:
        return test
    examples = [(row, run.seed) for row, run in runs if run.numbers[statistic] > 0]
    share = Share(len(set(examples)), len({(row, run.seed) for row, run in runs}))
    low, high = share.interval()
    enough = min(map(len, cells.values())) >= rules["seeds"]
    return replace(
        test,
        estimate=share.count / share.total,
        low=low,
        high=high,
        num_runs=share.total,
        p_for=share.p_below(rules["share"]) if enough and not share.count else 1.0,
        p_against=0.0 if len(examples) >= rules["counterexamples"] else 1.0,
        seeds_needed=_seeds_for_never(share, len(condition.rows), study),
    )


def _seeds_for_never(share: Share, num_models: int, study: Study) -> int:
    """Return how many seeds decide whether a thing never happens: none that does it, or a second one that does."""
    rules = study.rules
    if not share.count:
        enough = math.log(strictest(study) / 2) / math.log(1 - rules.never["share"])
        return max(int(rules.never["seeds"]), math.ceil(enough / num_models))
    seen = share.count / share.total
    more = math.log(1 - rules.power) / math.log(1 - seen) if seen < 1 else 1.0
    return math.ceil((share.total + more) / num_models)


def _at(condition: Condition, rows: Iterable[str]) -> tuple[RowSetting, ...]:
    """Return rows at the settings that the study gives them."""
    override = PIXELS if condition.statistic == "seconds" else ""
    return tuple(RowSetting(row, override) for row in dict.fromkeys(rows))


def _usable(runs: Sequence[RunNumbers], statistic: str) -> bool:
    """Say whether any of some runs is lost, or has what a statistic is computed from."""
    return any(
        not run.trained or (run.decisions is not None if statistic in ON_IMAGES else statistic in run.numbers)
        for run in runs
    )


def _models(group: Sequence[str]) -> str:
    return f"model{'s' * (len(group) > 1)} {', '.join(group)}"

"""Tests the parts of a claim, its pairs and rows: each gets a p value for and one against it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from cxr_runner.report.claims.contrasts import ON_IMAGES, Contrast, contrast_pair, contrast_row
from cxr_runner.report.claims.numbers import Trial
from cxr_runner.report.runs.commands import PIXELS
from cxr_runner.stats.power import Share
from cxr_runner.study import load_study
from cxr_runner.study.claims import Claim, Condition


class Place(NamedTuple):
    """Where runs are looked for: a row of the study, and what is set otherwise, as one writes it for ``cxr-run``."""

    row: str
    override: str = ""


Evidence = Mapping[Place, Sequence[Trial]]


@dataclass(frozen=True)
class Part:
    """One pair or one row of a condition, tested.

    Attributes:
        condition: that it is a part of.
        label: which models, in words.
        places: where runs are looked at.
        estimate: the difference, the value or the share that was seen; nan where there is none.
        low: end of its 95 % interval; nan where there is none.
        high: the other end.
        num_runs: seeds with which all models live, or runs, or models with a seed where something never happens.
        num_dead: runs that are collapsed or have diverged.
        p_for: against the part not being as claimed.
        p_against: against its being as claimed.
        missing: where there is no run at all.
        seeds_needed: how many seeds would decide it if what is seen is so; None where no number does.
        images_needed: how many test images would, if seeds were no question; None where these are not the matter.
    """

    condition: Condition
    label: str
    places: tuple[Place, ...]
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    num_runs: int = 0
    num_dead: int = 0
    p_for: float = 1.0
    p_against: float = 1.0
    missing: tuple[Place, ...] = ()
    seeds_needed: int | None = None
    images_needed: int | None = None


def region(condition: Condition) -> tuple[float, float]:
    """Return between which bounds a number has to lie for a part of a condition to hold."""
    rules, margin = load_study().rules, load_study().definitions[condition.statistic].margin
    infinite = float("inf")
    return {
        "higher": (0.0, infinite),
        "much higher": (0.0, infinite),
        "lower": (-infinite, 0.0),
        "not higher": (-infinite, margin),
        "not lower": (-margin, infinite),
        "alike": (-margin, margin),
        "above": (condition.bound, infinite),
        "most": (rules.mostly, infinite),
        "few": (-infinite, rules.mostly),
        "never": (-infinite, rules.never["share"]),
    }[condition.expect]


def places(condition: Condition) -> list[Place]:
    """Return where a condition looks for runs."""
    rows = [*condition.rows, *(row for pair in condition.pairs for group in pair for row in group)]
    if condition.lrs:
        return [Place(row, f"optimizer.lr={lr:g}") for row in (*rows, *condition.beside) for lr in condition.lrs]
    return list(_at(condition, rows))


def as_stated(condition: Condition, estimate: float) -> bool:
    """Say whether a number lies where a condition has it, however sure it is."""
    low, high = region(condition)
    return low <= estimate <= high


def strictest() -> float:
    """Return the level of the first step of Holm's method, at which a claim is decided whatever the others are."""
    return load_study().rules.level / len(load_study().claims)


def parts_of(claim: Claim, evidence: Evidence) -> tuple[Part, ...]:
    """Test all parts of a claim."""
    tests = [test for condition in claim.conditions for test in _tests(condition, evidence)]
    return tuple(test(len(tests)) for test in tests)


def _tests(condition: Condition, evidence: Evidence) -> list[Callable[[int], Part]]:
    """Return the tests of a condition; each has to know how many there are of the claim."""
    if condition.expect == "never":
        return [lambda _: _never(condition, evidence)]
    if condition.pairs:
        return [partial(_pair, condition, pair, evidence) for pair in condition.pairs]
    if condition.expect == "above":
        return [partial(_pair, condition, ((), (row,)), evidence) for row in condition.rows]
    return [partial(_share, condition, row, evidence) for row in condition.rows]


def _pair(
    condition: Condition, pair: tuple[tuple[str, ...], tuple[str, ...]], evidence: Evidence, num_parts: int
) -> Part:
    """Test a pair, or a single row where the first group is empty."""
    first, second = pair
    rules = load_study().rules
    own_places = _at(condition, (*first, *second))
    trials = {place.row: evidence.get(place, ()) for place in own_places}
    dead = sum(not trial.alive for own in trials.values() for trial in own)
    factor = rules.much if condition.expect == "much higher" else 1.0
    label = f"{_models(second)} against {_models(first)}" if first else _models(second)
    missing = tuple(place for place in own_places if not _usable(trials[place.row], condition.statistic))
    if missing:
        return Part(condition, label, own_places, num_dead=dead, missing=missing)
    contrast = (
        contrast_pair(condition.statistic, first, second, trials, condition.spread, factor)
        if first
        else contrast_row(condition.statistic, second[0], trials)
    )
    return _tested(Part(condition, label, own_places, num_dead=dead), contrast, num_parts)


def _tested(part: Part, contrast: Contrast, num_parts: int) -> Part:
    """Return a part with what its test says."""
    rules, effect = load_study().rules, contrast.effect
    num_runs, bound = len(effect.seeds), _nearest(part.condition, effect.estimate)
    level = _strictest_level(part.condition, effect.estimate, num_parts)
    images = effect.images_needed(bound, level, rules.power)
    part = replace(part, estimate=effect.estimate, num_runs=num_runs)
    if num_runs < rules.min_seeds:
        tried = contrast.num_tried
        seeds = -(-rules.min_seeds * tried // num_runs) if num_runs else 2 * tried
        return replace(part, seeds_needed=seeds, images_needed=images)
    lowest, highest = region(part.condition)
    alive = effect.seeds_needed(bound, level, rules.power)
    seeds_needed = None if alive is None else -(-alive * contrast.num_tried // num_runs)
    low, high = effect.interval()
    return replace(
        part,
        low=low,
        high=high,
        p_for=max(effect.p_above(lowest), effect.p_below(highest)),
        p_against=min(1.0, _num_sides(part.condition) * min(effect.p_below(lowest), effect.p_above(highest))),
        seeds_needed=seeds_needed,
        images_needed=None if seeds_needed is not None else images,
    )


def _share(condition: Condition, row: str, evidence: Evidence, num_parts: int) -> Part:
    """Test the share of a model's runs that do a thing."""
    rules, bound, place = load_study().rules, load_study().rules.mostly, Place(row)
    trials = [trial for trial in evidence.get(place, ()) if condition.statistic in trial.numbers]
    part = Part(condition, f"model {row}", (place,), num_dead=sum(not trial.alive for trial in trials))
    if not trials:
        return replace(part, missing=(place,))
    share = Share(sum(trial.numbers[condition.statistic] > 0 for trial in trials), len(trials))
    low, high = share.interval()
    above, below = share.p_above(bound), share.p_below(bound)
    p_for, p_against = (above, below) if condition.expect == "most" else (below, above)
    estimate = share.count / share.total
    level = _strictest_level(condition, estimate, num_parts)
    return replace(
        part,
        estimate=estimate,
        low=low,
        high=high,
        num_runs=share.total,
        p_for=p_for,
        p_against=p_against,
        seeds_needed=share.needed(bound, level, rules.power),
    )


def _never(condition: Condition, evidence: Evidence) -> Part:
    """Test that a thing never happens: refuted by counterexamples, supported by many seeds in each place without one.

    What counts for the share is a model with a seed, at whatever setting it does the thing: runs that start from the
    same weights are not independent.
    """
    rules = load_study().rules.never
    cells = {place: evidence.get(place, ()) for place in places(condition) if place.row in condition.rows}
    runs = [(place.row, trial) for place, own in cells.items() for trial in own if condition.statistic in trial.numbers]
    label = f"models {', '.join(condition.rows)} at {len(condition.lrs)} learning rates"
    part = Part(
        condition,
        label,
        tuple(cells),
        num_dead=sum(not trial.alive for _, trial in runs),
        missing=tuple(place for place, own in cells.items() if not own),
    )
    if not runs:
        return part
    examples = [(row, trial.seed) for row, trial in runs if trial.numbers[condition.statistic] > 0]
    share = Share(len(set(examples)), len({(row, trial.seed) for row, trial in runs}))
    low, high = share.interval()
    enough = min(map(len, cells.values())) >= rules["seeds"]
    return replace(
        part,
        estimate=share.count / share.total,
        low=low,
        high=high,
        num_runs=share.total,
        p_for=share.p_below(rules["share"]) if enough and not share.count else 1.0,
        p_against=0.0 if len(examples) >= rules["counterexamples"] else 1.0,
        seeds_needed=_seeds_for_never(share, len(condition.rows)),
    )


def _seeds_for_never(share: Share, num_models: int) -> int:
    """Return how many seeds decide whether a thing never happens: none that does it, or a second one that does."""
    rules = load_study().rules
    if not share.count:
        enough = math.log(strictest() / 2) / math.log(1 - rules.never["share"])
        return max(int(rules.never["seeds"]), math.ceil(enough / num_models))
    seen = share.count / share.total
    more = math.log(1 - rules.power) / math.log(1 - seen) if seen < 1 else 1.0
    return math.ceil((share.total + more) / num_models)


def _at(condition: Condition, rows: Iterable[str]) -> tuple[Place, ...]:
    """Return where a condition looks for runs of rows at their own settings."""
    override = PIXELS if condition.statistic == "seconds" else ""
    return tuple(Place(row, override) for row in dict.fromkeys(rows))


def _usable(trials: Sequence[Trial], statistic: str) -> bool:
    """Say whether any of some runs is dead, or has what a statistic is computed from."""
    return any(
        not trial.alive or (trial.decisions is not None if statistic in ON_IMAGES else statistic in trial.numbers)
        for trial in trials
    )


def _nearest(condition: Condition, estimate: float) -> float:
    return min(region(condition), key=lambda bound: abs(bound - estimate))


def _num_sides(condition: Condition) -> int:
    """Return on how many sides of its region a part can be found not to be as claimed."""
    return sum(map(math.isfinite, region(condition)))


def _strictest_level(condition: Condition, estimate: float, num_parts: int) -> float:
    """Return the strictest two-sided level for one part; a contradiction pays for all parts and sides of a claim."""
    return strictest() if as_stated(condition, estimate) else strictest() / (num_parts * _num_sides(condition))


def _models(group: Sequence[str]) -> str:
    return f"model{'s' * (len(group) > 1)} {', '.join(group)}"

"""Decides claims: conditions become parts, each with a p value for and one against it, and these become a verdict.

A claim holds when all its parts do, so the largest p value for a part is that for the claim (an intersection-union
test); it fails when any part does, so the smallest p value against a part, times their number, is that against the
claim. The p values of all claims, those without runs included, are adjusted together by Holm's method: a verdict does
not change because another claim is looked at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cxr_runner.claims.contrasts import ON_IMAGES, Contrast, contrast_pair, contrast_row
from cxr_runner.claims.effects import Share
from cxr_runner.claims.stated import Claim, Condition
from cxr_runner.claims.traits import Trial
from cxr_runner.stats import holm
from cxr_runner.study import load_study

Word = Literal["supported", "contradicted", "undecided", "not run"]
PIXELS = "engine=pixel"  # where training times are compared: the study trains on pixels
WORDS: tuple[Word, ...] = ("supported", "contradicted", "undecided", "not run")


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
        estimate: the difference, the value or the share that was seen; nan where there is none.
        low: end of its 95 % interval; nan where there is none.
        high: the other end.
        num_runs: seeds with which all models live, or runs.
        num_dead: runs that are collapsed or have diverged.
        p_for: against the part not being as claimed.
        p_against: against its being as claimed.
        missing: where there is no run at all.
        seeds_needed: how many seeds would decide it if what is seen is so; None where no number does.
        images_needed: how many test images would, if seeds were no question; None where these are not the matter.
    """

    condition: Condition
    label: str
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


@dataclass(frozen=True)
class Verdict:
    """A claim decided, or not.

    Attributes:
        claim: of the study.
        word: the verdict.
        p: the smaller of both p values, doubled, before the adjustment.
        adjusted: after it.
        alone: what the verdict would be if this were the only claim.
        parts: all of them.
        used: where runs were looked at and found, with the number of seeds.
    """

    claim: Claim
    word: Word
    p: float
    adjusted: float
    alone: Word
    parts: tuple[Part, ...]
    used: Mapping[Place, int]

    @property
    def missing(self) -> list[Place]:
        """Where runs are still to be made."""
        return list(dict.fromkeys(place for part in self.parts for place in part.missing))


def decide(evidence: Evidence) -> list[Verdict]:
    """Decide all claims of the study.

    Args:
        evidence: by their place the runs, on the same images.

    Returns:
        In the order of the study.
    """
    claims, level = load_study().claims, load_study().rules.level
    parts = [tuple(part for condition in claim.conditions for part in _parts(condition, evidence)) for claim in claims]
    p_values = [_p_values(own) for own in parts]
    raw = [min(1.0, 2 * min(pair)) for pair in p_values]
    verdicts = []
    for claim, own, (p_for, p_against), p, adjusted in zip(claims, parts, p_values, raw, holm(raw), strict=True):
        words = [_word(own, value <= level, p_for < p_against) for value in (adjusted, p)]
        used = {place: len(evidence[place]) for place in _places(claim) if evidence.get(place)}
        verdicts.append(Verdict(claim, words[0], p, float(adjusted), words[1], own, used))
    return verdicts


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


def _word(parts: Sequence[Part], decided: bool, in_favour: bool) -> Word:
    if decided:
        return "supported" if in_favour else "contradicted"
    return "not run" if any(part.missing for part in parts) else "undecided"


def _p_values(parts: Sequence[Part]) -> tuple[float, float]:
    against = min(1.0, len(parts) * min(part.p_against for part in parts))
    return max(part.p_for for part in parts), against


def _places(claim: Claim) -> list[Place]:
    found = [place for condition in claim.conditions for place in places(condition)]
    return list(dict.fromkeys(found))


def places(condition: Condition) -> list[Place]:
    """Return where a condition looks for runs."""
    rows = [*condition.rows, *(row for pair in condition.pairs for group in pair for row in group)]
    if condition.lrs:
        return [Place(row, f"optimizer.lr={lr:g}") for row in (*rows, *condition.beside) for lr in condition.lrs]
    override = PIXELS if condition.statistic == "seconds" else ""
    return [Place(row, override) for row in dict.fromkeys(rows)]


def _parts(condition: Condition, evidence: Evidence) -> list[Part]:
    if condition.expect == "never":
        return [_never(condition, evidence)]
    override = PIXELS if condition.statistic == "seconds" else ""
    if condition.pairs:
        return [_pair(condition, pair, override, evidence) for pair in condition.pairs]
    if condition.expect == "above":
        return [_pair(condition, ((), (row,)), override, evidence) for row in condition.rows]
    return [_share(condition, row, evidence) for row in condition.rows]


def _pair(
    condition: Condition, pair: tuple[tuple[str, ...], tuple[str, ...]], override: str, evidence: Evidence
) -> Part:
    """Test a pair, or a single row where the first group is empty."""
    first, second = pair
    rules = load_study().rules
    trials = {row: evidence.get(Place(row, override), ()) for row in (*first, *second)}
    dead = sum(not trial.alive for own in trials.values() for trial in own)
    factor = rules.much if condition.expect == "much higher" else 1.0
    label = f"{_models(second)} against {_models(first)}" if first else _models(second)
    missing = tuple(Place(row, override) for row, own in trials.items() if not _usable(own, condition.statistic))
    if missing:
        return Part(condition, label, num_dead=dead, missing=missing)
    contrast = (
        contrast_pair(condition.statistic, first, second, trials, condition.spread, factor)
        if first
        else contrast_row(condition.statistic, second[0], trials)
    )
    return _tested(condition, label, contrast, dead)


def _tested(condition: Condition, label: str, contrast: Contrast, dead: int) -> Part:
    rules, effect = load_study().rules, contrast.effect
    num_runs = len(effect.seeds)
    if num_runs < rules.min_seeds:
        images = effect.images_needed(_nearest(condition, effect.estimate), _strictest(), rules.power)
        return Part(condition, label, effect.estimate, num_runs=num_runs, num_dead=dead, images_needed=images)
    lowest, highest = region(condition)
    p_for = max(effect.p_above(lowest), effect.p_below(highest))
    p_against = min(1.0, 2 * min(effect.p_below(lowest), effect.p_above(highest)))
    bound = _nearest(condition, effect.estimate)
    alive = effect.seeds_needed(bound, _strictest(), rules.power)
    seeds = None if alive is None else -(-alive * contrast.num_tried // num_runs)
    images = None if seeds is not None else effect.images_needed(bound, _strictest(), rules.power)
    low, high = effect.interval()
    return Part(condition, label, effect.estimate, low, high, num_runs, dead, p_for, p_against, (), seeds, images)


def _share(condition: Condition, row: str, evidence: Evidence) -> Part:
    rules, bound, place = load_study().rules, load_study().rules.mostly, Place(row)
    trials = [trial for trial in evidence.get(place, ()) if condition.statistic in trial.numbers]
    dead = sum(not trial.alive for trial in trials)
    if not trials:
        return Part(condition, f"model {row}", missing=(place,))
    share = Share(sum(trial.numbers[condition.statistic] > 0 for trial in trials), len(trials))
    low, high = share.interval()
    above, below = share.p_above(bound), share.p_below(bound)
    p_for, p_against = (above, below) if condition.expect == "most" else (below, above)
    return Part(
        condition,
        f"model {row}",
        share.count / share.total,
        low,
        high,
        share.total,
        dead,
        p_for,
        p_against,
        seeds_needed=share.needed(bound, _strictest(), rules.power),
    )


def _never(condition: Condition, evidence: Evidence) -> Part:
    """Test that a thing never happens: refuted by counterexamples, supported by many runs in each place without one."""
    rules = load_study().rules.never
    cells = {place: evidence.get(place, ()) for place in places(condition) if place.row in condition.rows}
    trials = [trial for own in cells.values() for trial in own if condition.statistic in trial.numbers]
    missing = tuple(place for place, own in cells.items() if not own)
    dead = sum(not trial.alive for trial in trials)
    label = f"models {', '.join(condition.rows)} at {len(condition.lrs)} learning rates"
    if not trials:
        return Part(condition, label, missing=missing)
    share = Share(sum(trial.numbers[condition.statistic] > 0 for trial in trials), len(trials))
    low, high = share.interval()
    enough = min(map(len, cells.values())) >= rules["seeds"]
    p_for = share.p_below(rules["share"]) if enough and not share.count else 1.0
    p_against = 0.0 if share.count >= rules["counterexamples"] else 1.0
    estimate = share.count / share.total
    needed = int(rules["seeds"])
    if share.count:  # one counterexample: until another is likely to have come up
        more = math.log(1 - load_study().rules.power) / math.log(1 - estimate) if estimate < 1 else 1.0
        needed = math.ceil((share.total + more) / len(cells))
    return Part(
        condition, label, estimate, low, high, share.total, dead, p_for, p_against, missing, seeds_needed=needed
    )


def _usable(trials: Sequence[Trial], statistic: str) -> bool:
    """Say whether any of some runs, dead or alive, has what a statistic is computed from."""
    return any(
        trial.decisions is not None if statistic in ON_IMAGES else statistic in trial.numbers or not trial.alive
        for trial in trials
    )


def _nearest(condition: Condition, estimate: float) -> float:
    return min(region(condition), key=lambda bound: abs(bound - estimate))


def _strictest() -> float:
    """Return the level of the first step of Holm's method, at which a claim is decided whatever the others are."""
    return load_study().rules.level / len(load_study().claims)


def _models(group: Sequence[str]) -> str:
    return f"model{'s' * (len(group) > 1)} {', '.join(group)}"

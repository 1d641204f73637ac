"""Decides claims: conditions become parts, each with a p value for and one against it, and these become a verdict.

A claim holds when all its parts do, so the largest p value for a part is that for the claim (an intersection-union
test); it fails when any part does, so the smallest p value against a part, times their number, is that against the
claim. The p values of all claims, those without runs included, are adjusted together by Holm's method: a verdict does
not change because another claim is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cxr_runner.report.claims.tests import Evidence, Part, Place, parts_of, places
from cxr_runner.stats import holm
from cxr_runner.study import load_study
from cxr_runner.study.claims import Claim

Word = Literal["supported", "contradicted", "undecided", "not run"]
WORDS: tuple[Word, ...] = ("supported", "contradicted", "undecided", "not run")


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
    parts = [parts_of(claim, evidence) for claim in claims]
    p_values = [_p_values(own) for own in parts]
    raw = [min(1.0, 2 * min(pair)) for pair in p_values]
    verdicts = []
    for claim, own, (p_for, p_against), p, adjusted in zip(claims, parts, p_values, raw, holm(raw), strict=True):
        words = [_word(own, value <= level, p_for < p_against) for value in (adjusted, p)]
        used = {place: len(evidence[place]) for place in _places(claim) if evidence.get(place)}
        verdicts.append(Verdict(claim, words[0], p, float(adjusted), words[1], own, used))
    return verdicts


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

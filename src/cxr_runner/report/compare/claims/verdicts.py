"""Decides claims: conditions become tests, each with a p value for and one against it, and these become a verdict.

A claim holds when all that is tested does, so the largest p value for a test is that for the claim (an
intersection-union test); it fails when any of it does, so the smallest p value against, times the number of tests, is
that against the claim. The p values of all claims, those without runs included, are adjusted together by Holm's method:
a verdict does not change because another claim is looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cxr_runner.report.compare.claims.claim_tests import ClaimTest, Observed, RowSetting, settings_of, tests_of
from cxr_runner.stats import holm
from cxr_runner.study import Study
from cxr_runner.study.claims import Claim

Word = Literal["supported", "contradicted", "undecided", "not run"]
WORDS: tuple[Word, ...] = ("supported", "contradicted", "undecided", "not run")


@dataclass(frozen=True)
class Verdict:
    """A claim decided, or not.

    Attributes:
        claim: claim of the study.
        word: the verdict.
        p: smaller of both p values, doubled, before the adjustment.
        adjusted: the same after it.
        alone: what the verdict would be if this were the only claim.
        tests: tests of all pairs and rows.
        used: settings that have runs, with their number of seeds.
    """

    claim: Claim
    word: Word
    p: float
    adjusted: float
    alone: Word
    tests: tuple[ClaimTest, ...]
    used: Mapping[RowSetting, int]

    @property
    def missing(self) -> list[RowSetting]:
        """The settings whose runs are still to be made."""
        return list(dict.fromkeys(setting for test in self.tests for setting in test.missing))


def decide_claims(observed: Observed, study: Study) -> list[Verdict]:
    """Decide all claims of the study.

    Args:
        observed: runs by their setting, all on the same images.
        study: study that makes the claims.

    Returns:
        In the order of the study.
    """
    tests = [tests_of(claim, observed, study) for claim in study.claims]
    p_values = [_p_values(of_claim) for of_claim in tests]
    raw = [min(1.0, 2 * min(pair)) for pair in p_values]
    verdicts = []
    for claim, of_claim, (p_for, p_against), p, adjusted in zip(
        study.claims, tests, p_values, raw, holm(raw), strict=True
    ):
        words = [_word(of_claim, value <= study.rules.level, p_for < p_against) for value in (adjusted, p)]
        used = {setting: len(observed[setting]) for setting in _settings(claim) if observed.get(setting)}
        verdicts.append(Verdict(claim, words[0], p, float(adjusted), words[1], of_claim, used))
    return verdicts


def _word(tests: Sequence[ClaimTest], decided: bool, in_favour: bool) -> Word:
    if decided:
        return "supported" if in_favour else "contradicted"
    return "not run" if any(test.missing for test in tests) else "undecided"


def _p_values(tests: Sequence[ClaimTest]) -> tuple[float, float]:
    against = min(1.0, len(tests) * min(test.p_against for test in tests))
    return max(test.p_for for test in tests), against


def _settings(claim: Claim) -> list[RowSetting]:
    return list(dict.fromkeys(setting for condition in claim.conditions for setting in settings_of(condition)))

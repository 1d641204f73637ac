"""Decides claims: conditions become tests, each with a p value for and one against it, and these become a verdict.

A claim holds when all of its parts do: the largest p value for a part is that for the claim (an intersection-union
test). It fails when any part does: the smallest p value against a part, times the number of parts tested, is that
against the claim. The tests are one-sided, and Holm's method adjusts either list of p values over the claims that were
tested. However the tests depend on each other, the chance that any claim which does not hold is called supported is at
most the level, and so is the chance that any claim which holds is called contradicted. A verdict does depend on what
else was tested: more claims ask for smaller p values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cxr_runner.report.compare.claims.bounds import NO_TEST, PValues
from cxr_runner.report.compare.claims.claim_tests import ClaimTest, tests_of
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting, choose_observed, settings_of_claim
from cxr_runner.report.compare.claims.requirements import Requirement, what_it_takes
from cxr_runner.stats import holm
from cxr_runner.study import Study
from cxr_runner.study.claims import Claim

Word = Literal["supported", "contradicted", "undecided", "partly run", "not run"]
WORDS: tuple[Word, ...] = ("supported", "contradicted", "undecided", "partly run", "not run")


@dataclass(frozen=True)
class Verdict:
    """A claim decided, or not.

    Attributes:
        claim: claim of the study.
        word: the verdict.
        p: p values of the claim before the adjustment; nan for a test that was not made.
        adjusted: the same after it.
        alone: what the verdict would be if this were the only claim.
        tests: tests of all pairs and rows, its parts.
        takes: what would decide each of the tests, in their order.
        observed: runs that it was tested on.
    """

    claim: Claim
    word: Word
    p: PValues
    adjusted: PValues
    alone: Word
    tests: tuple[ClaimTest, ...]
    takes: tuple[Requirement, ...]
    observed: Observed

    @property
    def decided(self) -> bool:
        """Whether the claim is supported or contradicted."""
        return self.word in ("supported", "contradicted")

    @property
    def missing(self) -> list[RowSetting]:
        """The settings whose runs are still to be made."""
        return list(dict.fromkeys(setting for test in self.tests for setting in test.missing))

    @property
    def used(self) -> Mapping[RowSetting, int]:
        """The settings that have runs, with their number of seeds."""
        runs = {setting: self.observed.at(setting) for setting in settings_of_claim(self.claim)}
        return {setting: len({run.seed for run in found}) for setting, found in runs.items() if found}

    @property
    def deciding(self) -> ClaimTest | None:
        """The part that decides: of a supported claim the least sure one, of a contradicted one the surest against it.

        Of any other claim the least sure of those that are tested and open; None where there is none.
        """
        parts = zip(self.tests, self.takes, strict=True)
        tested = [test for test, takes in parts if test.tested and (self.decided or takes.open)]
        if not tested:
            return None
        if self.word == "contradicted":
            return min(tested, key=lambda test: test.p.contradiction)
        return max(tested, key=lambda test: -1.0 if math.isnan(test.p.support) else test.p.support)


def decide_claims(observed: Sequence[Observed], study: Study) -> list[Verdict]:
    """Decide all claims of the study.

    Args:
        observed: runs on the same images, those of each size and manner of splitting apart.
        study: study that makes the claims.

    Returns:
        In the order of the study.
    """
    chosen = [choose_observed(claim, observed) for claim in study.claims]
    tests = [tests_of(claim, one, study) for claim, one in zip(study.claims, chosen, strict=True)]
    p_values = [_p_values(of_claim) for of_claim in tests]
    adjusted = [PValues(*map(float, pair)) for pair in zip(*map(holm, zip(*p_values, strict=True)), strict=True)]
    num_tested = PValues(*(sum(not math.isnan(p) for p in column) for column in zip(*p_values, strict=True)))
    return [
        Verdict(
            claim,
            _word(of_claim, after, study.rules.level),
            before,
            after,
            _word(of_claim, before, study.rules.level),
            of_claim,
            what_it_takes(of_claim, num_tested, study),
            one,
        )
        for claim, of_claim, before, after, one in zip(study.claims, tests, p_values, adjusted, chosen, strict=True)
    ]


def _word(tests: Sequence[ClaimTest], p: PValues, level: float) -> Word:
    if p.support <= level:  # never true of nan
        return "supported"
    if p.contradiction <= level:
        return "contradicted"
    if not any(test.missing for test in tests):
        return "undecided"
    return "partly run" if any(test.num_seeds or not test.missing for test in tests) else "not run"


def _p_values(tests: Sequence[ClaimTest]) -> PValues:
    """Return the p values of a claim: for it where all of its parts were tested, against it where any was."""
    tested = [test for test in tests if test.tested]
    if not tested:
        return NO_TEST
    support = [test.p.support for test in tests]
    against = min(1.0, len(tested) * min(test.p.contradiction for test in tested))
    return PValues(math.nan if any(map(math.isnan, support)) else max(support), against)

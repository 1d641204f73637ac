"""Tests the pairs and rows of a claim: each test gives a p value for and one against it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cxr_runner.report.compare.claims.bounds import NO_TEST, PValues, region_p_values
from cxr_runner.report.compare.claims.contrasts import Compared, contrast_models
from cxr_runner.report.compare.claims.image_numbers import IMAGE_NUMBERS
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting, as_the_study_has_them, settings_of
from cxr_runner.report.compare.claims.run_numbers import RunNumbers
from cxr_runner.stats import Estimate, Share
from cxr_runner.study.claims import Claim, Condition

if TYPE_CHECKING:  # a test is handed its study
    from cxr_runner.study import Study


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
        num_seeds: seeds with which no model collapsed; of a share all seeds, or models with a seed.
        num_lost: runs that collapsed or diverged.
        p: p values of the test; nan where none was made.
        missing: settings without any run.
        effect: mean that was tested; None of a share.
        share: share that was tested; None of a mean.
        of_all: the mean with runs that collapsed too; nan where there are none.
        kept: share of the runs that are in the mean, since with them no model collapsed.
        seeds_tried: seeds with which a model collapsed or not.
        num_images: test images of a split; 0 where these are not the matter.
    """

    condition: Condition
    label: str
    settings: tuple[RowSetting, ...]
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    num_seeds: int = 0
    num_lost: int = 0
    p: PValues = NO_TEST
    missing: tuple[RowSetting, ...] = ()
    effect: Estimate | None = None
    share: Share | None = None
    of_all: float = math.nan
    kept: float = 1.0
    seeds_tried: int = 0
    num_images: int = 0

    @property
    def tested(self) -> bool:
        """Whether a test was made: whether there were runs, and seeds enough."""
        return not math.isnan(self.p.contradiction)


def tests_of(claim: Claim, observed: Observed, study: "Study") -> tuple[ClaimTest, ...]:
    """Test all pairs and rows of a claim."""
    return tuple(test for condition in claim.conditions for test in _tests(condition, observed, study))


def _tests(condition: Condition, observed: Observed, study: "Study") -> list[ClaimTest]:
    if condition.expect == "never":
        return [_never(condition, observed, study)]
    if condition.pairs:
        return [_models(condition, *pair, observed, study) for pair in condition.pairs]
    if condition.expect in ("above", "about"):
        return [_models(condition, (), (row,), observed, study) for row in condition.rows]
    return [_share(condition, row, observed, study) for row in condition.rows]


def _models(
    condition: Condition, first: tuple[str, ...], second: tuple[str, ...], observed: Observed, study: "Study"
) -> ClaimTest:
    """Test a pair, or a single row where the first group is empty."""
    rules = study.rules
    settings = as_the_study_has_them(condition, (*first, *second))
    runs = {setting.row: observed.at(setting) for setting in settings}
    label = f"{_named(second)} against {_named(first)}" if first else _named(second)
    test = ClaimTest(
        condition,
        label,
        settings,
        num_lost=sum(not run.trained for of_row in runs.values() for run in of_row),
        missing=tuple(setting for setting in settings if not _usable(runs[setting.row], condition.statistic)),
    )
    if test.missing:
        return test
    factor = rules.much if condition.expect == "much higher" else 1.0
    contrast = contrast_models(Compared(condition.statistic, first, second, condition.spread, factor), runs, observed)
    effect, enough = contrast.effect, contrast.effect.num_seeds >= rules.min_seeds
    return replace(
        test,
        estimate=effect.mean,
        low=effect.low if enough else math.nan,
        high=effect.high if enough else math.nan,
        num_seeds=effect.num_seeds if effect.num_runs else 0,
        p=region_p_values(effect, condition, study) if enough else NO_TEST,
        effect=effect,
        of_all=contrast.of_all,
        kept=contrast.kept,
        seeds_tried=contrast.seeds_tried,
        num_images=contrast.num_images,
    )


def _share(condition: Condition, row: str, observed: Observed, study: "Study") -> ClaimTest:
    """Test with how many seeds a model does a thing, in at least half of the runs of each."""
    setting = RowSetting(row)
    runs = [run for run in observed.at(setting) if condition.statistic in run.numbers]
    test = ClaimTest(condition, f"model {row}", (setting,), num_lost=sum(not run.trained for run in runs))
    if not runs:
        return replace(test, missing=(setting,))
    by_seed: dict[int, list[bool]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).append(run.numbers[condition.statistic] > 0)
    share = Share(sum(sum(does) >= len(does) / 2 for does in by_seed.values()), len(by_seed))
    bound = study.rules.often if condition.expect == "often" else 1 - study.rules.often
    above, below = share.p_above(bound), share.p_below(bound)
    return _with_share(test, share, PValues(above, below) if condition.expect == "often" else PValues(below, above))


def _never(condition: Condition, observed: Observed, study: "Study") -> ClaimTest:
    """Test that a thing never happens: refuted by counterexamples, supported by many seeds at each setting without one.

    What counts for the share is a model with a seed, at whatever setting it does the thing: runs that start from the
    same weights are not independent.
    """
    rules, statistic = study.rules.never, condition.statistic
    cells = {setting: observed.at(setting) for setting in settings_of(condition) if setting.row in condition.rows}
    runs = [(setting.row, run) for setting, of_cell in cells.items() for run in of_cell if statistic in run.numbers]
    test = ClaimTest(
        condition,
        f"models {', '.join(condition.rows)} at {len(condition.lrs)} learning rates",
        tuple(cells),
        num_lost=sum(not run.trained for _, run in runs),
        missing=tuple(setting for setting, of_cell in cells.items() if not of_cell),
    )
    if not runs:
        return test
    examples = [(row, run.seed) for row, run in runs if run.numbers[statistic] > 0]
    share = Share(len(set(examples)), len({(row, run.seed) for row, run in runs}))
    enough = min(len({run.seed for run in of_cell}) for of_cell in cells.values()) >= rules["seeds"]
    support = math.nan if test.missing else share.p_below(rules["share"]) if enough and not share.count else 1.0
    return _with_share(test, share, PValues(support, 0.0 if len(examples) >= rules["counterexamples"] else 1.0))


def _with_share(test: ClaimTest, share: Share, p: PValues) -> ClaimTest:
    low, high = share.interval()
    return replace(
        test, estimate=share.count / share.total, low=low, high=high, num_seeds=share.total, p=p, share=share
    )


def _usable(runs: Sequence[RunNumbers], statistic: str) -> bool:
    """Say whether any of some runs is lost, or has what a statistic is computed from."""
    return any(
        not run.trained or (run.decisions is not None if statistic in IMAGE_NUMBERS else statistic in run.numbers)
        for run in runs
    )


def _named(group: Sequence[str]) -> str:
    return f"model{'s' * (len(group) > 1)} {', '.join(group)}"

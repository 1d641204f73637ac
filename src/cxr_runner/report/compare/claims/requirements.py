"""How many more seeds, splits or test images would decide a part of a claim, as ranges."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.report.compare.claims.bounds import PValues, as_stated, nearest, num_sides
from cxr_runner.stats import Needed, what_would_decide

if TYPE_CHECKING:  # what a claim takes is asked of tests that were made
    from cxr_runner.report.compare.claims.claim_tests import ClaimTest
    from cxr_runner.study import Study


_FEW_SEEDS = 10  # asked for where there is no run to reckon from


class Requirement(NamedTuple):
    """What would decide a part of a claim, each on its own.

    Attributes:
        open: whether the part is tested and neither as claimed nor contrary at the strictest step of Holm's method.
        seeds: so many seeds, enough for a test where there is none; None where nothing is known of them.
        splits: so many splits, likewise.
        images: so many test images of a split, likewise.
    """

    open: bool = False
    seeds: Needed | None = None
    splits: Needed | None = None
    images: Needed | None = None


def what_it_takes(tests: "Sequence[ClaimTest]", num_tested: PValues, study: "Study") -> tuple[Requirement, ...]:
    """Return what would decide each part of a claim, at the first and strictest step of Holm's method.

    Args:
        tests: parts of the claim.
        num_tested: how many claims are tested, for and against them.
        study: study that makes the claim.
    """
    num_parts = sum(test.tested for test in tests)
    return tuple(_of_test(test, num_parts, num_tested, study) for test in tests)


def _of_test(test: "ClaimTest", num_parts: int, num_tested: PValues, study: "Study") -> Requirement:
    rules, condition = study.rules, test.condition
    if not test.tested:  # too few seeds show no spread to reckon from
        enough = math.ceil(rules.min_seeds / test.kept) if test.kept else 2 * test.seeds_tried
        return Requirement() if test.missing else Requirement(seeds=Needed(*[max(_FEW_SEEDS, enough)] * 3))
    stated = as_stated(condition, test.estimate, study)
    if stated:
        level = rules.level / max(1.0, num_tested.support)
    else:  # a contradiction pays for all parts and sides
        level = rules.level / (max(1.0, num_tested.contradiction) * num_parts * num_sides(condition, study))
    is_open = min(test.p.support, test.p.contradiction * num_parts) > level
    if condition.expect == "never":
        return Requirement(is_open, seeds=_for_never(test, level, study))
    bound = nearest(condition, test.estimate, study)
    if test.share:
        return Requirement(is_open, seeds=test.share.needed(bound, 2 * level, rules.power))
    assert test.effect is not None
    found = what_would_decide(test.effect, test.num_images, bound, 2 * level, rules.power)
    return Requirement(is_open, _scaled(found["seeds"], 1 / test.kept), found["splits"], found["images"])


def _for_never(test: "ClaimTest", level: float, study: "Study") -> Needed:
    """Return how many seeds of each model decide whether a thing never happens: none that does it, or two that do."""
    rules, share, num_models = study.rules, test.share, len(test.condition.rows)
    assert share is not None
    if not share.count:
        enough = math.ceil(math.log(level) / math.log(1 - rules.never["share"]) / num_models)
        return Needed(*[max(int(rules.never["seeds"]), enough)] * 3)

    def until_another(often: float) -> int:
        more = math.log(1 - rules.power) / math.log(1 - often) if often < 1 else 1.0
        return math.ceil((share.total + more) / num_models)

    low, high = share.interval()
    return Needed(until_another(high), until_another(share.count / share.total), until_another(low) if low else None)


def _scaled(needed: Needed | None, factor: float) -> Needed | None:
    """Return the seeds that it takes where some of them collapse."""
    return needed and Needed(*(None if number is None else math.ceil(number * factor) for number in needed))

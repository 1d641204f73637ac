"""Words for the parts of claims: what was tested, what was stated of it, and what it gave."""

import math

from cxr_runner.base.numbers import format_number, plural
from cxr_runner.report.compare.claims.bounds import region
from cxr_runner.report.compare.claims.claim_tests import ClaimTest
from cxr_runner.study import Study

_SQUARED_POINTS = 10_000  # of a variance of shares, in which they can be read
_SHARES = ("often", "often not", "never")  # expectations about shares of runs


def sentence_of_test(test: ClaimTest, study: Study, image_size: int) -> str:
    """Say what one test gave."""
    name = tested_number(test, study)
    begin = f"{name[0].upper()}{name[1:]}, {test.label}, claimed {stated(test, study)}: "
    settings = dict.fromkeys(f"{one.row}{' at ' + one.override if one.override else ''}" for one in test.missing)
    at = f" at {image_size} pixels" if image_size else ""
    no_runs = f"no runs of {', '.join(settings)}{at}" if settings else ""
    if no_runs and not test.num_seeds:
        return f"{begin}{no_runs}."
    lost = f", {plural(test.num_lost, 'run')} collapsed or diverged" if test.num_lost else ""
    if test.condition.expect in _SHARES:
        seeds = "models with a seed, at some setting" if test.condition.expect == "never" else "seeds"
        count = f"{round(test.estimate * test.num_seeds)} of {test.num_seeds} {seeds}{lost}"
        more = f"; {no_runs}" if no_runs else ""
        interval = f"(95 % interval of the share {test.low:.2f} to {test.high:.2f})"
        return f"{begin}{count} {interval}; {outcome(test, study)}{_p(test)}{more}."
    if not test.num_seeds:
        return f"{begin}no seed without a collapsed run{lost}."
    seeds = f"{plural(test.num_seeds, 'seed')} without a collapsed run{lost}"
    if test.effect and test.effect.num_splits > 1:
        seeds = f"{plural(test.effect.num_runs, 'run')} without a collapse, of {plural(test.num_seeds, 'seed')}{lost}"
    seeds += f" ({number_of_test(test, test.of_all)} with collapsed ones)" if not math.isnan(test.of_all) else ""
    between = f" (95 % interval {number_of_test(test, test.low)} to {number_of_test(test, test.high)})"
    between = "" if math.isnan(test.low) else between
    return f"{begin}{number_of_test(test, test.estimate)}{between}, {seeds}; {outcome(test, study)}{_p(test)}."


def _p(test: ClaimTest) -> str:
    """Return the smaller p value of a test; '' where there is none to speak of."""
    value = min(test.p, key=lambda p: math.inf if math.isnan(p) else p)
    return "" if test.condition.expect == "never" or math.isnan(value) else f" (p = {value:.2g})"


def tested_number(test: ClaimTest, study: Study) -> str:
    """Say which number a test is about."""
    name = study.definitions[test.condition.statistic].name
    if test.condition.spread:
        return f"variance of the {name} between models, in squared points"
    if test.condition.expect == "much higher":
        return f"{name}, less {study.rules.much:g} times that of the other"
    return name


def stated(test: ClaimTest, study: Study) -> str:
    """Say what a test's number has to be for the claim."""
    expect, (low, high) = test.condition.expect, region(test.condition, study)
    if expect == "much higher":
        return f"more than {study.rules.much:g} times as high"
    words = {"often": f"with at least {low:.0%} of seeds", "often not": f"not so with at least {1 - high:.0%} of seeds"}
    words |= {"never": "in no run", "above": f"above {low:g}", "alike": f"alike within {high:g}"}
    words |= {"about": f"about {test.condition.bound:g}, within {high - test.condition.bound:.2g}"}
    words |= {"not higher": f"not higher by {high:g}", "not lower": f"not lower by {-low:g}"}
    return words.get(expect, expect)


def number_of_test(test: ClaimTest, value: float, sign: str = "+") -> str:
    """Return a number of a test with three digits, at most six of them decimals."""
    scaled = value * _SQUARED_POINTS if test.condition.spread else value
    whole = math.floor(math.log10(abs(scaled))) if scaled and math.isfinite(scaled) else 0
    sign = "" if test.condition.expect in ("above", "about") else sign
    return format_number(scaled, f"{sign}.{min(6, max(0, 2 - whole))}f")


def outcome(test: ClaimTest, study: Study) -> str:
    """Say what a test gave by itself, whatever else was tested."""
    if not test.tested:
        return "too few seeds"
    if test.p.support <= study.rules.level:
        return "as claimed"
    return "not as claimed" if test.p.contradiction <= study.rules.level else "uncertain"

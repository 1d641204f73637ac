"""The claims as a page, in Markdown: definitions, rules, and all tests behind the verdicts."""

from collections.abc import Iterable
from textwrap import indent
from typing import TYPE_CHECKING

from cxr_runner.base.markdown import markdown_facts, markdown_text
from cxr_runner.report.render.claim_rows import ClaimsReport
from cxr_runner.study import Study
from cxr_runner.study.claims import Condition

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.report.render.sections import Section

_FACTS = ("Images", "Citation", "Licence", "Counts", "Engine and device", "Versions", "Command")
_BEGIN = """# The study's claims

Every claim of the study is a test on runs: a number, what it has to be, and a verdict in one of five words.
Definitions, thresholds and conditions stand in the study's file. Whether a claim was stated before the first run that
bears on it is computed: from the time at which the claim, as it is now, was first seen beside the runs, and the time at
which that run began. This page is made by `cxr-report`, as `claims.md` beside `index.html`.

**Not for clinical use.**"""


def claims_page(sections: "Iterable[Section]", study: Study) -> str:
    """Return the page; every text in it is shown as it is."""
    note = [study.claims_note] if study.claims_note else []
    blocks = [_BEGIN, *note, "## Numbers", *_definitions(study), "## How a claim is decided", _rules(study)]
    for section in sections:
        if section.study:
            claims = section.study.claims
            blocks += [f"## {markdown_text(section.heading)}", markdown_text(claims.summary)]
            blocks += [table.markdown().rstrip("\n") for table in claims.tables[:1]]
            facts = {term: section.facts[term] for term in _FACTS if term in section.facts}
            blocks += [markdown_facts(facts), *_claims(claims, study)]
    return "\n\n".join(blocks) + "\n"


def _definitions(study: Study) -> list[str]:
    lines = [
        f"- **{markdown_text(one.name)}** (`{one.id}`): {markdown_text(one.says)} {markdown_text(one.because)}"
        + (f" A difference below {one.margin:g} is called none." if one.margin else "")
        for one in study.definitions.values()
    ]
    return ["\n".join(lines)]


def _rules(study: Study) -> str:
    rules, never = study.rules, study.rules.never
    return f"""A claim is *supported* when all of its parts are as claimed and *contradicted* when one of them is not;
*undecided* when it is uncertain; *partly run* when some of its parts have runs and do not contradict it, and *not run*
when none has. The part that decides is named.

- All runs of a claim are on images of one size and split in one manner: those of the size with most of its models. What
  other sizes have is missing to it. Several splits or folds are replicates, as seeds are.
- Models are compared run by run, on the splits and seeds with which none of them collapsed: a run that collapsed or
  diverged is in no difference, and counted beside it. It counts as not converged. Without these runs a mean is that of
  a selection: that with the collapsed ones stands beside it.
- Differences are tested by Student's t; the variances by seeds, by splits where there are several, and for test metrics
  by test images, those of a patient together, are added (docs/statistics.md). On one split it is not seen what other
  training images would change.
- A claim with a direction has a one-sided test. "Alike" and "about" are equivalence tests, two one-sided ones against
  the margin: that a difference is not significant does not show that there is none.
- A spread is the variance between models, less what seeds and test images add to it; its test is a jackknife over
  seeds.
- A share of seeds is tested exactly, by the binomial distribution; of several splits a seed counts by at least half of
  its runs. What happened in the study's one run is supported when it happens with at least {rules.often:.0%} of seeds:
  one run excludes, at 95 %, only shares below 5 %. "Much" is at least {rules.much:g} times.
- That something never happens is contradicted by {never["counterexamples"]} runs in which it does, and supported by
  {never["seeds"]} seeds or more at each setting without any, if that puts the share below {never["share"]:.0%} of all
  models with a seed: runs that start from the same weights are not independent.
- Fewer than {rules.min_seeds} seeds give no verdict on a difference. The level is {rules.level:.0%} for all claims
  together that any false one is called supported, and as much that any true one is called contradicted: p values are
  adjusted by Holm's method over the claims that were tested. A part by itself is called as claimed at
  {rules.level:.0%}.
- What an undecided claim would need is a range, since what is seen is uncertain itself: the numbers of seeds, splits or
  test images, each on its own, at which a test detects what is there with a probability of {rules.power:.0%} at the
  first, strictest step of Holm's method."""


def _claims(report: ClaimsReport, study: Study) -> Iterable[str]:
    for claim, row in zip(study.claims, report.rows, strict=True):
        yield f"### {markdown_text(claim.says)}"
        named = "; ".join(filter(None, [markdown_text(claim.source), f"`{claim.id}`"]))
        lines = [f"**{row.word}** ({named})", ""]
        lines += [f"- Why: {markdown_text(claim.because)}"] if claim.because else []
        lines += [f"- Stated: {markdown_text(_stated(condition, study))}" for condition in claim.conditions]
        lines += [f"- {markdown_text(sentence)}" for sentence in row.how]
        lines += [f"- What would decide it: {markdown_text(row.needs)}"] if row.needs else []
        lines += ["", indent(row.command, " " * 6)] if row.command else []
        yield "\n".join(lines)


def _stated(condition: Condition, study: Study) -> str:
    """Return a condition as the study's file has it, in words."""
    name = study.definitions[condition.statistic].name
    if condition.rows:
        bound = f" {condition.bound:g}" if condition.expect in ("above", "about") else ""
        at = f" at learning rates {', '.join(f'{lr:g}' for lr in condition.lrs)}" if condition.lrs else ""
        return f"{name}: {condition.expect}{bound}, models {', '.join(condition.rows)}{at}."
    pairs = "; ".join(f"{', '.join(second)} against {', '.join(first)}" for first, second in condition.pairs)
    if condition.spread:
        return f"variance of the {name} between models: {condition.expect}, models {pairs}."
    return f"{name}: {condition.expect}, models {pairs}."

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

Every claim of the study is a test on runs: a number, what it has to be, and a verdict in one of four words.
Definitions, thresholds and conditions stand in `copetti.yaml` and were written down before the numbers were computed on
any run. This page is made by `cxr-report`, as `claims.md` beside `index.html`. **Not for clinical use.**"""


def claims_page(sections: "Iterable[Section]", study: Study) -> str:
    """Return the page; every text in it is shown as it is."""
    blocks = [_BEGIN, study.claims_note, "## Numbers", *_definitions(study), "## How a claim is decided", _rules(study)]
    for section in sections:
        if section.study:
            claims = section.study.claims
            blocks += [f"## {markdown_text(section.heading)}", markdown_text(claims.summary)]
            blocks += [claims.tables[0].markdown().rstrip("\n")]
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
    return f"""A claim is *supported* when all of its tests are as claimed and *contradicted* when one of them is not;
*undecided* when it is uncertain; *not run* when there are no runs of some model and the rest do not contradict it.

- Models are compared seed by seed, on the seeds with which none of them collapsed: a run that collapsed or diverged is
  in no difference, and counted beside it. It counts as not converged. Differences are tested by Student's t.
- Test metrics are uncertain for two reasons: the seed, and how few images are tested. Differences are taken image by
  image as well, images of a patient together, and both variances are added (degrees of freedom of Welch and
  Satterthwaite).
- A share of runs is tested exactly, by the binomial distribution. "Most" and "few" are more and less than
  {rules.mostly:.0%}; "much" is at least {rules.much:g} times.
- That something never happens is contradicted by {never["counterexamples"]} runs in which it does, and supported by
  {never["seeds"]} seeds or more at each setting without any, if that puts the share below {never["share"]:.0%} of all
  models with a seed: runs that start from the same weights are not independent.
- Fewer than {rules.min_seeds} seeds give no verdict on a difference. The level is {rules.level:.0%} for all
  {len(study.claims)} claims together: p values, two-sided, are adjusted by Holm's method, those of claims without runs
  among them as 1.
- What an undecided claim would need is reckoned from what was seen: the number of seeds, or of test images where these
  are the limit, at which a test detects a difference or a share like it with a probability of {rules.power:.0%} at the
  first, strictest step of Holm's method."""


def _claims(report: ClaimsReport, study: Study) -> Iterable[str]:
    for claim, row in zip(study.claims, report.rows, strict=True):
        yield f"### {markdown_text(claim.says)}"
        lines = [f"**{row.word}** ({markdown_text(claim.source)}; `{claim.id}`)", ""]
        lines += [f"- Stated: {markdown_text(_stated(condition, study))}" for condition in claim.conditions]
        lines += [f"- {markdown_text(sentence)}" for sentence in row.how]
        lines += [f"- What would decide it: {markdown_text(row.needs)}"] if row.needs else []
        lines += ["", indent(row.command, " " * 6)] if row.command else []
        yield "\n".join(lines)


def _stated(condition: Condition, study: Study) -> str:
    """Return a condition as ``copetti.yaml`` has it, in words."""
    name = study.definitions[condition.statistic].name
    if condition.rows:
        bound = f" {condition.bound:g}" if condition.expect == "above" else ""
        at = f" at learning rates {', '.join(f'{lr:g}' for lr in condition.lrs)}" if condition.lrs else ""
        return f"{name}: {condition.expect}{bound}, models {', '.join(condition.rows)}{at}."
    pairs = "; ".join(f"{', '.join(second)} against {', '.join(first)}" for first, second in condition.pairs)
    of = "spread of the " if condition.spread else ""
    return f"{of}{name}: {condition.expect}, models {pairs}."

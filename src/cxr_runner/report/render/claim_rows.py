"""The claims of the study for the page: a verdict for each, and how it came about."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cxr_runner.base.numbers import format_number, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.claims.bounds import region
from cxr_runner.report.compare.claims.claim_tests import ClaimTest, RowSetting
from cxr_runner.report.compare.claims.verdicts import WORDS, Verdict
from cxr_runner.report.render.claim_needs import what_decides
from cxr_runner.report.render.commands import Commands
from cxr_runner.study import Study
from cxr_runner.study.claims import Claim

_ALONE = "By itself it would be {word} (p = {p:.2g}); among all {num} claims that is too little."


@dataclass(frozen=True)
class ClaimRow:
    """One claim as the page shows it.

    Attributes:
        id: id of the claim.
        word: the verdict.
        says: the claim.
        source: where the study says so.
        figure: number of its figure, '' where it has none.
        anchor: name of that figure on the page.
        runs: models and their numbers of seeds.
        how: tests behind the verdict, a sentence each.
        needs: what would decide it, '' where it is decided.
        command: command that makes the runs that are missing, '' where more runs are of no use.
    """

    id: str
    word: str
    says: str
    source: str
    figure: str
    anchor: str
    runs: str
    how: list[str]
    needs: str
    command: str


@dataclass(frozen=True)
class ClaimsReport:
    """All claims.

    Attributes:
        summary: how many have which verdict, in a sentence.
        rows: one a claim, in the order of the study.
        tables: the claims, and the tests behind them.
    """

    summary: str
    rows: list[ClaimRow]
    tables: list[Table]


def report_claims(verdicts: Sequence[Verdict], study: Study, commands: Commands, suffix: str) -> ClaimsReport:
    """Put verdicts into words.

    Args:
        verdicts: verdicts on the claims of the study.
        study: the study.
        commands: commands for the runs that they rest on.
        suffix: suffix of the names of the figures of these runs.
    """
    rows = [_row(verdict, study, commands, suffix) for verdict in verdicts]
    counts = {word: sum(row.word == word for row in rows) for word in WORDS}
    listed = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    tables = [_claims_table(verdicts, rows), _tests_table(verdicts, study)]
    return ClaimsReport(f"Of the study's {len(rows)} claims: {listed}.", rows, tables)


def _row(verdict: Verdict, study: Study, commands: Commands, suffix: str) -> ClaimRow:
    claim, num_claims = verdict.claim, len(study.claims)
    how = [_sentence(test, study) for test in verdict.tests]
    decided = verdict.word in ("supported", "contradicted")
    if not decided and verdict.alone in ("supported", "contradicted"):
        how.append(_ALONE.format(word=verdict.alone, p=verdict.p, num=num_claims))
    elif verdict.p == 0 and any(condition.expect == "never" for condition in claim.conditions):
        how.append("Counterexamples refute it; there is no p value.")
    elif verdict.p < 1:
        how.append(f"p = {verdict.p:.2g}, among all {num_claims} claims {verdict.adjusted:.2g}.")
    needs, missing = ("", ()) if decided else what_decides(verdict, study)
    return ClaimRow(
        claim.id,
        verdict.word,
        claim.says,
        claim.source,
        figure=f"Fig. {claim.figure}" if claim.figure else "",
        anchor=anchor + suffix if (anchor := _anchor(claim, study)) else "",
        runs=_runs(verdict.used),
        how=how,
        needs=needs,
        command=commands.that_make(missing),
    )


def _anchor(claim: Claim, study: Study) -> str:
    """Return the name of the figure that shows a claim best, '' where none does."""
    figure = next((figure for figure in study.figures if figure.number == claim.figure), None)
    if figure is not None:  # tables of metrics are made anew as tables, and drawn in the overview
        return "published" if figure in study.metric_figures else figure.name
    return "converged" if any(condition.statistic == "converged" for condition in claim.conditions) else ""


def _runs(used: Mapping[RowSetting, int]) -> str:
    """Say on which runs a verdict rests: models with the same number of seeds together."""
    groups: dict[tuple[int, str], list[str]] = {}
    for setting, count in used.items():
        groups.setdefault((count, setting.override), []).append(setting.row)
    by_rows: dict[tuple[int, str], list[str]] = {}
    for (count, override), rows in groups.items():
        by_rows.setdefault((count, ", ".join(dict.fromkeys(rows))), []).append(override.rpartition("=")[2])
    return "; ".join(
        f"{rows}{' at ' + ', '.join(overrides) if any(overrides) else ''} ({plural(count, 'seed')})"
        for (count, rows), overrides in by_rows.items()
    )


def _sentence(test: ClaimTest, study: Study) -> str:
    """Say what one test gave."""
    name = _named(test, study)
    begin = f"{name[0].upper()}{name[1:]}, {test.label}, claimed {_claimed(test, study)}: "
    settings = dict.fromkeys(f"{one.row}{' at ' + one.override if one.override else ''}" for one in test.missing)
    no_runs = f"no runs of {', '.join(settings)}" if settings else ""
    if no_runs and not test.num_runs:
        return f"{begin}{no_runs}."
    lost = f", {plural(test.num_lost, 'run')} collapsed or diverged" if test.num_lost else ""
    if test.condition.expect in ("most", "few", "never"):
        runs = "models with a seed, at some setting" if test.condition.expect == "never" else "runs"
        count = f"{round(test.estimate * test.num_runs)} of {test.num_runs} {runs}{lost}"
        more = f"; {no_runs}" if no_runs else ""
        interval = f"(95 % interval of the share {test.low:.2f} to {test.high:.2f})"
        return f"{begin}{count} {interval}; {_outcome(test, study)}{more}."
    if not test.num_runs:
        return f"{begin}no seed without a collapsed run{lost}."
    seeds = f"{plural(test.num_runs, 'seed')} without a collapsed run{lost}"
    between = f" (95 % interval {_signed(test, test.low)} to {_signed(test, test.high)})"
    between = "" if math.isnan(test.low) else between
    return f"{begin}{_signed(test, test.estimate)}{between}, {seeds}; {_outcome(test, study)}."


def _named(test: ClaimTest, study: Study) -> str:
    """Say which number a test is about."""
    name = study.definitions[test.condition.statistic].name
    if test.condition.spread:
        return f"spread of the {name}"
    if test.condition.expect == "much higher":
        return f"{name}, less {study.rules.much:g} times that of the other"
    return name


def _claimed(test: ClaimTest, study: Study) -> str:
    expect, (low, high) = test.condition.expect, region(test.condition, study)
    if expect == "much higher":
        return f"more than {study.rules.much:g} times as high"
    words = {"most": f"in more than {low:.0%} of runs", "few": f"in fewer than {high:.0%} of runs"}
    words |= {"never": "in no run", "above": f"above {low:g}", "alike": f"alike within {high:g}"}
    words |= {"not higher": f"not higher by {high:g}", "not lower": f"not lower by {-low:g}"}
    return words.get(expect, expect)


def _signed(test: ClaimTest, value: float) -> str:
    return format_number(value, ".3g" if test.condition.expect == "above" else "+.3g")


def _outcome(test: ClaimTest, study: Study) -> str:
    level = study.rules.level / 2
    if test.p_for <= level:
        return "as claimed"
    return "not as claimed" if test.p_against <= level else "uncertain"


def _claims_table(verdicts: Sequence[Verdict], rows: Sequence[ClaimRow]) -> Table:
    entries = [
        {
            "claim": row.id,
            "says": row.says,
            "place": row.source,
            "verdict": row.word,
            "p": verdict.p,
            "adjusted": verdict.adjusted,
            "alone": verdict.alone,
            "runs": row.runs,
            "needs": row.needs,
            "command": row.command.replace("\n", "; "),
        }
        for verdict, row in zip(verdicts, rows, strict=True)
    ]
    columns = ["verdict", "claim", "where", "rests on model (seeds)", "what would decide it"]
    shown = [[row.word, row.says, row.source, row.runs or "no runs", row.needs] for row in rows]
    caption = "The study's claims, each tested as copetti.yaml stated it before the runs were looked at."
    return Table("claims", caption, pd.DataFrame(entries), pd.DataFrame(shown, columns=columns), tuple(columns))


def _tests_table(verdicts: Sequence[Verdict], study: Study) -> Table:
    entries, shown = [], []
    for verdict in verdicts:
        for test in verdict.tests:
            claimed = _claimed(test, study)
            entry = {"claim": verdict.claim.id, "statistic": test.condition.statistic, "models": test.label}
            numbers = {key: getattr(test, key) for key in ("estimate", "low", "high", "num_runs")}
            numbers |= {"num_dead": test.num_lost}
            others = {key: getattr(test, key) for key in ("p_for", "p_against", "seeds_needed", "images_needed")}
            entries.append({**entry, "claimed": claimed, **numbers, **others})
            cells = [verdict.claim.id, _named(test, study), test.label, claimed]
            cells.append("no runs" if test.missing and not test.num_runs else _outcome(test, study))
            cells += [
                format_number(test.estimate, ".3g"),
                format_number(test.low, ".3g"),
                format_number(test.high, ".3g"),
            ]
            shown.append([*cells, str(test.num_runs), str(test.num_lost), f"{test.p_for:.2g}", f"{test.p_against:.2g}"])
    columns = ["claim", "statistic", "models", "claimed", "seen", "estimate", "low", "high", "runs"]
    columns += ["collapsed or diverged", "p for", "p against"]
    data = pd.DataFrame(entries).astype({"seeds_needed": "Int64", "images_needed": "Int64"})
    caption = (
        "The tests behind the claims. Where a model is compared with another: the former minus the latter, over seeds "
        "with which neither collapsed."
    )
    return Table("claim_tests", caption, data, pd.DataFrame(shown, columns=columns), tuple(columns[:5]))

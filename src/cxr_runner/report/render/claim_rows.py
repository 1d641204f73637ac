"""The claims of the study for the page: a verdict for each, and how it came about."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from cxr_runner.base.numbers import plural
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.claims.claim_tests import ClaimTest
from cxr_runner.report.compare.claims.claim_times import NO_TIMES, UNTIMED, ClaimTimes
from cxr_runner.report.compare.claims.observed_runs import RowSetting
from cxr_runner.report.compare.claims.requirements import Requirement
from cxr_runner.report.compare.claims.verdicts import WORDS, Verdict
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.claim_needs import what_decides
from cxr_runner.report.render.claim_words import number_of_test, outcome, sentence_of_test, stated, tested_number
from cxr_runner.report.render.commands import Commands
from cxr_runner.stats import Needed
from cxr_runner.stats.replicates import SOURCES
from cxr_runner.study import Study
from cxr_runner.study.claims import Claim


@dataclass(frozen=True)
class ClaimRow:
    """One claim as the page shows it.

    Attributes:
        id: id of the claim.
        word: the verdict.
        says: the claim.
        source: where the study says so, '' where it is claimed in its file alone.
        because: why it is claimed, '' where that is not said.
        time: whether it was stated before or after the first run that bears on it; '' where there is none.
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
    because: str
    time: str
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


def report_claims(
    verdicts: Sequence[Verdict], study: Study, commands: Commands, suffix: str, times: ClaimTimes = NO_TIMES
) -> ClaimsReport:
    """Put verdicts into words.

    Args:
        verdicts: verdicts on the claims of the study.
        study: the study.
        commands: commands for the runs that they rest on.
        suffix: suffix of the names of the figures of these runs.
        times: when each claim was stated, by its id.
    """
    rows = [_row(verdict, verdicts, commands, suffix, study, times) for verdict in verdicts]
    counts = {word: sum(row.word == word for row in rows) for word in WORDS}
    listed = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    tables = [_claims_table(verdicts, rows, times), _tests_table(verdicts, study)] if rows else []
    said = f"Of the study's {len(rows)} claims: {listed}." if rows else "The study claims nothing."
    return ClaimsReport(said, rows, tables)


def _row(
    verdict: Verdict, verdicts: Sequence[Verdict], commands: Commands, suffix: str, study: Study, times: ClaimTimes
) -> ClaimRow:
    claim, time = verdict.claim, times.get(verdict.claim.id, UNTIMED)
    how = [sentence_of_test(test, study, verdict.observed.image_size) for test in verdict.tests]
    how += [*_decision(verdict, verdicts, study), *_where(verdict), *filter(None, [time.sentence])]
    needs, missing = ("", ()) if verdict.decided else what_decides(verdict, study)
    return ClaimRow(
        claim.id,
        verdict.word,
        claim.says,
        claim.source,
        claim.because,
        time.word,
        figure=f"Fig. {claim.figure}" if claim.figure else "",
        anchor=anchor + suffix if (anchor := _anchor(claim, study)) else "",
        runs=_runs(verdict.used),
        how=how,
        needs=needs,
        command=commands.that_make(missing),
    )


def _decision(verdict: Verdict, verdicts: Sequence[Verdict], study: Study) -> list[str]:
    """Say what p value a claim has and which of its parts decides, or what of it was tested."""
    side = int(verdict.word == "contradicted" or (not verdict.decided and verdict.alone == "contradicted"))
    p, adjusted = verdict.p[side], verdict.adjusted[side]
    number = sum(not math.isnan(other.p[side]) for other in verdicts)
    said, part = [], verdict.deciding
    if len(verdict.tests) > 1 and part:
        how = {"supported": "The least sure part decides", "contradicted": "The part that decides"}
        said.append(f"{how.get(verdict.word, 'It waits most for')}: {tested_number(part, study)}, {part.label}.")
    if verdict.word == "partly run":
        tested = [outcome(test, study) for test in verdict.tests if test.tested]
        counts = ", ".join(f"{tested.count(word)} {word}" for word in dict.fromkeys(tested))
        said.append(f"Tested: {len(tested)} of {plural(len(verdict.tests), 'part')}{': ' * bool(counts)}{counts}.")
    if verdict.word == "contradicted" and p == 0 and any(one.expect == "never" for one in verdict.claim.conditions):
        return [*said, "Counterexamples refute it; there is no p value."]
    if math.isnan(p):
        return said
    against, begin = " against it" * side, f"By itself it would be {verdict.alone} (p = {p:.2g})"
    if not verdict.decided and verdict.alone in ("supported", "contradicted"):
        return [*said, f"{begin}; among the {number} claims tested that is too little."]
    return [*said, f"p{against} = {p:.2g}, among the {number} claims tested {adjusted:.2g}."]


def _where(verdict: Verdict) -> list[str]:
    """Say on which images, and how they were split."""
    observed = verdict.observed
    return [f"On images of {observed.image_size} pixels, {observed.splits}."] if verdict.used else []


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


def _claims_table(verdicts: Sequence[Verdict], rows: Sequence[ClaimRow], times: ClaimTimes) -> Table:
    entries = [
        {
            "claim": row.id,
            "says": row.says,
            "place": row.source,
            "verdict": row.word,
            "p_for": verdict.p.support,
            "p_against": verdict.p.contradiction,
            "holm_for": verdict.adjusted.support,
            "holm_against": verdict.adjusted.contradiction,
            "alone": verdict.alone,
            "decides": f"{verdict.deciding.condition.statistic}, {verdict.deciding.label}" if verdict.deciding else "",
            "image_size": verdict.observed.image_size,
            "splits": verdict.observed.splits,
            "runs": row.runs,
            "stated": times.get(row.id, UNTIMED).stated,
            "first_run": times.get(row.id, UNTIMED).first_run,
            "stated_before": row.time,
            "needs": row.needs,
            "command": row.command.replace("\n", "; "),
        }
        for verdict, row in zip(verdicts, rows, strict=True)
    ]
    columns = ["verdict", "claim", "where", "stated", "rests on model (seeds)", "what would decide it"]
    shown = [[row.word, row.says, row.source, row.time, row.runs or "no runs", row.needs] for row in rows]
    caption = (
        "The study's claims, tested as its file states them. Stated: before or after the first run that bears on it "
        "began, by the time at which the claim, as it is now, was first seen in this outputs folder."
    )
    return Table("claims", caption, pd.DataFrame(entries), pd.DataFrame(shown, columns=columns), tuple(columns))


def _tests_table(verdicts: Sequence[Verdict], study: Study) -> Table:
    parts = [
        (verdict.claim.id, test, takes)
        for verdict in verdicts
        for test, takes in zip(verdict.tests, verdict.takes, strict=True)
    ]
    shown = []
    for claim, test, _ in parts:
        cells = [claim, tested_number(test, study), test.label, stated(test, study)]
        cells.append("no runs" if test.missing and not test.num_seeds else outcome(test, study))
        cells += [number_of_test(test, value, "") for value in (test.estimate, test.low, test.high)]
        shown.append([*cells, str(test.num_seeds), str(test.num_lost), *map(p_value, test.p)])
    columns = ["claim", "statistic", "models", "claimed", "seen", "estimate", "low", "high", "seeds"]
    columns += ["collapsed or diverged", "p for", "p against"]
    data = pd.DataFrame([_test_entry(*part, study) for part in parts])
    data = data.astype({f"needed_{source}_{key}": "Int64" for source in SOURCES for key in Needed._fields})
    caption = (
        "The tests behind the claims, one-sided and each by itself. Where a model is compared with another: the former "
        "minus the latter, over seeds with which neither collapsed."
    )
    return Table("claim_tests", caption, data, pd.DataFrame(shown, columns=columns), tuple(columns[:5]))


def _test_entry(claim: str, test: ClaimTest, takes: Requirement, study: Study) -> dict[str, object]:
    entry: dict[str, object] = {"claim": claim, "statistic": test.condition.statistic, "models": test.label}
    entry |= {"claimed": stated(test, study)}
    entry |= {key: getattr(test, key) for key in ("estimate", "low", "high", "of_all", "num_seeds", "num_lost")}
    entry |= {"p_for": test.p.support, "p_against": test.p.contradiction}
    for source in SOURCES:
        needed = getattr(takes, source) or Needed(None, None, None)
        entry |= {f"needed_{source}_{key}": value for key, value in needed._asdict().items()}
    return entry

"""The claims of the study for the page: a verdict for each, and how it came about."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.numbers import number, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.claims.next_runs import what_decides
from cxr_runner.report.claims.tests import Evidence, Part, Place, places, region
from cxr_runner.report.claims.verdicts import WORDS, Verdict
from cxr_runner.report.figures import Picture
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.study import load_study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


_ALONE = "By itself it would be {word} (p = {p:.2g}); among all {num} claims that is too little."


@dataclass(frozen=True)
class ClaimRow:
    """One claim as the page shows it.

    Attributes:
        id: of the claim.
        word: the verdict.
        says: the claim.
        place: where the study says so.
        figure: the number of its figure, '' where it has none.
        anchor: the name of that figure on the page.
        runs: the models and their numbers of seeds.
        how: the tests behind the verdict, a sentence each.
        needs: what would decide it, '' where it is decided.
        command: that makes the runs that are missing, '' where more runs are of no use.
    """

    id: str
    word: str
    says: str
    place: str
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
        tables: of claims, and of the tests behind them.
    """

    summary: str
    rows: list[ClaimRow]
    tables: list[Table]


def report_claims(verdicts: Sequence[Verdict], cohort: Cohort, suffix: str) -> ClaimsReport:
    """Put verdicts into words.

    Args:
        verdicts: on the claims of the study.
        cohort: whose runs they rest on.
        suffix: of the names of the figures of the cohort.
    """
    rows = [_row(verdict, cohort, suffix) for verdict in verdicts]
    counts = {word: sum(row.word == word for row in rows) for word in WORDS}
    listed = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return ClaimsReport(
        f"Of the study's {len(rows)} claims: {listed}.", rows, [_claims_table(verdicts, rows), _tests_table(verdicts)]
    )


def converged_picture(evidence: Evidence) -> Picture:
    """Return which models converge at which learning rate: of those that claims about convergence are made of.

    Args:
        evidence: by their place the runs of a cohort.
    """
    study, shares = load_study(), {}
    conditions = [condition for claim in study.claims for condition in claim.conditions]
    for place in (place for one in conditions if one.statistic == "converged" for place in places(one)):
        row = study.row(place.row)
        found = [trial.numbers["converged"] for trial in evidence.get(place, ()) if "converged" in trial.numbers]
        if found:
            lr = place.override.rpartition("=")[2] or f"{row.lr:g}"
            shares[f"{row.id}: {row.title}", lr] = (sum(value > 0 for value in found), len(found))
    title, text = (
        "Which models converge",
        f"Runs that converge, by learning rate. {study.definitions['converged'].says}",
    )
    if not shares:
        return Picture("converged", title, text, notes=("Without runs yet; the claims name the commands.",))
    models = sorted({model for model, _ in shares}, key=lambda model: int(model.partition(":")[0]))
    lrs = sorted({lr for _, lr in shares}, key=float, reverse=True)

    def draw() -> "Figure":
        from cxr_runner.plots.converged import plot_converged

        return plot_converged(shares, models, lrs)

    alt = "; ".join(f"model {model}, lr {lr}: {count} of {total}" for (model, lr), (count, total) in shares.items())
    return Picture("converged", title, text, alt, draw=draw)


def _row(verdict: Verdict, cohort: Cohort, suffix: str) -> ClaimRow:
    claim = verdict.claim
    anchor = ""
    if claim.figure:
        is_table = claim.figure in (20, 23)  # made anew as tables, and drawn in the overview
        anchor = ("published" if is_table else f"fig{claim.figure:02}") + suffix
    elif any(condition.statistic == "converged" for condition in claim.conditions):
        anchor = "converged" + suffix
    how = [_sentence(part) for part in verdict.parts]
    decided = verdict.word in ("supported", "contradicted")
    if not decided and verdict.alone in ("supported", "contradicted"):
        how.append(_ALONE.format(word=verdict.alone, p=verdict.p, num=len(load_study().claims)))
    elif verdict.p == 0 and any(condition.expect == "never" for condition in claim.conditions):
        how.append("Counterexamples refute it; there is no p value.")
    elif verdict.p < 1:
        how.append(f"p = {verdict.p:.2g}, among all {len(load_study().claims)} claims {verdict.adjusted:.2g}.")
    needs, command = ("", "") if decided else what_decides(verdict, cohort)
    figure = f"Fig. {claim.figure}" if claim.figure else ""
    return ClaimRow(
        claim.id, verdict.word, claim.says, claim.place, figure, anchor, _runs(verdict.used), how, needs, command
    )


def _runs(used: Mapping[Place, int]) -> str:
    """Say on which runs a verdict rests: models with the same number of seeds together."""
    groups: dict[tuple[int, str], list[str]] = {}
    for place, count in used.items():
        groups.setdefault((count, place.override), []).append(place.row)
    by_rows: dict[tuple[int, str], list[str]] = {}
    for (count, override), rows in groups.items():
        by_rows.setdefault((count, ", ".join(dict.fromkeys(rows))), []).append(override.rpartition("=")[2])
    return "; ".join(
        f"{rows}{' at ' + ', '.join(overrides) if any(overrides) else ''} ({plural(count, 'seed')})"
        for (count, rows), overrides in by_rows.items()
    )


def _sentence(part: Part) -> str:
    """Say what one test found."""
    name = _named(part)
    begin = f"{name[0].upper()}{name[1:]}, {part.label}, claimed {_claimed(part)}: "
    where = dict.fromkeys(f"{place.row}{' at ' + place.override if place.override else ''}" for place in part.missing)
    no_runs = f"no runs of {', '.join(where)}" if where else ""
    if no_runs and not part.num_runs:
        return f"{begin}{no_runs}."
    dead = f", {plural(part.num_dead, 'run')} collapsed or diverged" if part.num_dead else ""
    if part.condition.expect in ("most", "few", "never"):
        runs = "models with a seed, at some setting" if part.condition.expect == "never" else "runs"
        count = f"{round(part.estimate * part.num_runs)} of {part.num_runs} {runs}{dead}"
        more = f"; {no_runs}" if no_runs else ""
        return f"{begin}{count} (95 % interval of the share {part.low:.2f} to {part.high:.2f}); {_outcome(part)}{more}."
    if not part.num_runs:
        return f"{begin}no seed with which all of them live{dead}."
    seeds = f"{plural(part.num_runs, 'seed')} with which all live{dead}"
    between = f" (95 % interval {_signed(part, part.low)} to {_signed(part, part.high)})"
    between = "" if math.isnan(part.low) else between
    return f"{begin}{_signed(part, part.estimate)}{between}, {seeds}; {_outcome(part)}."


def _named(part: Part) -> str:
    """Say which number a test is about."""
    name = load_study().definitions[part.condition.statistic].name
    if part.condition.spread:
        return f"spread of the {name}"
    if part.condition.expect == "much higher":
        return f"{name}, less {load_study().rules.much:g} times that of the other"
    return name


def _claimed(part: Part) -> str:
    expect, (low, high) = part.condition.expect, region(part.condition)
    if expect == "much higher":
        return f"more than {load_study().rules.much:g} times as high"
    words = {"most": f"in more than {low:.0%} of runs", "few": f"in fewer than {high:.0%} of runs"}
    words |= {"never": "in no run", "above": f"above {low:g}", "alike": f"alike within {high:g}"}
    words |= {"not higher": f"not higher by {high:g}", "not lower": f"not lower by {-low:g}"}
    return words.get(expect, expect)


def _signed(part: Part, value: float) -> str:
    return number(value, ".3g" if part.condition.expect == "above" else "+.3g")


def _outcome(part: Part) -> str:
    level = load_study().rules.level / 2
    if part.p_for <= level:
        return "as claimed"
    return "not as claimed" if part.p_against <= level else "open"


def _claims_table(verdicts: Sequence[Verdict], rows: Sequence[ClaimRow]) -> Table:
    entries = [
        {
            "claim": row.id,
            "says": row.says,
            "place": row.place,
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
    shown = [[row.word, row.says, row.place, row.runs or "no runs", row.needs] for row in rows]
    caption = "The study's claims, each tested as study.yaml stated it before the runs were looked at."
    return Table("claims", caption, pd.DataFrame(entries), pd.DataFrame(shown, columns=columns), tuple(columns))


def _tests_table(verdicts: Sequence[Verdict]) -> Table:
    entries, shown = [], []
    for verdict in verdicts:
        for part in verdict.parts:
            entry = {"claim": verdict.claim.id, "statistic": part.condition.statistic, "models": part.label}
            numbers = {key: getattr(part, key) for key in ("estimate", "low", "high", "num_runs", "num_dead")}
            others = {key: getattr(part, key) for key in ("p_for", "p_against", "seeds_needed", "images_needed")}
            entries.append({**entry, "claimed": _claimed(part), **numbers, **others})
            cells = [verdict.claim.id, _named(part), part.label, _claimed(part)]
            cells.append("no runs" if part.missing and not part.num_runs else _outcome(part))
            cells += [number(part.estimate, ".3g"), number(part.low, ".3g"), number(part.high, ".3g")]
            shown.append([*cells, str(part.num_runs), str(part.num_dead), f"{part.p_for:.2g}", f"{part.p_against:.2g}"])
    columns = ["claim", "statistic", "models", "claimed", "found", "estimate", "low", "high", "runs"]
    columns += ["dead", "p for", "p against"]
    data = pd.DataFrame(entries).astype({"seeds_needed": "Int64", "images_needed": "Int64"})
    caption = (
        "The tests behind the claims. Where a model is held against another: the former minus the latter, over seeds "
        "with which both live."
    )
    return Table("claim_tests", caption, data, pd.DataFrame(shown, columns=columns), tuple(columns[:5]))

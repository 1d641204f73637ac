"""What would decide a claim that is undecided: how many seeds or test images, and which runs are missing for it."""

from collections.abc import Iterable, Sequence

from cxr_runner.report.compare.claims.bounds import as_stated
from cxr_runner.report.compare.claims.claim_tests import ClaimTest
from cxr_runner.report.compare.claims.observed_runs import RowSetting
from cxr_runner.report.compare.claims.requirements import Requirement
from cxr_runner.report.compare.claims.verdicts import Verdict
from cxr_runner.report.missing import Missing
from cxr_runner.report.render.cells import needed_range
from cxr_runner.stats import Needed
from cxr_runner.study import Study

_FEW_SEEDS = 10  # asked for where there is no run to reckon from
_MOST_SEEDS = 100  # that a command is written for
_Part = tuple[ClaimTest, Requirement]


def what_decides(verdict: Verdict, study: Study) -> tuple[str, tuple[Missing, ...]]:
    """Say what would decide a claim, and which runs would."""
    size = verdict.observed.image_size
    said, settings, seeds = _more(verdict, study)
    if verdict.missing:
        rows = _ordered(verdict.missing, study)
        at = f" at {size} pixels" if size else ""
        besides = f" What has runs would need: {said[0].lower()}{said[1:]}" if said else ""
        said = f"Runs of model{'s' * (len(rows) > 1)} {', '.join(rows)}{at}.{besides}"
        settings, seeds = verdict.missing, _FEW_SEEDS
    return said, (_missing(settings, seeds, size, study),) if settings else ()


def _more(verdict: Verdict, study: Study) -> tuple[str, Sequence[RowSetting], int]:
    """Say what more would decide the parts that have runs, at which settings and with how many seeds."""
    parts = list(zip(verdict.tests, verdict.takes, strict=True))
    few = [(test, takes.seeds.fewest or 0) for test, takes in parts if takes.seeds and not test.tested]
    if few:
        settings, seeds = [setting for test, _ in few for setting in test.settings], max(number for _, number in few)
        text = f"fewer than {study.rules.min_seeds} without a collapsed run show no spread"
        return f"More seeds, {seeds} to begin with: {text}.", settings, seeds
    uncertain = [part for part in parts if part[1].open]
    contrary = [part for part in uncertain if not as_stated(part[0].condition, part[0].estimate, study)]
    if not uncertain:
        return "", [], 0
    # One contrary part is enough to contradict; to support, the part that takes most has to be decided.
    test, takes = min(contrary, key=_effort) if contrary else max(uncertain, key=_effort)
    numbers = ((takes.seeds, "seeds"), (takes.splits, "splits"), (takes.images, "test images a split"))
    ranges = [needed_range(needed, noun) for needed, noun in numbers if needed is not None]
    said = "; or ".join(text for text in ranges if text) or "no number of seeds, splits or test images alone"
    seeds = takes.seeds.likely if takes.seeds and takes.seeds.likely else 0
    text = f"{said}: {study.definitions[test.condition.statistic].name}, {test.label}."
    return text[0].upper() + text[1:], test.settings if 0 < seeds <= _MOST_SEEDS else [], seeds


def _effort(part: _Part) -> tuple[float, float]:
    """Return how many seeds a part takes, and how many images, for sorting."""

    def number(needed: Needed | None) -> float:
        return float("inf") if needed is None or needed.likely is None else needed.likely

    return number(part[1].seeds), number(part[1].images)


def _ordered(settings: Iterable[RowSetting], study: Study) -> tuple[str, ...]:
    """Return the rows of settings in the order of the study."""
    wanted = {setting.row for setting in settings}
    return tuple(row.id for row in study.rows if row.id in wanted)


def _missing(settings: Sequence[RowSetting], seeds: int, image_size: int, study: Study) -> Missing:
    """Return the runs at all these settings."""
    values: dict[str, list[str]] = {}
    for override in dict.fromkeys(setting.override for setting in settings if setting.override):
        key, _, value = override.partition("=")
        values.setdefault(key, []).append(value)
    overrides = tuple(f"{key}={','.join(given)}" for key, given in values.items())
    return Missing(_ordered(settings, study), seeds, overrides, image_size or None)

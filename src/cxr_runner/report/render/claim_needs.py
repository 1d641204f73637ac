"""What would decide a claim that is undecided: how many seeds or test images, and which runs are missing for it."""

import math
from collections.abc import Sequence

from cxr_runner.report.compare.claims.bounds import as_stated, strictest
from cxr_runner.report.compare.claims.claim_tests import ClaimTest, RowSetting
from cxr_runner.report.compare.claims.verdicts import Verdict
from cxr_runner.report.missing import Missing
from cxr_runner.study import Study

_FEW_SEEDS = 10  # asked for where there is no run to reckon from


def what_decides(verdict: Verdict, study: Study) -> tuple[str, tuple[Missing, ...]]:
    """Say what would decide a claim, and which runs would."""
    uncertain = [test for test in verdict.tests if test.p_for > strictest(study) / 2 and not test.missing]
    said, settings, seeds = _more(uncertain, study)
    if verdict.missing:
        rows = _ordered(verdict.missing, study)
        besides = f" What has runs would need: {said[0].lower()}{said[1:]}" if said else ""
        said = f"Runs of model{'s' * (len(rows) > 1)} {', '.join(rows)}.{besides}"
        settings, seeds = verdict.missing, _FEW_SEEDS
    return said, (_missing(settings, seeds, study),) if settings else ()


def _more(uncertain: Sequence[ClaimTest], study: Study) -> tuple[str, Sequence[RowSetting], int]:
    """Say what more would decide tests that are uncertain, at which settings and with how many seeds."""
    contrary = [test for test in uncertain if not as_stated(test.condition, test.estimate, study)]
    if contrary:  # one of them is enough to contradict
        uncertain = [min(contrary, key=lambda test: (test.seeds_needed or math.inf, test.images_needed or math.inf))]
    if not uncertain:
        return "", [], 0
    min_seeds, on_images = study.rules.min_seeds, max(test.images_needed or 0 for test in uncertain)
    settings = [setting for test in uncertain for setting in test.settings]
    seeds = max(test.seeds_needed or 0 for test in uncertain)
    if any(test.num_runs < min_seeds and test.condition.expect not in ("most", "few", "never") for test in uncertain):
        images = f" At the difference seen, about {on_images:,} test images as well." if on_images else ""
        seeds = max(seeds, _FEW_SEEDS)
        few = f"fewer than {min_seeds} without a collapsed run show no spread"
        return f"More seeds, {seeds} to begin with: {few}.{images}", settings, seeds
    hopeless = [test for test in uncertain if test.seeds_needed is None]
    if any(test.images_needed is None for test in hopeless):
        return "More than anybody has, of seeds or of images: what is seen lies too near the bound.", [], 0
    if hopeless:
        return f"About {on_images:,} test images, with many seeds; on these no number of seeds decides it.", [], 0
    return f"About {seeds:,} seeds, if what is seen is so.", settings, seeds


def _ordered(settings: Sequence[RowSetting], study: Study) -> tuple[str, ...]:
    """Return the rows of settings in the order of the study."""
    wanted = {setting.row for setting in settings}
    return tuple(row.id for row in study.rows if row.id in wanted)


def _missing(settings: Sequence[RowSetting], seeds: int, study: Study) -> Missing:
    """Return the runs at all these settings."""
    values: dict[str, list[str]] = {}
    for override in dict.fromkeys(setting.override for setting in settings if setting.override):
        key, _, value = override.partition("=")
        values.setdefault(key, []).append(value)
    overrides = tuple(f"{key}={','.join(given)}" for key, given in values.items())
    return Missing(_ordered(settings, study), seeds, overrides)

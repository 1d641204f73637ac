"""What would decide a claim that is open: how many seeds or test images, and the command that makes the runs."""

import math
from collections.abc import Sequence

from cxr_runner.report.claims.tests import Part, Place, as_stated, strictest
from cxr_runner.report.claims.verdicts import Verdict
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.study import load_study

_FEW_SEEDS = 10  # asked for where there is no run to reckon from


def what_decides(verdict: Verdict, cohort: Cohort) -> tuple[str, str]:
    """Say what would decide a claim, and with which command."""
    left = [part for part in verdict.parts if part.p_for > strictest() / 2 and not part.missing]
    said, where, seeds = _more(left)
    if verdict.missing:
        rows = _ordered(verdict.missing)
        besides = f" What has runs would need: {said[0].lower()}{said[1:]}" if said else ""
        said = f"Runs of model{'s' * (len(rows) > 1)} {', '.join(rows)}.{besides}"
        where, seeds = verdict.missing, _FEW_SEEDS
    return said, _command(where, seeds, cohort) if where else ""


def _more(left: Sequence[Part]) -> tuple[str, list[Place], int]:
    """Say what more would decide tests that are open, where it is to be run and with how many seeds."""
    contrary = [
        part for part in left if not as_stated(part.condition, part.estimate)
    ]  # one of them is enough to contradict
    if contrary:
        left = [min(contrary, key=lambda part: (part.seeds_needed or math.inf, part.images_needed or math.inf))]
    min_seeds, on_images = load_study().rules.min_seeds, max((part.images_needed or 0 for part in left), default=0)
    where, seeds = (
        [place for part in left for place in part.places],
        max((p.seeds_needed or 0 for p in left), default=0),
    )
    if not left:
        return "", [], 0
    if any(part.num_runs < min_seeds and part.condition.expect not in ("most", "few", "never") for part in left):
        images = f" At the difference seen, about {on_images:,} test images as well." if on_images else ""
        seeds = max(seeds, _FEW_SEEDS)
        said = f"More seeds, {seeds} to begin with: fewer than {min_seeds} with which all live show no spread.{images}"
        return said, where, seeds
    hopeless = [part for part in left if part.seeds_needed is None]
    if any(part.images_needed is None for part in hopeless):
        return "More than anybody has, of seeds or of images: what is seen lies too near the bound.", [], 0
    if hopeless:
        return f"About {on_images:,} test images, with many seeds; on these no number of seeds decides it.", [], 0
    return f"About {seeds:,} seeds, if what is seen is so.", where, seeds


def _ordered(where: Sequence[Place]) -> list[str]:
    """Return the models of places in the order of the study."""
    wanted = {place.row for place in where}
    return [row.id for row in load_study().rows if row.id in wanted]


def _command(where: Sequence[Place], seeds: int, cohort: Cohort) -> str:
    """Return what makes runs at all these places."""
    rows = _ordered(where)
    values: dict[str, list[str]] = {}
    for override in dict.fromkeys(place.override for place in where if place.override):
        key, _, value = override.partition("=")
        values.setdefault(key, []).append(value)
    return cohort.command(rows, seeds, [f"{key}={','.join(found)}" for key, found in values.items()])

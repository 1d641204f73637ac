"""Runs that claims can be tested on, and at which of them a claim is tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cxr_runner.report.missing import PIXELS

if TYPE_CHECKING:  # they are named here, and made elsewhere
    from cxr_runner.report.compare.claims.run_numbers import RunNumbers
    from cxr_runner.study.claims import Claim, Condition


class RowSetting(NamedTuple):
    """A row of the study, and what is set otherwise, as one writes it for ``cxr-run``; '' for nothing."""

    row: str
    override: str = ""


@dataclass(frozen=True)
class Observed:
    """Runs that may be compared: on the same images at one size, split in one manner.

    Attributes:
        runs: the runs at each setting.
        image_size: side of the images in pixels.
        splits: how they were split, in words.
        held_ratio: images that change from split to split over training images; 0 of a single split.
        shared_test: whether all splits have the same test images.
    """

    runs: Mapping[RowSetting, Sequence["RunNumbers"]] = field(default_factory=dict)
    image_size: int = 0
    splits: str = ""
    held_ratio: float = 0.0
    shared_test: bool = False

    def at(self, setting: RowSetting) -> Sequence["RunNumbers"]:
        """Return the runs at a setting; there may be none."""
        return self.runs.get(setting, ())


def settings_of(condition: "Condition") -> list[RowSetting]:
    """Return the settings whose runs a condition looks at."""
    rows = [*condition.rows, *(row for pair in condition.pairs for group in pair for row in group)]
    if condition.lrs:
        return [RowSetting(row, f"optimizer.lr={lr:g}") for row in (*rows, *condition.beside) for lr in condition.lrs]
    return list(as_the_study_has_them(condition, rows))


def as_the_study_has_them(condition: "Condition", rows: Sequence[str]) -> tuple[RowSetting, ...]:
    """Return rows at the settings that the study gives them."""
    override = PIXELS if condition.statistic == "seconds" else ""
    return tuple(RowSetting(row, override) for row in dict.fromkeys(rows))


def settings_of_claim(claim: "Claim") -> list[RowSetting]:
    """Return the settings whose runs a claim looks at."""
    return list(dict.fromkeys(setting for condition in claim.conditions for setting in settings_of(condition)))


def choose_observed(claim: "Claim", observed: Sequence[Observed]) -> Observed:
    """Return the runs that a claim is tested on, all of one image size and one manner of splitting.

    Those at most of its settings; of several the largest images, and then the most runs. What other sizes or splits
    have is not mixed in: to this claim it is missing.
    """
    settings = settings_of_claim(claim)

    def order(one: Observed) -> tuple[int, int, int]:
        counts = [len(one.at(setting)) for setting in settings]
        return sum(map(bool, counts)), one.image_size, sum(counts)

    return max(observed, key=order, default=Observed())

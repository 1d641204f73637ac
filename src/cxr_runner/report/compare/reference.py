"""Which configuration the others are compared with: as asked for, else by a rule, never by its results."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cxr_runner.config.usual_settings import overrides
from cxr_runner.report.collected_runs import CollectedRun

_LEAST_OF_ID = 4  # digits of an id that may stand for it


class Reference(NamedTuple):
    """The name of the configuration that the others are compared with, and why it is that one."""

    name: str
    why: str


def choose_reference(
    groups: Mapping[str, Sequence[CollectedRun]], labels: Mapping[str, str], baseline: str | None
) -> Reference:
    """Choose what the others are compared with.

    Args:
        groups: runs of every configuration, by its name.
        labels: what configurations are called, by their names.
        baseline: what was asked for; where no configuration, or more than one, is meant by it, the rule decides.
    """
    chosen = meant_by(baseline, groups, labels) if baseline is not None else []
    if len(chosen) == 1:
        return Reference(chosen[0], "as asked for")
    ages = {name: min(run.started or "9" for run in members) for name, members in groups.items()}
    numbers = {name: len(overrides(members[0].config)) for name, members in groups.items()}
    fewest = min(numbers.values())
    if sum(number == fewest for number in numbers.values()) == 1:
        why = "the configuration with the fewest settings changed"
    else:
        why = "the oldest of those with the fewest settings changed"
    return Reference(min(groups, key=lambda name: (numbers[name], ages[name], name)), why)


def meant_by(text: str, groups: Mapping[str, Sequence[CollectedRun]], labels: Mapping[str, str]) -> list[str]:
    """Return the names of the configurations that a text means.

    A label, a name, an id from its start, or the number of a row of the study.
    """
    wanted = text.casefold()

    def is_meant(name: str) -> bool:
        texts = [labels[name], name, *(text for run in groups[name] for text in (run.name, f"{run.name}-{run.id}"))]
        rows = {run.row for run in groups[name] if run.row is not None}
        texts += [text for row in rows for text in (row, f"model {row}")]
        ids = [name.rpartition("-")[2], *(run.id for run in groups[name])]
        if wanted in (one.casefold() for one in texts):
            return True
        return len(wanted) >= _LEAST_OF_ID and any(one.startswith(wanted) for one in ids)

    exact = [name for name in groups if wanted in (labels[name].casefold(), name.casefold())]
    return exact or [name for name in groups if is_meant(name)]


def natural_order(label: str) -> tuple[tuple[int, float, str], ...]:
    """Return what labels are sorted by: numbers in them by value, before letters."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)|([^0-9]+)", label.casefold())
    return tuple((0, float(number), "") if number else (1, 0.0, text) for number, text in parts)

"""Chooses the runs that a report looks at by their settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from cxr_runner.base.errors import UserError
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import list_few
from cxr_runner.report.collect.agreement import ReadRun

_GROUPS = ("data", "model", "optimizer", "schedule")  # whose own value is their name


def select_runs(runs: Sequence[ReadRun], wanted: Sequence[str]) -> list[ReadRun]:
    """Return the runs whose settings are as asked for.

    Args:
        runs: runs as read.
        wanted: ``KEY=VALUE`` each, or several values with commas between, e.g. ``model=cnn,linear``; the keys are
            those of ``cxr-run``.

    Raises:
        UserError: one is not ``KEY=VALUE``, or no run has such a setting.
    """
    chosen = list(runs)
    for text in wanted:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UserError.for_key("--select", text, "must be KEY=VALUE, e.g. model=cnn")
        values = {str(setting(read.run.config, key)) for read in chosen}
        kept = [read for read in chosen if _is_one_of(setting(read.run.config, key), value)]
        if not kept:
            valid = list_few(sorted(printable(one) for one in values - {"None"}))
            reason = f"here are {valid}" if valid else "no run has this key"
            raise UserError.for_key("--select", text, f"no run is like that; {reason}")
        chosen = kept
    return chosen


def setting(config: Mapping[str, Any], key: str) -> Any:
    """Return a setting of a run by its dotted key; None where there is none."""
    names = key.split(".")
    value: Any = config
    for name in [*names, "name"] if key in _GROUPS else names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _is_one_of(value: Any, wanted: str) -> bool:
    return any(_equals(value, one) for one in (wanted, *wanted.split(",")))


def _equals(value: Any, wanted: str) -> bool:
    """Compare a setting with a text: numbers by value, 1e-3 is 0.001."""
    if value is None or isinstance(value, bool):
        return str(value).lower() == wanted.lower() or (value is None and wanted == "null")
    if isinstance(value, int | float):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return str(value) == wanted

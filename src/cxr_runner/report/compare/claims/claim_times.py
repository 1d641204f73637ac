"""Which came first, a claim or the runs that bear on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import CollectedRun
from cxr_runner.study import match_row
from cxr_runner.study.stated import rows_of_claim


@dataclass(frozen=True)
class ClaimTime:
    """When a claim was stated, and when the first run that bears on it began.

    Attributes:
        stated: when the claim, as it is now, was first seen beside these runs, UTC in ISO 8601; '' for not known.
        first_run: when the first run of its rows began, likewise; '' where there is none, or its start is not known.
        has_runs: whether there is any run of its rows.
    """

    stated: str
    first_run: str
    has_runs: bool

    @property
    def word(self) -> str:
        """Whether it was stated before or after the first run; '' where nothing can come first."""
        if not self.has_runs:
            return ""
        if not self.stated or not self.first_run:
            return "not known"
        return "before" if self.stated <= self.first_run else "after"

    @property
    def sentence(self) -> str:
        """The same, with the times."""
        if not self.has_runs:
            return f"Stated {_shown(self.stated)}; no run bears on it yet." if self.stated else ""
        times = f"first seen here {_shown(self.stated)}, the first run that bears on it began {_shown(self.first_run)}"
        said = {
            "before": "Stated before the first run",
            "after": "Stated after the first run",
            "not known": "Whether it was stated before the first run is not known",
        }
        return f"{said[self.word]}: {times}."


UNTIMED = ClaimTime("", "", False)
ClaimTimes = Mapping[str, ClaimTime]
NO_TIMES: ClaimTimes = {}


def claim_times(runs: DataSetRuns) -> ClaimTimes:
    """Return, by the id of each claim, when it was stated and when the first run that bears on it began.

    A run on these images bears on a claim when it is one of its rows, at whatever learning rate, size, split or seed.
    """
    starts: dict[str, list[str]] = {}
    for run in _all_runs(runs):
        if (row := _row(run, runs)) is not None:
            starts.setdefault(row, []).append(run.started)
    return {
        claim.id: _time(runs.stated.get(claim.id, ""), (starts.get(row, []) for row in rows_of_claim(claim)))
        for claim in runs.study.claims
    }


def _all_runs(runs: DataSetRuns) -> Iterable[CollectedRun]:
    return (run for sized in runs.sizes for run in (*sized.runs, *sized.diverged))


def _row(run: CollectedRun, runs: DataSetRuns) -> str | None:
    """Return the row that a run repeats, but for its learning rate."""
    if run.row is not None:
        return run.row
    optimizer = run.config.get("optimizer")
    if not isinstance(optimizer, Mapping):
        return None
    lrs = {row.lr for row in runs.study.rows}
    configs = ({**run.config, "optimizer": {**optimizer, "lr": lr}} for lr in sorted(lrs))
    return next((row for config in configs if (row := match_row(config, runs.study)) is not None), None)


def _time(stated: str, starts: Iterable[list[str]]) -> ClaimTime:
    started = [start for of_row in starts for start in of_row]
    return ClaimTime(stated, min(started, default=""), bool(started))  # an unknown start, '', comes first


def _shown(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC" if time else "at an unknown time"

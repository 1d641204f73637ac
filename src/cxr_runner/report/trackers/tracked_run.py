"""What a tracker is told of a run: configuration, numbers, how it ended, figures; no images and no predictions."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cxr_runner.artifacts.metrics import COUNTS, METRICS
from cxr_runner.artifacts.rundir import Run, RunDir
from cxr_runner.base.checksums import digest, digest_of_file
from cxr_runner.base.markdown import printable
from cxr_runner.config.text import is_text_key
from cxr_runner.report.collect.repeated_runs import read_split
from cxr_runner.report.withholding import HIDDEN, nameless_settings
from cxr_runner.study import Study, match_row
from cxr_runner.study.study_rows import flatten_config

_FACTS = ("epochs_trained", "best_epoch", "train_seconds", "num_parameters")  # of metrics.json, beside the splits
_FILE_MAY_NAME = "its status.json says why, which may name images"


@dataclass(frozen=True)
class TrackedEpoch:
    """An epoch of a run.

    Attributes:
        number: which one, counted from 1.
        ended: when it ended, as far as is known, in seconds since 1970.
        values: what ``history.csv`` says of it, by ``epochs/COLUMN``; finite numbers.
    """

    number: int
    ended: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class TrackedRun:
    """A run that ended, as a tracker is told of it.

    Attributes:
        run_id: the run's name in any tracker, ``NAME-ID/seed=SEED``.
        failed: whether it ended without a result.
        started: when it began, in seconds since 1970; 0 where that is not known.
        params: configuration by dotted keys.
        tags: what identifies it and how it ended, by ``cxr_runner.KEY``.
        epochs: epochs in order; none of a run that failed in its first.
        results: metrics of val and test by ``SPLIT/METRIC``, a few facts by ``run/KEY``; empty where it failed.
        pictures: figures of the run that exist.
    """

    run_id: str
    failed: bool
    started: float
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    epochs: tuple[TrackedEpoch, ...]
    results: Mapping[str, float]
    pictures: tuple[Path, ...]

    @property
    def ended(self) -> float:
        """When it ended, as far as its epochs tell, in seconds since 1970."""
        return self.epochs[-1].ended if self.epochs else self.started

    @cached_property
    def digest(self) -> str:
        """Checksum of all this: a run that was sent with the same one is not sent again."""
        pictures = [digest_of_file(path) for path in self.pictures]
        epochs = [[epoch.number, epoch.ended, dict(epoch.values)] for epoch in self.epochs]
        told = [self.run_id, self.failed, self.params, self.tags, epochs, self.results, pictures]
        return digest(json.dumps(told, sort_keys=True, default=str), 16)


def track_run(run: Run, history: pd.DataFrame | None, study: Study, *, hide_names: bool = False) -> TrackedRun:
    """Return what a tracker is told of a run that is done or has failed.

    Args:
        run: the run.
        history: one row an epoch; None where there is none.
        study: study whose row it may repeat.
        hide_names: leave out what somebody wrote and may name images or folders.
    """
    files, started = RunDir(run.path), _seconds(run.started)
    config = dict(run.config)
    if hide_names:
        config["data"] = nameless_settings(config.get("data"))
    params = flatten_config(config)
    if hide_names:
        hidden = {key for key, value in params.items() if value and is_text_key(key) and key.split(".")[0] != "data"}
        params |= dict.fromkeys(hidden - {"name"}, HIDDEN)
    return TrackedRun(
        run_id=f"{run.name}-{run.id}/seed={run.seed}",
        failed=run.state == "failed",
        started=started,
        params=params,
        tags=_tags(run, study, hide_names=hide_names),
        epochs=tuple(_epochs(history, started)) if history is not None else (),
        results=_results(run.metrics),
        pictures=tuple(path for path in (files.curves, files.confusion) if path.is_file()),
    )


def param_text(value: object) -> str:
    """Return a setting as text, as it would be given to ``cxr-run``."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return printable(value)


def _tags(run: Run, study: Study, *, hide_names: bool) -> dict[str, str]:
    """Return the tags of a run; what is not known has none."""
    reason = _FILE_MAY_NAME if hide_names else run.problem
    title = run.data.get("title")  # of a folder or a table its name, where nobody gave another
    hide_title = hide_names and title is not None and run.data.get("synthetic") is not True
    failed, metrics = run.state == "failed", run.metrics
    prints = run.data.get("fingerprints")
    row = match_row(run.config, study)
    known = {
        "run_id": f"{run.name}-{run.id}/seed={run.seed}",
        "identity": run.id,
        "seed": run.seed,
        "state": run.state,
        "error": reason if failed else None,
        "diverged": run.diverged or None,
        "collapsed": metrics.get("collapsed"),
        "collapse_reason": metrics.get("collapse_reason"),
        "data": HIDDEN if hide_title else title,
        "data_fingerprint": run.data.get("fingerprint"),
        "source_fingerprint": prints.get("source") if isinstance(prints, Mapping) else None,
        "synthetic": run.data.get("synthetic"),
        "split": read_split(run).words if run.data else None,
        "study": study.name if row else None,
        "study_row": row,
        "engine": metrics.get("engine"),
        "device": metrics.get("device"),
        "git_commit": metrics.get("git_commit"),
        "started": run.started or None,
    }
    return {f"cxr_runner.{key}": param_text(value) for key, value in known.items() if value is not None}


def _epochs(history: pd.DataFrame, started: float) -> Iterator[TrackedEpoch]:
    ended = started
    for row in history.to_dict("records"):
        known = _finite(row, row)
        ended += known.get("seconds", 0.0)
        number = int(known.pop("epoch"))
        yield TrackedEpoch(number, ended, {f"epochs/{name}": value for name, value in known.items()})


def _results(metrics: Mapping[str, Any]) -> dict[str, float]:
    results = {f"run/{key}": value for key, value in _finite(metrics, _FACTS).items()}
    for split in ("val", "test"):
        values = metrics.get(split)
        if isinstance(values, Mapping):
            numbers = _finite(values, (*(metric.key for metric in METRICS), *COUNTS))
            results |= {f"{split}/{key}": value for key, value in numbers.items()}
    return results


def _finite(values: Mapping[Any, Any], keys: Iterable[Any]) -> dict[Any, float]:
    numbers = {key: values.get(key) for key in keys}
    return {
        key: float(value)
        for key, value in numbers.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _seconds(started: str) -> float:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return 0.0

"""What a search was asked for, checked, and the identity by which its journal is known again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_runner.base.checksums import digest
from cxr_runner.config.search_space import Parameter

JOURNAL = "journal.log"


@dataclass(frozen=True)
class SearchSettings:
    """What a search was asked for.

    Attributes:
        folder: where its journal and its results are.
        name: name of the search, the last part of the folder.
        metric: what is looked for, in words, e.g. ``val_auroc``.
        higher_is_better: whether larger is better.
        n_trials: number of trials in all, with those of earlier calls of the same command.
        n_jobs: number of trials that are proposed, and trained, together.
        prune_p: p value below which a trial that is behind the best ends; None ends none early.
        max_failure_rate: share of a batch that may fail before the search ends.
        sampler: which of Optuna's samplers proposes, ``name``, and its arguments.
        space: what is searched.
    """

    folder: Path
    name: str
    metric: str
    higher_is_better: bool
    n_trials: int
    n_jobs: int
    prune_p: float | None
    max_failure_rate: float
    sampler: Mapping[str, Any]
    space: Sequence[Parameter]

    @property
    def journal(self) -> Path:
        """The only truth: an append-only log of what was proposed and what came out."""
        return self.folder / JOURNAL

    @property
    def space_text(self) -> dict[str, str]:
        """The space as given, by key."""
        return {one.key: one.text for one in self.space}


def identify(metric: str, space: Sequence[Parameter], sampler: Mapping[str, Any], fixed: Mapping[str, Any]) -> str:
    """Return the identity of a search: eight hex digits. How far it goes and how fast has no part in it.

    Args:
        metric: what is looked for.
        space: what is searched.
        sampler: what proposes.
        fixed: configuration of a trial, nested, with the searched keys at their first values.
    """
    searched = {one.key: one.text for one in space}
    return digest(json.dumps([metric, searched, dict(sampler), dict(fixed)], sort_keys=True, default=str), 8)

"""Writes commands: those that made the runs of a report, and those that make what is missing.

The only module that does. Rows with the same size, seeds and settings share one command.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cxr_runner.config.usual_settings import override, read_defaults, split_settings
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.training_setups import TrainingSetup
from cxr_runner.report.missing import Missing
from cxr_runner.study import Row

_REPLICATES = ("seed", "repeats", "folds", "fold")  # of data.split
_SEEDS = 3  # asked for where there is no run to go by


class Commands:
    """The commands for the runs on one data set."""

    def __init__(self, runs: DataSetRuns, setups: Mapping[str, Mapping[TrainingSetup, int]]) -> None:
        """Keep how rows were trained.

        Args:
            runs: runs on the data set.
            setups: how they were trained, see :func:`cxr_runner.report.compare.training_setups.training_setups`.
        """
        self._study, self._setups, self._data = runs.study, setups, runs.data_config
        self._largest = runs.image_sizes[0]

    def that_trained(self) -> list[str]:
        """Return the commands that trained the rows of the study that have runs, in the order of their first rows."""
        trained = [(self._study.row(row_id), setup) for row_id, setups in self._setups.items() for setup in setups]
        return _write(trained, self._data)

    def that_make(self, missing: Iterable[Missing]) -> str:
        """Return what trains missing rows as others of their family were: a command a line."""
        return "\n".join(line for one in missing for line in self._lines(one))

    def that_audits(self) -> str:
        """Return the command that audits the same images, and so makes their trivial baselines."""
        return shlex.join(["cxr-data", "audit", *_data_overrides(self._data)])

    def _lines(self, missing: Missing) -> list[str]:
        given = {text.partition("=")[0] for text in missing.overrides}
        wanted = []
        for row in map(self._study.row, missing.rows):
            setup = self._alike(row) or TrainingSetup(self._largest, (f"seeds={_SEEDS}",), self._splits)
            settings = [text for text in setup.settings if text.partition("=")[0] not in given]
            setup = replace(setup, settings=(*settings, *missing.overrides))
            if missing.seeds is not None:
                setup = replace(setup, seeds=(f"seeds={missing.seeds}",))
            if missing.image_size is not None:
                setup = replace(setup, image_size=missing.image_size)
            wanted.append((row, setup))
        return _write(wanted, self._data)

    @property
    def _splits(self) -> tuple[str, ...]:
        """What chooses the splits that most runs of rows are on."""
        counts: Counter[tuple[str, ...]] = Counter()
        for setups in self._setups.values():
            for setup, number in setups.items():
                counts[setup.splits] += number
        return max(counts, key=lambda splits: counts[splits], default=())

    def _alike(self, row: Row) -> TrainingSetup | None:
        """Return how the family was trained, under the same optimizer where it was: most seeds first, then largest.

        Settings are kept between rows of one optimizer only: what suits SGD, as ``engine=gram``, need not suit Adam.
        """
        family = [other for other in map(self._study.row, self._setups) if other.family == row.family]
        same = [other for other in family if other.optimizer == row.optimizer]
        counts = [entry for other in same or family for entry in self._setups[other.id].items()]
        if not counts:
            return None
        setup, _ = max(counts, key=lambda entry: (entry[1], entry[0].image_size, -len(entry[0].settings)))
        return setup if same else replace(setup, settings=())


def _write(wanted: Sequence[tuple[Row, TrainingSetup]], data: dict[str, Any]) -> list[str]:
    """Return a command for every setup, in the order in which they come."""
    by_setup: dict[TrainingSetup, list[Row]] = {}
    for row, setup in wanted:
        by_setup.setdefault(setup, []).append(row)
    commands = [(command, setup) for setup, rows in by_setup.items() for command in _commands(rows)]
    return [shlex.join([*command, *_arguments(setup, data)]) for command, setup in commands]


def _commands(rows: Sequence[Row]) -> list[list[str]]:
    """Return the beginnings of commands: one for all rows that are experiment files, and one for each other."""
    files = [row.experiment for row in rows if row.experiment and len(row.arguments) == 1]
    together = [["cxr-run", "-m", f"experiment={','.join(files)}"]] if files else []
    return together + [["cxr-run", "-m", *row.arguments] for row in rows if row.experiment not in files]


def _arguments(setup: TrainingSetup, data: dict[str, Any]) -> list[str]:
    return [*setup.seeds, *_data_overrides(data | {"image_size": setup.image_size}), *setup.splits, *setup.settings]


def _data_overrides(config: dict[str, Any]) -> list[str]:
    """Return what to write after ``cxr-run`` to get these images: only what differs from the defaults."""
    name = config.get("name")
    usual = data_defaults(name)
    return [f"data={name}", *_differing(_without_replicates(config), usual, "data.")] if usual else []


def _without_replicates(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of images without what one split has and another has not."""
    if not isinstance(config.get("split"), dict):
        return config
    kept = {key: value for key, value in split_settings(config).items() if key not in _REPLICATES}
    return {**config, "split": kept}


def data_defaults(name: object) -> Mapping[str, Any]:
    """Return the defaults of the images of ``data=NAME``; empty where there is no such choice."""
    return read_defaults("data", name) if isinstance(name, str) else {}


def _differing(config: dict[str, Any], usual: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for key, value in config.items():
        default = usual.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            yield from _differing(value, default, f"{prefix}{key}.")
        elif value != default:
            yield override(f"{prefix}{key}", value)

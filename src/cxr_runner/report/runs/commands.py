"""The commands that made runs, and those that make what is missing: one for what has size, seeds and settings alike."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from cxr_runner.artifacts.rundir import Run
from cxr_runner.report.runs.configurations import override
from cxr_runner.report.runs.table import DataSet
from cxr_runner.study import Row, load_study, match_row

_HOW = ("engine", "device", "deterministic")  # what a row of the study leaves open, but for the data
_SEEDS = 3  # asked for where there is no run to go by
PIXELS = "engine=pixel"  # where training times are compared: the study trains on pixels


@dataclass(frozen=True)
class Way:
    """How rows of the study are trained.

    Attributes:
        image_size: side of an image in pixels.
        seeds: what chooses them, as one writes it for ``cxr-run -m``.
        settings: whatever else differs from the defaults, written likewise.
    """

    image_size: int
    seeds: tuple[str, ...]
    settings: tuple[str, ...] = ()


def trained_ways(data_sets: Iterable[DataSet]) -> dict[str, dict[Way, int]]:
    """Find how each row of the study was trained.

    Args:
        data_sets: of one cohort.

    Returns:
        By the row's id, in the order of the study, the ways with their numbers of seeds. A seed that diverged counts.
    """
    seeds: dict[tuple[str, int, tuple[str, ...]], set[int]] = {}
    for data_set in data_sets:
        rows = [*data_set.table["row"], *(match_row(run.config) for run in data_set.diverged)]
        for row, run in zip(rows, [*data_set.runs, *data_set.diverged], strict=True):
            if isinstance(row, str) and run.seed >= 0:
                seeds.setdefault((row, data_set.image_size, _settings(run)), set()).add(run.seed)
    found: dict[str, dict[Way, int]] = {row.id: {} for row in load_study().rows}
    for (row, image_size, settings), own in seeds.items():
        found[row][Way(image_size, _seed_arguments(own), settings)] = len(own)
    return {row: ways for row, ways in found.items() if ways}


def commands_run(trained: Mapping[str, Mapping[Way, int]], data: dict[str, Any]) -> list[str]:
    """Return the commands that trained rows of the study, in the order of their first rows.

    Args:
        trained: as :func:`trained_ways` returns it.
        data: the configuration of the images, at any size.
    """
    return _commands(((load_study().row(row_id), way) for row_id, ways in trained.items() for way in ways), data)


def commands_missing(
    trained: Mapping[str, Mapping[Way, int]],
    data: dict[str, Any],
    row_ids: Iterable[str],
    seeds: int | None = None,
    overrides: Sequence[str] = (),
) -> list[str]:
    """Return the commands that train rows of the study as others of their family were.

    Args:
        trained: as :func:`trained_ways` returns it.
        data: the configuration of the images; its size is for families without runs.
        row_ids: of the rows.
        seeds: how many; None takes those that the others have.
        overrides: further ones.
    """
    given = {text.partition("=")[0] for text in overrides}
    wanted = []
    for row in map(load_study().row, row_ids):
        way = _alike(row, trained) or Way(data["image_size"], (f"seeds={_SEEDS}",))
        settings = [text for text in way.settings if text.partition("=")[0] not in given]
        way = replace(way, settings=(*settings, *overrides))
        wanted.append((row, way if seeds is None else replace(way, seeds=(f"seeds={seeds}",))))
    return _commands(wanted, data)


def data_overrides(config: dict[str, Any]) -> list[str]:
    """Return what to write after ``cxr-run`` to get these images: only what differs from the defaults."""
    name = config.get("name")
    defaults = files("cxr_runner.conf").joinpath("data").joinpath(f"{name}.yaml") if isinstance(name, str) else None
    if defaults is None or "/" in str(name) or not defaults.is_file():
        return []
    usual = yaml.safe_load(defaults.read_text("utf-8"))
    return [f"data={name}", *_differing(config, usual, "data.")]


def _differing(config: dict[str, Any], usual: dict[str, Any], prefix: str) -> Iterable[str]:
    for key, value in config.items():
        default = usual.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            yield from _differing(value, default, f"{prefix}{key}.")
        elif value != default:
            yield override(f"{prefix}{key}", value)


def _alike(row: Row, trained: Mapping[str, Mapping[Way, int]]) -> Way | None:
    """Return how the family was trained, under the same optimizer where it was: with the most seeds, then the largest.

    Settings are kept between rows of one optimizer only: what suits SGD, as ``engine=gram``, need not suit Adam.
    """
    rows = [load_study().row(row_id) for row_id in trained]
    family = [other for other in rows if other.family == row.family]
    same = [other for other in family if other.optimizer == row.optimizer]
    ways = [(way, count) for other in same or family for way, count in trained[other.id].items()]
    if not ways:
        return None
    way, _ = max(ways, key=lambda found: (found[1], found[0].image_size, -len(found[0].settings)))
    return way if same else replace(way, settings=())


def _commands(wanted: Iterable[tuple[Row, Way]], data: dict[str, Any]) -> list[str]:
    """Return a command for every way, in the order in which they come."""
    rows: dict[Way, list[Row]] = {}
    for row, way in wanted:
        rows.setdefault(way, []).append(row)
    return [
        shlex.join(["cxr-run", "-m", f"experiment={','.join(row.experiment for row in own)}", *_arguments(way, data)])
        for way, own in rows.items()
    ]


def _arguments(way: Way, data: dict[str, Any]) -> list[str]:
    return [*way.seeds, *data_overrides(data | {"image_size": way.image_size}), *way.settings]


def _settings(run: Run) -> tuple[str, ...]:
    """Return what of a run's configuration is given otherwise than it is by default."""
    usual = _defaults()
    given = {key: run.config.get(key, usual[key]) for key in _HOW}
    if str(given["device"]).startswith("cuda:"):
        given["device"] = "cuda"  # which of several GPUs it was plays no part
    return tuple(override(key, value) for key, value in given.items() if value != usual[key])


@cache
def _defaults() -> dict[str, Any]:
    content = yaml.safe_load(files("cxr_runner.conf").joinpath("config.yaml").read_text("utf-8"))
    return {key: content[key] for key in _HOW}


def _seed_arguments(seeds: Iterable[int]) -> tuple[str, ...]:
    """Choose seeds, e.g. ``seeds=3`` for 0, 1 and 2."""
    ordered = sorted(seeds)
    first = ordered[0]
    if ordered != list(range(first, first + len(ordered))):
        return (f"seed={','.join(map(str, ordered))}",)
    return (*([f"seed={first}"] if first else []), f"seeds={len(ordered)}")

"""Both tables of the study as a plan: which rows with how many seeds at which size, and how long that will take."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cxr_runner.artifacts.rundir import Run
from cxr_runner.study.published import Row, load_study, match_row

PresetName = Literal["laptop", "full"]
Wanted = tuple[str, int, int]  # row, seed, image size
Shape = tuple[object, ...]


@dataclass(frozen=True)
class Preset:
    """What a preset takes away from the rows that are trained pixel by pixel; None takes nothing.

    Attributes:
        adam_seeds: at most so many seeds of the linear families under Adam.
        cnn_seeds: at most so many seeds of the CNNs.
        cnn_size: at most so many pixels to a side for the CNNs.
    """

    adam_seeds: int | None
    cnn_seeds: int | None
    cnn_size: int | None


PRESETS: dict[PresetName, Preset] = {
    "laptop": Preset(adam_seeds=2, cnn_seeds=1, cnn_size=64),
    "full": Preset(adam_seeds=None, cnn_seeds=None, cnn_size=None),
}


@dataclass(frozen=True)
class Part:
    """Rows that are trained with the same seeds at the same size.

    Attributes:
        title: what they are.
        rows: of the study.
        seeds: how many, counted from 0.
        image_size: side of an image in pixels.
        shared: whether the rows share work, so that one sweep over all of them is faster than one for each.
    """

    title: str
    rows: tuple[Row, ...]
    seeds: int
    image_size: int
    shared: bool

    def sweeps(self) -> list["Part"]:
        """Return what is trained by one command each."""
        return (
            [self]
            if self.shared
            else [Part(self.title, (row,), self.seeds, self.image_size, True) for row in self.rows]
        )

    def wanted(self) -> set[Wanted]:
        """Return row, seed and image size of every run."""
        return {(row.id, seed, self.image_size) for row in self.rows for seed in range(self.seeds)}

    def overrides(self) -> list[str]:
        """Return the arguments of ``cxr-run -m`` that make the runs."""
        names = ",".join(row.experiment for row in self.rows)
        return [f"experiment={names}", f"seeds={self.seeds}", f"data.image_size={self.image_size}"]


@dataclass(frozen=True)
class Pace:
    """How fast models of one shape train, measured.

    Attributes:
        epoch: seconds of one epoch of one run.
        run: seconds of one run beside its epochs.
    """

    epoch: float
    run: float


def plan(preset: PresetName, seeds: int, image_size: int) -> list[Part]:
    """Lay out both tables, what is fast first.

    Args:
        preset: a name of :data:`PRESETS`.
        seeds: of every row that the preset does not cut short.
        image_size: of every row that the preset does not make smaller.
    """
    limits, rows = PRESETS[preset], load_study().rows
    linear = [row for row in rows if row.family != "cnn"]
    return [
        Part("linear families, SGD", _pick(linear, "sgd"), seeds, image_size, True),
        Part("linear families, Adam", _pick(linear, "adam"), _at_most(seeds, limits.adam_seeds), image_size, False),
        Part(
            "CNN",
            tuple(row for row in rows if row.family == "cnn"),
            _at_most(seeds, limits.cnn_seeds),
            _at_most(image_size, limits.cnn_size),
            False,
        ),
    ]


def finished(runs: Iterable[Run], data: Mapping[str, Any]) -> set[Wanted]:
    """Return row, seed and image size of the finished runs on the chosen data.

    Args:
        runs: of the outputs tree.
        data: the configuration of the chosen data, whatever its image size.
    """
    return {
        (row_id, run.seed, run.config["data"]["image_size"])
        for run in runs
        if not run.problem and is_on(run, data) and (row_id := match_row(run.config))
    }


def is_on(run: Run, data: Mapping[str, Any]) -> bool:
    """Say whether a run is on the chosen data, at any image size."""
    own = run.config.get("data")
    return isinstance(own, dict) and own | {"image_size": None} == {**data, "image_size": None}


def forecast(part: Part, done: set[Wanted], paces: Mapping[Shape, Pace]) -> float:
    """Return the seconds that the runs of a part still need.

    Args:
        part: of the plan.
        done: row, seed and image size of the finished runs.
        paces: of every shape in the part that is not finished.
    """
    epochs = {row.id: row.epochs for row in part.rows}
    shapes = {row.id: shape(row, part.image_size) for row in part.rows}
    left = [row_id for row_id, _, _ in part.wanted() - done]
    return sum(epochs[row_id] * paces[shapes[row_id]].epoch + paces[shapes[row_id]].run for row_id in left)


def shape(row: Row, image_size: int) -> Shape:
    """Return what the pace of a row depends on; the linear families are as fast as each other."""
    if row.family == "cnn":
        return "cnn", row.hidden, row.kernel_size, image_size
    return "linear", row.optimizer, image_size


def samples(part: Part, done: set[Wanted]) -> list[Row]:
    """Return one row for every shape in what is left of a part, the one with the fewest epochs."""
    left = {row_id for row_id, _, _ in part.wanted() - done}
    chosen: dict[Shape, Row] = {}
    for row in sorted(part.rows, key=lambda row: row.epochs):
        if row.id in left:
            chosen.setdefault(shape(row, part.image_size), row)
    return list(chosen.values())


def _pick(rows: Sequence[Row], optimizer: str) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.optimizer == optimizer)


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)

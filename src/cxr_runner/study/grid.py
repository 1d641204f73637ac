"""The rows of a study as a plan: which rows with how many seeds at which size, and how long that will take."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from cxr_runner.artifacts.rundir import Run
from cxr_runner.study.matching import match_row
from cxr_runner.study.published import PresetName, Study
from cxr_runner.study.study_rows import Row

Split = tuple[int, str | int]  # seed of the split, and fold; 'all' without folds
Shape = tuple[object, ...]
WHOLE: Split = (0, "all")
_LINEAR = ("linear", "linear_relu", "logistic")


class Wanted(NamedTuple):
    """What tells the runs of a study on one data set apart.

    Attributes:
        row: row of the study.
        seed: seed of the run.
        image_size: side of an image in pixels.
        split: seed and fold of the split.
    """

    row: str
    seed: int
    image_size: int
    split: Split = WHOLE


@dataclass(frozen=True)
class Preset:
    """What a preset takes away from the rows that are trained pixel by pixel; None takes nothing.

    Attributes:
        adam_seeds: at most so many seeds of the linear families under another optimizer than SGD.
        cnn_seeds: at most so many seeds of the CNNs and any other models.
        cnn_size: at most so many pixels to a side for these.
    """

    adam_seeds: int | None
    cnn_seeds: int | None
    cnn_size: int | None


PRESETS: dict[PresetName, Preset] = {
    "laptop": Preset(adam_seeds=2, cnn_seeds=1, cnn_size=64),
    "full": Preset(adam_seeds=None, cnn_seeds=None, cnn_size=None),
}


@dataclass(frozen=True)
class RowGroup:
    """Rows that are trained with the same seeds at the same size.

    Attributes:
        title: name for people.
        rows: rows of the study.
        seeds: number of seeds, counted from 0.
        image_size: side of an image in pixels.
        shared: whether the rows share work, so that one sweep over all of them is faster than one for each.
        splits: splits of the images, on each of which every row is trained with every seed.
    """

    title: str
    rows: tuple[Row, ...]
    seeds: int
    image_size: int
    shared: bool
    splits: tuple[Split, ...] = (WHOLE,)

    def sweeps(self) -> list["RowGroup"]:
        """Return what is trained by one command each."""
        return (
            [self]
            if self.shared
            else [RowGroup(self.title, (row,), self.seeds, self.image_size, True, self.splits) for row in self.rows]
        )

    def wanted(self) -> set[Wanted]:
        """Return what tells every run from the others."""
        every = product(self.rows, range(self.seeds), self.splits)
        return {Wanted(row.id, seed, self.image_size, split) for row, seed, split in every}

    def overrides(self, row: Row) -> list[str]:
        """Return the arguments of ``cxr-run`` that make the runs of a row, but for the data and their splits."""
        return [*row.arguments, f"seeds={self.seeds}", f"data.image_size={self.image_size}"]


@dataclass(frozen=True)
class Pace:
    """How fast models of one shape train, measured.

    Attributes:
        epoch: seconds of one epoch of one run.
        run: seconds of one run beside its epochs.
    """

    epoch: float
    run: float


def plan(
    preset: PresetName, seeds: int, image_size: int, study: Study, splits: tuple[Split, ...] = (WHOLE,)
) -> list[RowGroup]:
    """Lay out the rows, what is fast first; groups without a row are left out.

    Args:
        preset: name of one of :data:`PRESETS`.
        seeds: seeds of every row that the preset does not cut short.
        image_size: side of the images of every row that the preset does not make smaller.
        study: study whose rows are planned.
        splits: splits of the images that every row is trained on.
    """
    limits = PRESETS[preset]
    linear = [row for row in study.rows if row.family in _LINEAR]
    others = tuple(row for row in study.rows if row.family not in _LINEAR)
    sgd = tuple(row for row in linear if row.optimizer == "sgd")
    adam = tuple(row for row in linear if row.optimizer != "sgd")
    size = _at_most(image_size, limits.cnn_size)
    called = "CNN" if {row.family for row in others} == {"cnn"} else "other models"
    groups = [
        RowGroup("linear families, SGD", sgd, seeds, image_size, True, splits),
        RowGroup("linear families, Adam", adam, _at_most(seeds, limits.adam_seeds), image_size, False, splits),
        RowGroup(called, others, _at_most(seeds, limits.cnn_seeds), size, False, splits),
    ]
    return [group for group in groups if group.rows]


def finished(runs: Iterable[Run], data: Mapping[str, Any], study: Study) -> set[Wanted]:
    """Return what tells the finished runs on the chosen data from each other.

    Args:
        runs: runs of the outputs tree.
        data: configuration of the chosen data, whatever its image size and which of its splits.
        study: study that the rows are of.
    """
    return {
        Wanted(row_id, run.seed, run.config["data"]["image_size"], which_split(run.config["data"]))
        for run in runs
        if not run.problem and is_on(run, data) and (row_id := match_row(run.config, study))
    }


def is_on(run: Run, data: Mapping[str, Any]) -> bool:
    """Say whether a run is on the chosen data, at any image size and on any of their splits."""
    trained_on = run.config.get("data")
    return isinstance(trained_on, dict) and _but_for_split(trained_on) == _but_for_split(data)


def which_split(data: Mapping[str, Any]) -> Split:
    """Return which split of the data a configuration asks for; one from before there were folds asks for none."""
    split = data.get("split") or {}
    fold = split.get("fold", "all")
    return split.get("seed", 0), fold if isinstance(fold, int) else str(fold)


def _but_for_split(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of data without its image size and what tells its splits apart."""
    split = {"repeats": 1, "folds": None, **(data.get("split") or {}), "seed": None, "fold": None}
    if split["folds"] is None:
        split["keep_test"] = bool(split.get("keep_test"))  # without folds, null means false, which it was before
    known = {key: value for key, value in data.items() if value is not None}  # a key may have come later
    return {"train_share": 1.0, **known, "image_size": None, "split": split}


def forecast(group: RowGroup, done: set[Wanted], paces: Mapping[Shape, Pace]) -> float:
    """Return the seconds that the remaining runs of a group need.

    Args:
        group: group of the plan.
        done: the finished runs.
        paces: paces of all shapes in the group that are not finished.
    """
    epochs = {row.id: row.epochs for row in group.rows}
    shapes = {row.id: shape(row, group.image_size) for row in group.rows}
    remaining = [wanted.row for wanted in group.wanted() - done]
    return sum(epochs[row_id] * paces[shapes[row_id]].epoch + paces[shapes[row_id]].run for row_id in remaining)


def shape(row: Row, image_size: int) -> Shape:
    """Return what the pace of a row depends on; the linear families that SGD trains are as fast as each other."""
    if row.family not in _LINEAR:
        return row.family, row.hidden, row.kernel_size, image_size
    return "logistic" if row.family == "logistic" else "linear", row.optimizer, image_size


def samples(group: RowGroup, done: set[Wanted]) -> list[Row]:
    """Return one row for every shape in the remaining runs of a group, the one with the fewest epochs."""
    remaining = {wanted.row for wanted in group.wanted() - done}
    chosen: dict[Shape, Row] = {}
    for row in sorted(group.rows, key=lambda row: row.epochs):
        if row.id in remaining:
            chosen.setdefault(shape(row, group.image_size), row)
    return list(chosen.values())


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)

"""How the rows of the study were trained, and which of their runs took times that can be compared."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_runner.config.usual_settings import override, read_defaults
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.collected_runs import CollectedRun, RunSplit

_HOW = ("engine", "device", "deterministic")  # what a row of the study does not determine, but for the data


@dataclass(frozen=True)
class TrainingSetup:
    """How rows of the study are trained.

    Attributes:
        image_size: side of an image in pixels.
        seeds: what chooses them, as one writes it for ``cxr-run -m``.
        splits: what chooses splits and folds, written likewise.
        settings: whatever else differs from the defaults, written likewise.
    """

    image_size: int
    seeds: tuple[str, ...]
    splits: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


def training_setups(runs: DataSetRuns) -> dict[str, dict[TrainingSetup, int]]:
    """Return how each row of the study was trained.

    Returns:
        By the row's id, in the order of the study, the setups with their numbers of seeds. A seed that diverged counts.
    """
    trained: dict[tuple[str, int, tuple[str, ...]], list[CollectedRun]] = {}
    for sized in runs.sizes:
        for run in (*sized.runs, *sized.diverged):
            if run.row is not None and run.seed >= 0:
                trained.setdefault((run.row, sized.image_size, _settings(run)), []).append(run)
    setups: dict[str, dict[TrainingSetup, int]] = {row.id: {} for row in runs.study.rows}
    for (row, image_size, settings), members in trained.items():
        seeds = {run.seed for run in members}
        splits = _split_arguments({run.split for run in members})
        setups[row][TrainingSetup(image_size, _seed_arguments(seeds, "seed"), splits, settings)] = len(seeds)
    return {row: by_setup for row, by_setup in setups.items() if by_setup}


def timed_runs(groups: Iterable[Iterable[CollectedRun]], row_ids: Iterable[str]) -> dict[str, list[CollectedRun]]:
    """Return runs of rows of the study that trained on pixels, of the group and device that most rows have some of.

    CNNs are of one kind of kernels; what has no such choice goes with either.

    Args:
        groups: finished runs, those at each size of the images together.
        row_ids: ids of the rows.

    Returns:
        By the id of every row its runs; none where there are none.
    """
    wanted = dict.fromkeys(row_ids)
    alike: dict[tuple[int, str, str], dict[str, list[CollectedRun]]] = {}
    for number, group in enumerate(groups):
        for run in group:
            if run.row in wanted and run.metrics["engine"] == "pixel":
                for kernels in _kernels(run):
                    key = (number, run.metrics["device"], kernels)
                    alike.setdefault(key, {row_id: [] for row_id in wanted})[run.row].append(run)
    none: dict[str, list[CollectedRun]] = {row_id: [] for row_id in wanted}
    return max(alike.values(), key=lambda by_row: sum(map(bool, by_row.values())), default=none)


def _kernels(run: CollectedRun) -> tuple[str, ...]:
    """Return which kernels a run's time is one of; of a CNN that does not say it, it is torch's."""
    if run.config["model"]["name"] == "cnn":
        return (str(run.metrics.get("kernels", "torch")),)
    return ("native", "torch")


def _settings(run: CollectedRun) -> tuple[str, ...]:
    """Return what of a run's configuration is given otherwise than it is by default."""
    usual = read_defaults("config")
    given = {key: run.config.get(key, usual[key]) for key in _HOW}
    if str(given["device"]).startswith("cuda:"):
        given["device"] = "cuda"  # which of several GPUs it was does not matter
    return tuple(override(key, value) for key, value in given.items() if value != usual[key])


def _seed_arguments(seeds: Iterable[int], key: str) -> tuple[str, ...]:
    """Choose seeds, e.g. ``seeds=3`` for 0, 1 and 2."""
    ordered, number = sorted(seeds), {"seed": "seeds", "data.split.seed": "data.split.repeats"}[key]
    first = ordered[0]
    if ordered != list(range(first, first + len(ordered))):
        return (f"{key}={','.join(map(str, ordered))}",)
    return (*([f"{key}={first}"] if first else []), f"{number}={len(ordered)}")


def _split_arguments(splits: Iterable[RunSplit]) -> tuple[str, ...]:
    """Choose splits, e.g. ``data.split.folds=5`` for all five folds; of data that bring their splits nothing does."""
    known = list(splits)
    seeds = _seed_arguments({split.seed for split in known}, "data.split.seed")
    chosen = tuple(text for text in seeds if text != "data.split.repeats=1")
    numbers = {split.folds for split in known if split.folds is not None}
    if len(numbers) != 1:
        return chosen
    (number,), folds = numbers, sorted({split.fold for split in known if split.fold is not None})
    some = () if folds == list(range(number)) else (f"data.split.fold={','.join(map(str, folds))}",)
    return (f"data.split.folds={number}", *some, *chosen)

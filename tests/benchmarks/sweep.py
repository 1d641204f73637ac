"""The study's linear-family rows under SGD, ten seeds each: one after another on pixels, against Gram space as a sweep.

On pixels a step of every shape is measured, and the time of all steps follows from their number. Gram space is the
command itself, cold (from image files to results, with an empty cache) and warm (store, Gram matrix and starts kept).
"""

import math
import tempfile
from pathlib import Path

from benchmarks.engines import engine_way
from benchmarks.measuring import Contestant, Figures, Options, Result, compare, run_command, start
from benchmarks.workloads import compose_run, data_overrides, describe_data, open_data
from cxr_runner.study import Row, load_study
from installed import installed


def measure(options: Options) -> list[Result]:
    """Measure the whole sweep."""
    data, seeds = data_overrides(options), 2 if options.quick else 10
    rows = [row for row in load_study().rows if row.optimizer == "sgd" and row.kernel_size is None]
    rows = rows[:2] if options.quick else rows
    dataset = open_data(compose_run(*data))
    num_train = len(dataset.rows("train"))
    plain = _pixel_space(rows, data, num_train, seeds, options)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [installed("cxr-run"), "-m", *data, f"seeds={seeds}", "progress=lines"]
        command += [f"experiment={','.join(row.experiment for row in rows)}", f"device={options.device}"]
        if options.quick:
            command.append("epochs=1")
        cache = {"CXR_CACHE": f"{folder}/cache"}
        cold = run_command("Gram space, the command, cold", [*command, f"outputs={folder}/cold"], **cache)
        warm = run_command("Gram space, the command, warm", [*command, f"outputs={folder}/warm"], **cache)
    facts = {"rows": [row.experiment for row in rows], "seeds": seeds, "num_train": num_train}
    unit = f"the sweep: {len(rows)} rows, {seeds} seeds"
    return [Result("sweep", unit, describe_data(dataset), [plain, cold, warm], facts)]


def _pixel_space(rows: list[Row], data: tuple[str, ...], num_train: int, seeds: int, options: Options) -> Figures:
    """Return what training all rows one after another on pixels would take."""
    steps: dict[tuple[str, ...], int] = {}  # by the shape of the model and of the batch
    for row in rows:
        shape = (f"model={row.family}", f"model.layers={row.layers}", f"model.hidden={row.hidden}")
        shape += (f"batch_size={row.batch_size}",)
        epochs = 1 if options.quick else row.epochs
        steps[shape] = steps.get(shape, 0) + seeds * epochs * math.ceil(num_train / row.batch_size)
    at_once = 1 if options.quick else 3
    ways = [
        Contestant(" ".join(shape), engine_way, ((*data, *shape, "engine=pixel"), at_once, options.device))
        for shape in steps
    ]
    wall = cpu = 0.0
    peak = 0
    for way, number in zip(ways, steps.values(), strict=True):  # one at a time: each holds a copy of its weights
        (one,) = compare([way], min(options.rounds, 3))
        wall, cpu, peak = wall + number * one.wall, cpu + number * one.cpu, max(peak, one.peak)
    note = f"extrapolated to {sum(steps.values()):,} steps"
    return Figures("engine=pixel, one after another", wall, cpu, peak, note)


if __name__ == "__main__":
    start(measure)

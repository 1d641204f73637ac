"""Many splits of one set of images: five folds by patient, ten repeats, ten seeds, as one command from a warm store.

The plain way is a command for each run, as one would write a loop around it: fifty of them are trained, one for each
split, and the time of all follows. They must have left the same bytes as the one command. ``--repeats`` trains fewer.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import Figures, Options, Result, run_command, start
from benchmarks.workloads import compose_run, data_overrides, describe_data, open_data
from installed import installed

COMPARED = ("predictions.csv", "model.safetensors")


def measure(options: Options, repeats: int = 10) -> list[Result]:
    """Measure the command that trains all runs, one of a single split, and those of single runs.

    Args:
        options: of the command line.
        repeats: number of split seeds.
    """
    data = (*data_overrides(options), f"device={options.device}")
    if "data=folder" in data:
        data += ("data.positive=PNEUMONIA", "data.split.strategy=patient")
    folds, seeds, epochs, repeats = (2, 2, 1, 1) if options.quick else (5, 10, 10, repeats)
    splits = [(repeat, fold) for repeat in range(repeats) for fold in range(folds)]
    num_runs = len(splits) * seeds
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [installed("cxr-run"), "experiment=table1_20", *data, f"data.split.folds={folds}", "progress=lines"]

        def train(name: str, outputs: str, *overrides: str) -> Figures:
            return run_command(name, [*command, f"outputs={folder}/{outputs}", *overrides])

        train("", "warm", "data.split.fold=0", f"seeds={seeds}", "epochs=1")
        command.append(f"epochs={epochs}")
        every = train("all splits and seeds, one command", "all", f"data.split.repeats={repeats}", f"seeds={seeds}")
        one = train(f"one split, {seeds} seeds, one command", "one", "data.split.fold=0", f"seeds={seeds}")
        alone = [
            train(
                "",
                "alone",
                f"data.split.seed={repeat}",
                f"data.split.fold={fold}",
                f"seed={(5 * repeat + fold) % seeds}",
            )
            for repeat, fold in splits
        ]
        same = _compare(Path(folder, "alone"), Path(folder, "all"))
    share = num_runs / len(alone)
    plain = Figures(
        "a command for each run",
        wall=share * sum(figures.wall for figures in alone),
        cpu=share * sum(figures.cpu for figures in alone),
        peak=max(figures.peak for figures in alone),
        note=f"extrapolated from {len(alone)} runs",
    )
    one = replace(one, wall=one.wall * len(splits), cpu=one.cpu * len(splits), note="extrapolated from one of them")
    every = replace(every, note=f"{same} of {len(alone)} runs trained alone left the same bytes")
    facts = {"runs": num_runs, "splits": len(splits), "seeds": seeds, "compared": len(alone), "same": same}
    unit = f"{num_runs} runs: {folds} folds x {repeats} repeats x {seeds} seeds, {epochs} epochs each"
    named = replace(one, name=f"a command for each split, of {seeds} seeds")
    return [Result("folds", unit, describe_data(open_data(compose_run(*data))), [plain, named, every], facts)]


def _compare(alone: Path, together: Path) -> int:
    """Return how many runs left the same files in two outputs trees, and name those that did not."""
    same = 0
    for status in sorted(alone.glob("runs/*/seed=*/status.json")):
        run = status.parent
        other = together / run.relative_to(alone)
        different = [name for name in COMPARED if (run / name).read_bytes() != (other / name).read_bytes()]
        same += not different
        if different:
            print(f"{run.relative_to(alone)}: {' and '.join(different)} differ", file=sys.stderr)
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--repeats", type=int, default=10)
    own, others = parser.parse_known_args()
    start(lambda options: measure(options, own.repeats), others)

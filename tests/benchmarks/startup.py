"""How long commands take to answer, against starting Python with what they cannot do without."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Figures, Options, Result, middle, run_command, start
from installed import installed

TINY = ("data.num_images=40", "data.image_size=32", "batch_size=1000", "epochs=1", "progress=lines", "force=true")


def measure(options: Options) -> list[Result]:
    """Measure one start; the first epoch of the tiny runs is one batch."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs"
        variables = {"CXR_CACHE": os.environ.get("CXR_CACHE", str(Path(folder) / "cache"))}
        run = installed("cxr-run")
        tiny = [run, *TINY, f"outputs={outputs}"]

        def command(name: str, *words: str, until: str | None = None) -> Callable[[], Figures]:
            return lambda: run_command(name, words, until, **variables)

        plain = command("python -c 'import hydra'", sys.executable, "-c", "import hydra")
        torch = command("python -c 'import torch'", sys.executable, "-c", "import torch")
        gram = command("cxr-run, Gram space, to its first batch", *tiny, until="epoch   1/1")
        pixel = command("cxr-run, pixels, to its first batch", *tiny, "engine=pixel", until="epoch   1/1")
        whole = command("cxr-run, Gram space, one epoch, to its table", *tiny, until="run directory")
        report = command("cxr-report of two runs", installed("cxr-report"), str(outputs))
        answer = _turns([plain, command("cxr-run --help", run, "--help")], options)
        first = _turns([torch, gram, pixel, whole], options)
        gathering = _turns([command("python -c 'import matplotlib, pandas'", sys.executable, "-c",
                                    "import matplotlib.pyplot, pandas"), report], options)  # fmt: skip
    data = "synthetic phantom data, 40 images of 32x32"
    return [
        Result("startup_help", "one start", "none", answer),
        Result("startup_run", "one start", data, first),
        Result("startup_report", "one start", data, gathering),
    ]


def _turns(commands: list[Callable[[], Figures]], options: Options) -> list[Figures]:
    """Start commands in turns; the first turn fills caches and does not count."""
    turns = [[command() for command in commands] for _ in range(1 + options.rounds)][1:]
    return [middle(own) for own in zip(*turns, strict=True)]


if __name__ == "__main__":
    start(measure)

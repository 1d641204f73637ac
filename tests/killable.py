"""The command cxr-run in processes that can be killed at any moment.

They are forked from a server that has imported everything, so that a test kills the work and not the imports.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["cxr_runner.experiment.sweep", "cxr_runner.plots.curves", "cxr_runner.data.sources.phantom.source", "hydra"]
)


def start(*arguments: str, cache: Path, log: Path, kill_before: tuple[str, int] | None = None) -> ForkServerProcess:
    """Start the command.

    Args:
        arguments: of the command.
        cache: of decoded images.
        log: what it prints is appended here.
        kill_before: ``("metrics.json", 1)`` has it kill itself just before the first file, or folder, with a name like
            this gets that name.
    """
    process = _CONTEXT.Process(target=_run, args=(arguments, str(cache), str(log), os.getcwd(), kill_before))
    process.start()
    return process


def finish(process: ForkServerProcess, seconds: float = 120) -> int:
    """Wait for a process; return its exit code, negative for the signal that killed it."""
    process.join(seconds)
    assert process.exitcode is not None, "still running"
    return process.exitcode


def results(outputs: Path) -> dict[str, tuple[str, bytes, bytes]]:
    """Return what must be equal between two trees of runs, of every run by its place."""
    return {
        str(status.parent.relative_to(outputs)): (
            pd.read_csv(status.with_name("history.csv"), dtype=str).drop(columns="seconds").to_csv(),
            status.with_name("predictions.csv").read_bytes(),
            status.with_name("model.safetensors").read_bytes(),
        )
        for status in outputs.glob("runs/*/seed=*/status.json")
    }


def leftovers(*folders: Path) -> list[Path]:
    """Return the temporary files below folders, that nobody will use."""
    return [path for folder in folders for path in folder.rglob("*") if ".tmp" in path.name or "building" in path.name]


def _run(arguments: tuple[str, ...], cache: str, log: str, folder: str, kill_before: tuple[str, int] | None) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(folder)
    os.environ["CXR_CACHE"] = cache
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if kill_before is not None:
        _die_before(*kill_before)
    from cxr_runner import cli

    sys.argv = ["cxr-run", *arguments]
    cli.run()


def _die_before(name: str, count: int) -> None:
    """Have this process kill itself when something is about to be renamed to ``name``, for the ``count``-th time."""
    left = count

    def watched(event: str, values: tuple[object, ...]) -> None:
        nonlocal left
        if event == "os.rename" and Path(str(values[1])).match(name):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watched)

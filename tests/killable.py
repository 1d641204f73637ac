"""Runs cxr-run in processes that can be killed at any moment.

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
    [
        *("cxr_runner.experiment.sweep", "cxr_runner.plots.curves", "cxr_runner.data.sources.phantom.source", "hydra"),
        "torchmetrics.functional.classification",
    ]
)


def start(*arguments: str, cache: Path, log: Path, kill_before: tuple[str, int] | None = None) -> ForkServerProcess:
    """Start the command.

    Args:
        arguments: arguments of the command.
        cache: cache directory.
        log: file to which its output is appended.
        kill_before: pattern and count: ``("metrics.json", 1)`` has the process kill itself just before it renames a
            file or folder to a matching name for the first time.
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
    """Return what must be equal in two outputs trees, by the path of each run in its tree."""
    return {
        str(status.parent.relative_to(outputs)): (
            pd.read_csv(status.with_name("history.csv"), dtype=str).drop(columns="seconds").to_csv(),
            status.with_name("predictions.csv").read_bytes(),
            status.with_name("model.safetensors").read_bytes(),
        )
        for status in outputs.glob("runs/*/seed=*/status.json")
    }


def leftovers(*folders: Path) -> list[Path]:
    """Return the temporary files below folders."""
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
    """Have this process kill itself just before the ``count``-th renaming to ``name``."""
    remaining = count

    def watched(event: str, values: tuple[object, ...]) -> None:
        nonlocal remaining
        if event == "os.rename" and Path(str(values[1])).match(name):
            remaining -= 1
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watched)

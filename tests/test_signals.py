"""An interruption is never lost, whatever a library makes of the exception that it is."""

import subprocess
import sys
from pathlib import Path

import pytest

TINY = ("model=linear", "data.num_images=40", "data.image_size=16", "epochs=2", "progress=none")

# Runs a command, in which a function gets a signal and ends as a library may make it end.
SWALLOWED = """
import functools, importlib, os, signal, sys
from cxr_runner import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
name, module, function, way = sys.argv[1:5]
sys.argv[:5] = [name]
class Noisy:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass
def interrupted(*positional, **named):
    if way == "in __del__":
        Noisy()
        for _ in range(100):
            pass
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass
    except KeyboardInterrupt as error:
        if way == "chained":
            raise ValueError("what a library says") from error
    if way == "passed over":
        return original(*positional, **named)
    raise ValueError("what a library says")
*owners, function = function.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
original = getattr(owner, function)
setattr(owner, function, interrupted)
getattr(cli, name.removeprefix("cxr-"))()
"""


COMPOSITION = ("cxr-run", "hydra._internal.config_loader_impl", "ConfigLoaderImpl.load_configuration", TINY)


@pytest.mark.parametrize(
    ("command", "module", "function", "arguments", "way"),
    [
        *((*COMPOSITION, way) for way in ("chained", "without a cause", "in __del__", "passed over")),
        pytest.param("cxr-run", "cxr_runner.experiment.stack", "fit", TINY, "without a cause", marks=pytest.mark.long),
        ("cxr-run", "cxr_runner.experiment.stack", "train_epoch", TINY, "passed over"),
        ("cxr-data", "cxr_runner.config.compose", "make_loader", ("describe", *TINY[1:3]), "chained"),
        ("cxr-report", "cxr_runner.report.collect.tree", "read_runs", (".",), "without a cause"),
    ],
)
def test_whatever_a_library_makes_of_an_interruption_it_is_one(
    elsewhere: Path, command: str, module: str, function: str, arguments: tuple[str, ...], way: str
) -> None:
    given = [sys.executable, "-c", SWALLOWED, command, module, function, way, *arguments]
    answer = subprocess.run(given, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 130, answer.stderr
    assert answer.stderr.startswith(f"{command}: interrupted")
    assert answer.stderr.count("\n") == 1, answer.stderr
    for status in elsewhere.rglob("status.json"):
        assert '"state": "interrupted"' in status.read_text()

"""However a command is interrupted, and wherever its output goes: one line, and the documented exit code."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from installed import installed

TINY = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=lines", "plots=never")
COMMANDS = {
    "cxr-run": ("model=cnn", *TINY),
    "cxr-report": ("outputs",),
    "cxr-study": ("--seeds", "1", "data.num_images=40", "data.image_size=16"),
    "cxr-data": ("describe", *TINY[:2]),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Runs a command that gets a signal as it begins to import a module, or at its very end where that is ''.
INTERRUPTED = """
import atexit, os, signal, sys
from cxr_runner import cli
name, awaited, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.argv[:4] = [name]
signal.signal(signal.SIGINT, signal.default_int_handler)
if awaited:
    class Finder:
        def find_spec(self, module, *_):
            if module == awaited:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), number)
    sys.meta_path.insert(0, Finder())
else:
    atexit.register(os.kill, os.getpid(), number)
getattr(cli, name.removeprefix("cxr-"))()
"""


def interrupted(command: str, module: str, sent: signal.Signals, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-c", INTERRUPTED, command, module, str(sent.value), *arguments]
    return subprocess.run(given, capture_output=True, text=True, timeout=60)


IMPORTING = [
    *(("cxr-run", module) for module in ("hydra", "omegaconf", "pydantic", "numpy", "torch")),
    *((command, "cxr_runner.commands.arguments") for command in ("cxr-report", "cxr-study", "cxr-data")),
    *(("cxr-report", module) for module in ("cxr_runner.commands.report", "rich.console")),
]


# Every import with one of the two in turn.
@pytest.mark.parametrize(
    ("command", "module", "sent"),
    [
        pytest.param(
            *importing,
            sent,
            marks=() if place % 2 == number else pytest.mark.long,
            id="-".join(importing) + f"-{sent.name}",
        )
        for place, importing in enumerate(IMPORTING)
        for number, sent in enumerate(SIGNALS)
    ],
)
def test_an_interruption_during_imports_is_one_line(
    elsewhere: Path, command: str, module: str, sent: signal.Signals
) -> None:
    answer = interrupted(command, module, sent, *COMMANDS[command])
    assert answer.returncode == 130, answer.stderr
    assert answer.stderr.startswith(f"{command}: interrupted")
    assert len(answer.stderr.splitlines()) == 1, answer.stderr


@pytest.mark.parametrize("sent", SIGNALS, ids=lambda sent: sent.name)
def test_an_interruption_after_the_work_says_nothing(elsewhere: Path, sent: signal.Signals) -> None:
    answer = interrupted("cxr-report", "", sent, "--help")
    assert answer.stderr == ""
    assert answer.returncode == (-signal.SIGINT if sent == signal.SIGINT else 0)


@pytest.mark.long
@pytest.mark.parametrize("sent", SIGNALS, ids=lambda sent: sent.name)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_at_any_of_forty_early_moments_is_one_line(
    elsewhere: Path, command: str, sent: signal.Signals
) -> None:
    # Before this, the interpreter itself starts, and answers as it likes.
    first, moments = 0.15, random.Random(0)
    for _ in range(40):
        delay = moments.uniform(first, 1.5)
        given = [installed(command), *COMMANDS[command]]
        with subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(delay)
            process.send_signal(sent)
            _, said = process.communicate(timeout=60)
        if process.returncode != 130:  # it had ended, as it would have without
            assert (process.returncode, "interrupted" in said) != (1, True)
            assert "Traceback" not in said
            assert process.returncode in (0, 2, -signal.SIGINT), (delay, said)
        else:
            assert len(said.splitlines()) == 1, (delay, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("cxr-run", ("model=linear", *TINY)),
        ("cxr-run", ("--help",)),
        ("cxr-report", ("--help",)),
        ("cxr-data", ("-h",)),
    ],
)
def test_output_that_cannot_be_written_is_one_line(elsewhere: Path, command: str, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [installed(command), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert answer.stderr == f"{command}: standard output cannot be written to (No space left on device)\n"
    assert answer.returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.long)])
def test_names_that_the_output_cannot_encode_are_printed_as_escape_sequences(elsewhere: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}

    def call(*command: str) -> str:
        answer = subprocess.run(command, capture_output=True, env=environment, timeout=60)
        assert (answer.returncode, answer.stderr) == (0, b""), answer.stderr.decode()
        return answer.stdout.decode(encoding)

    folder = "outputs 病院 é"
    assert "\\u75c5\\u9662" in call(installed("cxr-run"), "model=linear", *TINY, f"outputs={folder}", "seeds=2")
    assert "\\u75c5\\u9662" in call(installed("cxr-report"), folder)

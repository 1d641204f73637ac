"""Contestants in processes of their own, measured in turns; a table and JSON with the machine described."""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from cxr_runner.base.files import write_json

Work = Callable[[], float]  # does a piece of work and returns how many units it was
OUT = Path("outputs/benchmarks")
# A child counts the memory of its parent at its start as its own: this parent is a small one.
_WAIT = """
import os, sys
os.set_inheritable(int(sys.argv[1]), False)
child = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
os.write(int(sys.argv[1]), f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss * 1024}".encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
        quick: only whether everything works, on tiny data; the figures mean nothing.
        device: where to compute: ``cpu`` or ``cuda``.
        out: folder of the JSON files.
    """

    quick: bool
    device: str
    out: Path

    @property
    def rounds(self) -> int:
        """How often every contestant has its turn, after one that does not count."""
        return 1 if self.quick else 7


@dataclass(frozen=True)
class Contestant:
    """One way of doing the work.

    Attributes:
        name: for people.
        prepare: called in the contestant's own process, not timed; picklable.
        arguments: of ``prepare``.
    """

    name: str
    prepare: Callable[..., Work]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Figures:
    """What a contestant took for one unit of work: medians over its turns.

    Attributes:
        name: of the contestant.
        wall: seconds.
        cpu: seconds of all threads and child processes.
        peak: bytes of memory at most, the preparation not counted where the system can tell (Linux).
        note: how it was measured, where that is not obvious.
    """

    name: str
    wall: float
    cpu: float
    peak: int
    note: str = ""


@dataclass
class Result:
    """A finished benchmark; the first figures are those of the plain way.

    Attributes:
        name: of the benchmark.
        unit: what one unit of work is.
        data: what was worked on; says whether it is synthetic.
        figures: of the contestants.
        facts: what else is worth keeping, ready for JSON.
    """

    name: str
    unit: str
    data: str
    figures: list[Figures]
    facts: dict[str, Any] = field(default_factory=dict)


def compare(contestants: Sequence[Contestant], rounds: int) -> list[Figures]:
    """Let contestants do their work in turns, so that a busy minute of the machine meets all of them."""
    runners = [_Runner(contestant) for contestant in contestants]
    try:
        for runner in runners:
            runner.turn()  # the first turn fills caches and compiles
        turns = [[runner.turn() for runner in runners] for _ in range(rounds)]
    finally:
        for runner in runners:
            runner.stop()
    return [
        Figures(
            contestant.name,
            wall=median(turn.wall for turn in own),
            cpu=median(turn.cpu for turn in own),
            peak=max(turn.peak for turn in own),
        )
        for contestant, own in zip(contestants, zip(*turns, strict=True), strict=True)
    ]


class _Runner:
    """A contestant's process: what one does to the allocator or the number of threads does not touch the others."""

    def __init__(self, contestant: Contestant) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = contestant.name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(contestant, theirs), daemon=False)
        self.process.start()
        theirs.close()

    def turn(self) -> Figures:
        self.pipe.send(True)
        return Figures(self.name, *self.pipe.recv())

    def stop(self) -> None:
        self.pipe.close()
        self.process.join()


def _serve(contestant: Contestant, pipe: Connection) -> None:
    work = contestant.prepare(*contestant.arguments)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        _forget_peak()
        wall, cpu = time.perf_counter(), _cpu_seconds()
        units = work()
        pipe.send(((time.perf_counter() - wall) / units, (_cpu_seconds() - cpu) / units, peak_bytes()))


def run_command(name: str, command: Sequence[str | Path], until: str | None = None, **environment: str) -> Figures:
    """Measure one command.

    Args:
        name: of the contestant.
        command: to start.
        until: the time that counts ends with the first line of its output that begins so; the command goes on.
        environment: variables to set.

    Returns:
        Its figures; the CPU time and the memory are those of the whole command.
    """
    read, write = os.pipe()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT, str(write), *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        pass_fds=(write,),
    )
    os.close(write)
    assert process.stdout is not None
    wall = None
    for line in process.stdout:
        if wall is None and until is not None and line.startswith(until):
            wall = time.perf_counter() - start
    code = process.wait()
    if code != 0 or (until is not None and wall is None):
        raise SystemExit(f"{' '.join(map(str, command))}: ended with {code}, or never said {until!r}")
    seconds = wall if wall is not None else time.perf_counter() - start
    with os.fdopen(read) as usage:
        cpu, peak = usage.read().split()
    return Figures(name, seconds, float(cpu), int(peak))


def middle(turns: Sequence[Figures]) -> Figures:
    """Return the medians of several turns of one contestant."""
    wall, cpu = median(turn.wall for turn in turns), median(turn.cpu for turn in turns)
    return Figures(turns[0].name, wall, cpu, max(turn.peak for turn in turns), turns[0].note)


def start(measure: Callable[[Options], list[Result]], arguments: Sequence[str] | None = None) -> None:
    """Be the command of a benchmark: measure, print the table, write the JSON.

    Args:
        measure: the benchmark.
        arguments: of the command; None takes those of the process.
    """
    options = read_options(sys.modules[measure.__module__].__doc__ or "", arguments, device="cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(options)
    for result in measure(options):
        print(as_text(result, machine, options), flush=True)
        content = asdict(result) | {"quick": options.quick, "machine": machine}
        write_json(options.out / f"{result.name}.json", content)


def read_options(description: str, arguments: Sequence[str] | None, device: str) -> Options:
    """Read the command line of a benchmark.

    Args:
        description: what the benchmark is.
        arguments: of the command; None takes those of the process.
        device: where it computes unless it is told.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny data: only whether it works")
    parser.add_argument("--device", default=device, choices=("cpu", "cuda"))
    parser.add_argument("--out", default=OUT, type=Path, help=f"folder of the JSON files (default: {OUT})")
    return Options(**vars(parser.parse_args(arguments)))


def as_text(result: Result, machine: dict[str, Any], options: Options) -> str:
    """Return the table of a result, with what was measured where above it."""
    plain = result.figures[0]
    head = f"{'':44} {'wall':>11} {'CPU':>11} {'peak':>9} {'faster':>8} {'less CPU':>9}"
    rows = [
        f"{one.name:44} {_seconds(one.wall):>11} {_seconds(one.cpu):>11} {one.peak / 1e6:>6,.0f} MB "
        f"{plain.wall / one.wall:>7.2f}x {plain.cpu / max(one.cpu, 1e-9):>8.2f}x {one.note}".rstrip()
        for one in result.figures
    ]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}, torch {machine['torch']}"
    lines = [f"{result.name}: {result.unit}", f"data: {result.data}", f"on {where}, {machine['date']}", head, *rows]
    if options.quick:
        lines.append("--quick: tiny data, the figures mean nothing")
    return "\n".join(lines) + "\n"


def describe_machine(options: Options) -> dict[str, Any]:
    """Return what a reader of figures has to know of the machine, ready for JSON."""
    from cxr_runner.experiment.results import describe_origin  # torch, which commands that are measured do not share

    origin, gpu = describe_origin(), None
    if options.device == "cuda":
        import torch

        gpu = torch.cuda.get_device_name()
    return {
        **origin.pop("machine"),
        "gpu": gpu,
        "load": os.getloadavg()[0],
        "torch": version("torch"),
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **origin,
    }


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _forget_peak() -> None:
    """Make the system count the most memory anew, where it offers that. Source: proc(5), clear_refs."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Return the most memory that this process has used."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds < 1 else f"{seconds:,.2f} s"

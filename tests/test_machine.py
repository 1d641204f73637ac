"""The machine is described, and memory is what a container or a cluster allows a process to use."""

import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cxr_runner.base import machine
from cxr_runner.base.machine import describe_machine, memory_bytes, num_cores

GIB = 2**30
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


def _system(root: Path, groups: str, limits: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": groups, **limits}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture(autouse=True)
def machine_of_64_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/slurm/job_7\n", {f"{V2}/slurm/job_7/memory.max": f"{8 * GIB}\n"}, 8),
        ("0::/slurm/job_7/step_0\n", {f"{V2}/slurm/job_7/memory.max": f"{8 * GIB}\n"}, 8),
        ("0::/a/b\n", {f"{V2}/a/b/memory.max": f"{9 * GIB}\n", f"{V2}/a/memory.max": f"{3 * GIB}\n"}, 3),
        ("0::/\n", {f"{V2}/memory.max": f"{4 * GIB}\n"}, 4),
        ("3:cpu,cpuacct:/x\n9:memory:/job\n", {f"{V1}/job/memory.limit_in_bytes": f"{2 * GIB}\n"}, 2),
        ("3:cpu,cpuacct:/job\n", {f"{V1}/job/memory.limit_in_bytes": f"{2 * GIB}\n"}, 64),
        ("0::/job\n", {f"{V2}/job/memory.max": "max\n"}, 64),
        ("9:memory:/job\n", {f"{V1}/job/memory.limit_in_bytes": "9223372036854771712\n"}, 64),
        ("", {}, 64),
    ],
    ids=["job", "step", "parent", "container", "version-1", "other-controller", "no-limit", "no-limit-1", "none"],
)
def test_the_lowest_limit_of_the_control_groups_holds(
    tmp_path: Path, groups: str, limits: dict[str, str], expected: int
) -> None:
    assert memory_bytes(_system(tmp_path, groups, limits)) == expected * GIB


def test_where_no_control_groups_are_the_machine_has_its_memory(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path) == 64 * GIB


CPUINFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD  EPYC 7B13\ncpu MHz\t: 2449.9\n"


def test_a_machine_is_described_without_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(os, "posix_spawn", start)
    root = _system(tmp_path, "0::/job\n", {f"{V2}/job/memory.max": f"{8 * GIB}\n", "proc/cpuinfo": CPUINFO})
    described = describe_machine(root)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    assert described == {"cpu": "AMD EPYC 7B13", "cores": num_cores(), "memory": 8 * GIB, "system": system}
    assert describe_machine(root) == described
    json.dumps(described, allow_nan=False)


def test_a_system_that_tells_nothing_is_described_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_bytes(b"model name\nmodel name:\n\xff")
    described = describe_machine(tmp_path)
    assert (described["cpu"], described["memory"]) == (platform.machine(), None)


@pytest.mark.parametrize(("failed", "expected"), [(0, "Apple M2"), (-1, platform.machine())])
def test_macos_is_asked_for_its_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: int, expected: str
) -> None:
    class Library:
        @staticmethod
        def sysctlbyname(name: bytes, buffer: ctypes.Array[ctypes.c_char], size: object, *_: object) -> int:
            assert name == b"machdep.cpu.brand_string"
            buffer.value = b"Apple M2" if not failed else b""
            return failed

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda _: Library)
    assert describe_machine(tmp_path)["cpu"] == expected

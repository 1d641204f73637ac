"""A container or a job of a cluster may use less memory than the machine has."""

import os
from pathlib import Path

import pytest

from cxr_runner.machine import memory_bytes

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

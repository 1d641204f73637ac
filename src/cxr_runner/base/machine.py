"""The machine: processor, operating system, and the cores and the memory that this process may use."""

import ctypes
import math
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Describe the machine, ready for JSON; no other process is started for it.

    Args:
        root: folder with ``proc`` and ``sys``.

    Returns:
        ``cpu``: model of the processor; ``cores``: number of cores that this process may use; ``memory``: bytes that it
        may use, None where the system does not say; ``system``: operating system.
    """
    memory = memory_bytes(root)
    return {
        "cpu": _cpu_name(root),
        "cores": num_cores(),
        "memory": int(memory) if math.isfinite(memory) else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_features(root: Path = Path("/")) -> str:
    """Return what tells CPUs apart that need programs of their own: the model and, on Linux, the instructions it has.

    Args:
        root: folder with ``proc``.
    """
    lines = (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines())
    features = next((value for key, _, value in lines if key.strip() in ("flags", "Features")), "")
    return f"{platform.machine()} {_cpu_name(root)} {features}"


def memory_bytes(root: Path = Path("/")) -> float:
    """Return how much memory this process may use: the machine's, or less in a container or on a cluster.

    Args:
        root: folder with ``proc`` and ``sys``.

    Returns:
        Bytes; infinity where the system does not say.
    """
    limits = list(_cgroup_limits(root))
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=math.inf)


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the limits, in bytes, of the control groups of this process and of the groups above them, which hold too.

    Source: cgroups(7); ``memory.max`` of version 2, ``memory.limit_in_bytes`` of version 1.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            limit = _read(top / folder / name).strip()
            if limit.isdecimal():  # "max" means no limit
                yield int(limit)


def _cpu_name(root: Path) -> str:
    """Return the model of the processor, or its architecture where the system does not say."""
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    name = _sysctl("machdep.cpu.brand_string") if sys.platform == "darwin" else os.environ.get("PROCESSOR_IDENTIFIER")
    return name or platform.machine()


def _sysctl(name: str) -> str:
    """Return a text value of macOS's sysctl; '' where it has none. Source: sysctlbyname(3)."""
    sysctlbyname, buffer = ctypes.CDLL(None).sysctlbyname, ctypes.create_string_buffer(256)
    size = ctypes.c_size_t(len(buffer))
    failed = sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0))
    return "" if failed else buffer.value.decode("utf-8", "replace")


def _read(path: Path) -> str:
    """Return the text of a file; '' where it cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""

"""What of the machine this process may use: cores and memory."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(root: Path = Path("/")) -> float:
    """Return how much memory this process may use: the machine's, or less in a container or a job of a cluster.

    Args:
        root: below which ``proc`` and ``sys`` are looked for.

    Returns:
        bytes; infinity where the system does not tell.
    """
    limits = list(_cgroup_limits(root))
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=math.inf)


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the limits in bytes of the control groups this process is in; their parents' hold for them too.

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
            if limit.isdecimal():  # "max" stands for none
                yield int(limit)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

"""Devices and the allocator."""

import subprocess
import sys

import pytest

from cxr_runner.devices import choose_device
from cxr_runner.errors import UserError

FAULTS = """
import resource, torch
from cxr_runner.devices import keep_freed_memory
keep_freed_memory()
torch.set_num_threads(1)
def steps():
    for _ in range(20):
        torch.zeros(8 * 2**20).add_(1)  # 32 MB, freed at once
steps()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
steps()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(allocator: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={"CXR_ALLOCATOR": allocator, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(process.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told to keep memory")
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    assert _page_faults("keep") * 10 < _page_faults("system")


@pytest.mark.parametrize("name", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_named_with_what_is(name):
    with pytest.raises(UserError, match=rf"^device={name}: .*auto takes what there is$"):
        choose_device(name)


def test_the_cpu_is_always_there():
    assert choose_device("cpu").type == "cpu"

"""Devices and the allocator."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from cxr_runner.base.errors import UserError
from cxr_runner.training.devices import choose_device

FAULTS = """
import resource, torch
from cxr_runner.training.devices import keep_freed_memory
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
        env=os.environ | {"CXR_ALLOCATOR": allocator, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(process.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told to keep memory")
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    assert _page_faults("keep") * 10 < _page_faults("system")


@pytest.mark.parametrize("name", ["cuda:99", "cuda:256", "cuda:01", "cuda:99999999999999999999", "mps"])
def test_a_device_that_is_not_there_is_named_with_what_is(name):
    with pytest.raises(UserError, match=rf"^device={name}: .*auto takes what there is$"):
        choose_device(name)


def test_the_cpu_is_always_there():
    assert choose_device("cpu").type == "cpu"


@pytest.fixture
def three_gpus(monkeypatch):
    """A machine with three GPUs, as far as choosing one goes; gives the list of those that were taken."""
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    return taken


def test_a_process_of_its_own_takes_the_first_gpu(three_gpus):
    assert str(choose_device("auto")) == "cuda:0"


@pytest.mark.parametrize(("name", "device"), [("LokyProcess-1", "cuda:0"), ("LokyProcess-3", "cuda:2")])
def test_processes_of_a_pool_take_a_gpu_each(three_gpus, monkeypatch, name, device):
    monkeypatch.setattr("multiprocessing.current_process", lambda: SimpleNamespace(name=name))
    monkeypatch.setattr("multiprocessing.parent_process", lambda: "the command")
    assert str(choose_device("auto")) == device
    assert three_gpus == [torch.device(device)]
    assert str(choose_device("cuda:1")) == "cuda:1", "who names a GPU gets it"


def test_joblib_numbers_its_processes():
    code = (  # in a process of its own: other tests have used up the first numbers of this one
        "import multiprocessing\nfrom joblib import Parallel, delayed\n"
        "name = lambda: str(multiprocessing.current_process().name)\n"
        "print(*{*Parallel(n_jobs=2)(delayed(name)() for _ in range(4))})"
    )
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert names
    assert set(names) <= {"LokyProcess-1", "LokyProcess-2"}


def test_processes_of_torchrun_take_the_gpu_of_their_rank_and_no_other(three_gpus, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert str(choose_device("auto")) == "cuda:1"
    with pytest.raises(UserError, match=r"^device=cuda:1: .*valid are auto, cuda and cpu$"):
        choose_device("cuda:1")

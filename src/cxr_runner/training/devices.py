"""Where a run computes, how repeatably, and with which memory."""

import ctypes
import multiprocessing
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from cxr_runner.base.errors import UserError


def choose_device(name: str) -> torch.device:
    """Find the device that a configuration names.

    Args:
        name: ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Of several GPUs, ``auto``
            takes the one that belongs to this process among those that a launcher started beside it.

    Raises:
        UserError: this machine has no such device, or several processes were to share one GPU.
    """
    if name.startswith("cuda:") and num_processes() > 1:
        valid = "torchrun gives every process one GPU each; valid are auto, cuda and cpu"
        raise UserError.for_key("device", name, valid)
    if name == "auto":
        name = _first_device()
    # By name, before torch reads it, which wraps large numbers around: cuda:256 would be the first device.
    if name.startswith("cuda") and name not in _cuda_devices():
        valid = (
            f"this machine has {torch.cuda.device_count()} CUDA devices that torch can use; auto takes what there is"
        )
        raise UserError.for_key("device", name, valid)
    device = torch.device(name)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError.for_key("device", name, "torch finds no MPS device here; auto takes what there is")
    if device.index is not None:
        torch.cuda.set_device(device)  # else whatever names no device would start CUDA on the first one too
    return device


def _cuda_devices() -> set[str]:
    numbered = {f"cuda:{number}" for number in range(torch.cuda.device_count())}
    return {"cuda", *numbered} if numbered else set()


def _first_device() -> str:
    if torch.cuda.is_available():
        return f"cuda:{_worker_number() % torch.cuda.device_count()}" if torch.cuda.device_count() > 1 else "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _worker_number() -> int:
    """Return the number of this worker process among those started together, from 0; 0 where nobody started several.

    Slurm and ray show a job only the GPUs that it may use. The workers of a pool on one machine see all of them, and
    are told apart by the number that their names end with (``LokyProcess-3``) or, those of ``torchrun``, by its
    variable.
    """
    if num_processes() > 1:
        return int(os.environ["LOCAL_RANK"])
    number = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    return int(number.group(1)) - 1 if number and multiprocessing.parent_process() else 0


def num_processes() -> int:
    """Return how many processes ``torchrun`` has started to share every batch; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


@contextmanager
def moved(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Have a model on a device for a while; then it is back where it was."""
    before = next(model.parameters()).device
    try:
        yield model.to(device)
    finally:
        model.to(before)


def describe_device(device: torch.device) -> str:
    """Name the device for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def lacks_bf16(device: torch.device) -> bool:
    """Whether a device is an x86 CPU with AVX2 and no more, where bf16 takes longer than float32."""
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"


def set_determinism(deterministic: bool) -> None:
    """Make torch refuse, or allow, operations that may give other bits the next time; float32 is never TF32."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    # As use_deterministic_algorithms(), which would import the compiler, and that takes seconds.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Filling every new tensor finds a mistake that is not made here, at the price of a pass over the memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = deterministic
    # precision=float32 means float32: by default cuDNN rounds the inputs of convolutions to TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = not deterministic


def recorded(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Return a function that does some work on a GPU again, as one CUDA graph: the kernels that it starts now.

    Args:
        work: reads and writes tensors that stay in their places, and waits for nothing. It is not done now. Sums that
            several threads add to in any order are not refused in it: nothing may be added to one place twice.
        device: the GPU.
    """
    before = torch.get_deterministic_debug_mode()
    torch.empty(16, 16, dtype=torch.float64, device=device).mm(torch.ones(16, 16, dtype=torch.float64, device=device))
    graph = torch.cuda.CUDAGraph()  # cuBLAS, which has just been used, cannot be started within one
    torch.set_deterministic_debug_mode("default")  # which would sort what is scattered
    try:
        with torch.cuda.graph(graph):
            work()
    finally:
        torch.set_deterministic_debug_mode(before)
    replay: Callable[[], None] = graph.replay
    return replay


@contextmanager
def on_one_thread() -> Iterator[int]:
    """Have torch compute on one thread for a while; gives the number of threads that it computes on otherwise.

    For work that is divided in another way, among threads of Python: torch's own wait for each other in busy loops,
    which on a machine with other work to do takes far longer than what they share.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def keep_freed_memory() -> None:
    """Keep the C library from handing memory back to the system after every training step and asking for it again.

    Every step frees and allocates the same hundreds of megabytes; each time the system would clear every page anew.
    Only glibc is told; ``CXR_ALLOCATOR=system`` leaves it alone. The process keeps the most memory it ever used.
    Source: mallopt(3), ``M_MMAP_MAX`` and ``M_TRIM_THRESHOLD``.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get("CXR_ALLOCATOR") == "system":
        return
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice, that of the CPU included, for which torch has no class of error."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)

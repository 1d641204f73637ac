"""A CNN's forward and backward pass on a CPU: torch's kernels against those compiled for it, on one core and on all."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.measuring import Contestant, Options, Result, Work, compare, start
from cxr_runner.base.machine import num_cores
from cxr_runner.models.cnn import CNN
from cxr_runner.training.devices import keep_freed_memory

# Side of the images, filters, side of the filters, images at once.
SHAPES = ((640, 10, 3, 8), (224, 10, 3, 32), (224, 5, 3, 32), (224, 20, 3, 32), (224, 10, 5, 32), (64, 10, 3, 32))


def one_pass(side: int, filters: int, kernel_size: int, count: int, threads: int, native: bool) -> Work:
    """Prepare passes over random images; torch's as it is fastest, with channels last."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    model, images, labels = CNN(side, filters, kernel_size), torch.rand(count, 1, side, side), torch.ones(count)
    compute = model.forward_natively
    if native:
        model.compile_kernels()
    else:
        compute = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)

    def passes() -> float:
        model.zero_grad()
        torch.autograd.backward(binary_cross_entropy_with_logits(compute(images), labels))
        return count

    return passes


def measure(options: Options) -> list[Result]:
    """Measure every shape."""
    results = []
    for side, filters, kernel_size, count in SHAPES[-1:] if options.quick else SHAPES:
        for threads in sorted({1, num_cores()}):
            shape = (side, filters, kernel_size, count, threads)
            ways = [
                Contestant(name, one_pass, (*shape, native)) for name, native in (("torch", False), ("native", True))
            ]
            unit = f"one image, {side}x{side}, {filters} filters {kernel_size}x{kernel_size}, {threads} threads"
            results.append(Result("kernels", unit, "random numbers (synthetic)", compare(ways, options.rounds)))
    return results


if __name__ == "__main__":
    start(measure)

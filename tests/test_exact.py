"""Exact products against Python's whole numbers."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_runner.training.gram.exact import WholeNumbers, fastest, num_exact_bits, to_whole_numbers
from stand_in import one_gpu


def _python_product(numbers, pixels):
    return np.array(numbers.tolist(), dtype=object).astype(int) @ np.array(pixels.tolist(), dtype=object)


@pytest.mark.parametrize("use_int8", [False, True, None])
@pytest.mark.parametrize("num_terms", [1, 7, 43, 4077])
def test_products_are_exact_up_to_the_bits_promised(use_int8, num_terms):
    rng = np.random.default_rng(num_terms)
    largest = 2 ** num_exact_bits(num_terms) - 1
    numbers = torch.tensor(rng.integers(-largest, largest, (3, num_terms), endpoint=True).astype(float))
    numbers[0], numbers[1, 0] = largest, -largest
    pixels = torch.tensor(rng.integers(0, 256, (num_terms, 5)), dtype=torch.uint8)
    pixels[:, 0] = 255
    product = WholeNumbers(numbers, use_int8).times(pixels)
    assert product.dtype == torch.float64
    assert (_python_product(numbers, pixels) == np.array(product.tolist(), dtype=object)).all()


@pytest.mark.placement
@pytest.mark.parametrize("use_int8", [False, True])
def test_cublas_is_given_sizes_that_it_takes(use_int8):
    numbers, pixels = torch.arange(21.0, dtype=torch.float64).view(3, 7), torch.arange(35, dtype=torch.uint8).view(7, 5)
    with one_gpu():
        product = WholeNumbers(numbers.cuda(), use_int8).times(pixels.cuda()).cpu()
    assert torch.equal(product, numbers @ pixels.double())


@pytest.mark.parametrize("most", ["AVX2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_a_cpu_whose_int8_sums_overflow_is_found_out(most):
    """Below VNNI, oneDNN adds pairs of products in 16 bits; both methods have to be refused whatever their speed."""
    code = (
        "import torch; from cxr_runner.training.gram import exact; torch.set_num_threads(1); "
        "clock = (4 * turn + after for turn in range(10**4) for after in (0, 3, 3, 4)); "  # by which int8 is faster
        "exact.time.perf_counter = clock.__next__; "
        "numbers = torch.arange(-2.0**30, 2.0**30, 2.0**22, dtype=torch.float64).view(1, -1); "
        "pixels = 255 - torch.arange(512 * 64).remainder(200).view(512, 64).byte(); "
        "print(torch.equal(exact.WholeNumbers(numbers).times(pixels), numbers @ pixels.double())); "
        "add, total = exact.pair_products((64, 512), numbers.device), torch.zeros(64, 64, dtype=torch.float64); "
        "bright = torch.full((64, 512), 255, dtype=torch.uint8); add(bright ^ 128, total); "
        "print(torch.equal(total.tril(), torch.full((64, 64), 512.0 * 127 * 127, dtype=torch.float64).tril()))"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": most}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "True"]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.integers(2, 40))
def test_whole_numbers_are_near_and_fit(values, num_bits):
    rows = torch.tensor([values], dtype=torch.float64)
    numbers, steps = to_whole_numbers(rows, num_bits)
    assert (numbers == numbers.round()).all()
    assert numbers.abs().max() < 2**num_bits
    assert torch.frexp(steps).mantissa.tolist() == [[0.5]], "a power of two"
    assert ((numbers * steps - rows).abs() <= rows.abs().max() * 2.0 ** (1 - num_bits)).all()


def test_values_that_fit_are_kept_exactly():
    values = torch.tensor([[3.0, -1.5, 0.25], [0.0, 0.0, 0.0]], dtype=torch.float64)
    numbers, steps = to_whole_numbers(values, 10)
    assert torch.equal(numbers * steps, values)


def test_the_faster_way_is_taken(monkeypatch):
    clock = iter([0, 3, 3, 5] * 5)  # three seconds for the first, two for the second
    monkeypatch.setattr("cxr_runner.training.gram.exact.time.perf_counter", lambda: next(clock))
    assert fastest([lambda: torch.ones(2), lambda: torch.ones(2)]) == 1


def test_a_way_that_the_device_lacks_or_that_gives_other_numbers_is_never_taken(monkeypatch):
    monkeypatch.setattr("cxr_runner.training.gram.exact.time.perf_counter", iter(range(100)).__next__)

    def lacking() -> torch.Tensor:
        raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")

    assert fastest([lambda: torch.ones(2), lambda: torch.zeros(2), lacking]) == 0

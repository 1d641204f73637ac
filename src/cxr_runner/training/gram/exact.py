"""Products of whole numbers with pixels, without rounding: the same bits in any order and on any device.

A matrix product of floating-point numbers depends in its last bits on how it is cut into pieces. Products of whole
numbers do not, as long as no sum exceeds what the type holds. There are several exact methods, and which one is
faster depends on the processor or GPU, so they are tried on a small piece. A number that is larger than int8 is
written in digits of base 256. Source for that: Ozaki et al., "Error-free transformations of matrix multiplication by
using fast routines of matrix multiplication and its applications", Numerical Algorithms 59 (2012).
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from cxr_runner.training.devices import on_one_thread

_BASE = 256  # of digits from -128 to 127
_MIDDLE = 128  # which is taken from pixels, so that they are from -128 to 127, too
_COLUMNS_AT_ONCE = 2048  # as float64
_ROWS_AT_ONCE = 1024
_NUMBERS_IN_CACHE = 2**16  # float64
_HOPELESS = 30  # times as slow as another method, even in a first call, which a busy machine may hold up
_LEAST_EXPONENT = -1074  # of a float64
_MOST_TERMS_IN_INT32 = 2**31 // (128 * 128)
_EXACT_IN_FLOAT32 = 1024  # terms: 1024 * 128 * 128 = 2^24
# cuBLAS takes int8 products of more than 16 rows, and of multiples of 8 otherwise; with these it has room to spare.
_LEAST_ROWS_OF_CUBLAS, _STEP_OF_CUBLAS = 32, 16


class WholeNumbers:
    """A matrix of whole numbers, to be multiplied with several matrices of pixels."""

    def __init__(self, numbers: Tensor, use_int8: bool | None = None) -> None:
        """Prepare the product.

        Args:
            numbers: float64 [rows, terms], whole; see :func:`num_exact_bits` for how large.
            use_int8: int8 with int32 sums, or else float64, whose sums are exact up to 2^53; None for the faster one.
        """
        if use_int8 is None:
            use_int8 = numbers.shape[1] < _MOST_TERMS_IN_INT32 and _int8_is_faster(numbers.device)
        self.numbers, self.digits = numbers, _digits(numbers) if use_int8 else None
        self.sums = numbers.sum(dim=1, keepdim=True)

    def times(self, pixels: Tensor) -> Tensor:
        """Return the exact product, float64 [rows, columns].

        Args:
            pixels: uint8 [terms, columns], on the device of the numbers.
        """
        if self.digits is None:
            return self._times_float64(pixels)
        # x = (x - 128) + 128, and x ^ 128 read as int8 is x - 128.
        total = (_MIDDLE * self.sums).expand(-1, pixels.shape[1]).contiguous()
        products = _int8_product(self.digits.flatten(0, 1), (pixels ^ 128).view(torch.int8))
        products = products.view(len(self.digits), *total.shape)
        # A few rows at a time, which stay in the cache of a CPU meanwhile.
        num_rows = max(1, _NUMBERS_IN_CACHE // total.shape[1]) if total.device.type == "cpu" else max(1, len(total))
        for rows in (slice(start, start + num_rows) for start in range(0, len(total), num_rows)):
            for power, product in enumerate(products):
                total[rows].add_(product[rows], alpha=float(_BASE**power))
        return total

    def _times_float64(self, pixels: Tensor) -> Tensor:
        product = self.numbers.new_empty(len(self.numbers), pixels.shape[1])
        buffer = self.numbers.new_empty(len(pixels), min(_COLUMNS_AT_ONCE, pixels.shape[1]))  # new memory is slow
        for start in range(0, pixels.shape[1], _COLUMNS_AT_ONCE):
            piece = pixels[:, start : start + _COLUMNS_AT_ONCE]
            converted = buffer[:, : piece.shape[1]].copy_(piece)
            product[:, start : start + _COLUMNS_AT_ONCE] = self.numbers @ converted
        return product


def num_exact_bits(num_terms: int) -> int:
    """Return how many bits whole numbers may have, sign aside, so that a product of so many terms is exact."""
    return 53 - 8 - math.ceil(math.log2(max(2, num_terms)))


def to_whole_numbers(values: Tensor, num_bits: int) -> tuple[Tensor, Tensor]:
    """Write rows of numbers as whole numbers times a power of two of each row.

    Args:
        values: float64 [rows, terms].
        num_bits: bits of the largest number of a row.

    Returns:
        The whole numbers, float64 [rows, terms], rounded where a row does not fit, and the powers, float64 [rows, 1].
    """
    steps = steps_of_rows(values, num_bits)
    # The largest may be rounded up to the next power of two.
    return (values / steps).round().clamp(-(2.0**num_bits) + 1, 2.0**num_bits - 1), steps


def steps_of_rows(values: Tensor, num_bits: int) -> Tensor:
    """Return for each row the power of two in whose multiples its largest number has so many bits: [rows, 1]."""
    largest = values.abs().amax(dim=1, keepdim=True).double().cpu()  # CUDA does not promise exact powers
    exponents = torch.where(largest > 0, (torch.frexp(largest).exponent - num_bits).clamp(min=_LEAST_EXPONENT), 0)
    return torch.ldexp(torch.ones_like(largest), exponents).to(values.device)


def pair_products(shape: tuple[int, int], device: torch.device) -> Callable[[Tensor, Tensor], None]:
    """Choose the faster method to all inner products of images.

    Args:
        shape: images and pixels of a piece to try the methods on.
        device: where to compute.

    Returns:
        A function of ``x ^ 128``, uint8 [images, some pixels], at most 2^16 of them (read as int8 it is ``x - 128``),
        and of a total, float64 [images, images], to whose lower triangle it adds the products of ``x - 128``.
    """
    methods, extremes = (_add_pairs_float32, _add_pairs_int8), _extremes(*shape, device)

    def tried(method: Callable[[Tensor, Tensor], None]) -> Tensor:
        total = torch.zeros(len(extremes), len(extremes), dtype=torch.float64, device=device)
        method(extremes ^ 128, total)
        return total

    return methods[fastest([partial(tried, method) for method in methods])]


def _add_pairs_float32(flipped: Tensor, total: Tensor) -> None:
    """In float32, over so few pixels at a time that no partial sum exceeds 2^24."""
    values = flipped.view(torch.int8).float()
    for piece in values.split(_EXACT_IN_FLOAT32, dim=1):  # type: ignore[no-untyped-call]
        for start in range(0, len(piece), _ROWS_AT_ONCE):
            end = start + _ROWS_AT_ONCE
            total[start:end, :end] += piece[start:end] @ piece[:end].T


def _add_pairs_int8(flipped: Tensor, total: Tensor) -> None:
    """In int8 with int32 sums, which hold 2^16 pixels."""
    values = flipped.view(torch.int8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        end = start + _ROWS_AT_ONCE
        total[start:end, :end] += _int8_product(values[start:end], values[:end].T)


def _int8_product(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of int8 matrices: int32 [rows, columns].

    cuBLAS takes certain sizes only, to which zeros are added, and has been seen to give wrong numbers, in silence, for
    transposed operands.
    """
    if left.device.type != "cuda":
        return torch._int_mm(left, right)
    (rows, terms), columns = left.shape, right.shape[1]
    more_rows = max(_LEAST_ROWS_OF_CUBLAS - rows, -rows % _STEP_OF_CUBLAS)
    left = pad(left, (0, -terms % _STEP_OF_CUBLAS, 0, more_rows)).contiguous()
    right = pad(right, (0, -columns % _STEP_OF_CUBLAS, 0, -terms % _STEP_OF_CUBLAS)).contiguous()
    return torch._int_mm(left, right)[:rows, :columns]


def _extremes(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return pixels that are 0 or 255, uint8 [rows, columns]: a CPU whose sums of int8 products overflow shows it here.

    Without instructions for dot products (VNNI), oneDNN adds pairs of products in 16 bits, which saturate.
    """
    draw = torch.Generator().manual_seed(0)
    return (255 * torch.randint(0, 2, (rows, columns), generator=draw, dtype=torch.uint8)).to(device)


def fastest(methods: Sequence[Callable[[], Tensor]]) -> int:
    """Try several methods to the same numbers and return the index of the fastest.

    One that the device lacks (cuBLAS has int8 products from compute capability 7.5 on), or that gives other numbers
    there than the first, is left out. The others are called a few times, because on a busy machine most calls are held
    up; but one that is far behind another one's best is not called again.
    """
    expected = methods[0]()
    seconds = {0: math.inf} | {
        number: math.inf for number, method in enumerate(methods) if number and _gives(method, expected)
    }
    for _ in range(5):
        for number in seconds:
            if math.isfinite(seconds[number]) and seconds[number] > _HOPELESS * min(seconds.values()):
                continue
            start = time.perf_counter()
            result = methods[number]()
            if result.device.type == "cuda":
                torch.cuda.synchronize(result.device)
            seconds[number] = min(seconds[number], time.perf_counter() - start)
    return min(seconds, key=lambda number: seconds[number])


def _gives(method: Callable[[], Tensor], expected: Tensor) -> bool:
    try:
        return torch.equal(method(), expected)
    except RuntimeError:
        return False


def _digits(numbers: Tensor) -> Tensor:
    """Return the digits of whole numbers in base 256, the lowest first: int8 [digits, rows, terms]."""
    digits: list[Tensor] = []
    rest = numbers
    while not digits or rest.any():
        higher = ((rest + _BASE // 2) / _BASE).floor()
        digits.append((rest - _BASE * higher).to(torch.int8))
        rest = higher
    return torch.stack(digits)


@cache
def _int8_is_faster(device: torch.device) -> bool:
    """Time both methods on a product of some milliseconds; they give the same numbers."""
    pixels = _extremes(1024, 2048, device)
    largest = float(sum(127 * _BASE**power for power in range(4)))  # all digits of which are the largest
    numbers = (_extremes(64, 1024, device).double() / 255 * 2 - 1) * largest
    float64, int8 = (WholeNumbers(numbers, use_int8=use_int8) for use_int8 in (False, True))
    with on_one_thread():  # several wait for each other on a busy machine, and that would be measured
        return fastest([lambda: float64.times(pixels), lambda: int8.times(pixels)]) == 1

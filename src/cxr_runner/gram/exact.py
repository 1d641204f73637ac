"""Products of whole numbers with pixels, without rounding: the same bits in any order, company and way of computing.

A matrix product of floating-point numbers depends in its last bits on how it is cut into pieces. Products of whole
numbers do not, as long as no sum exceeds what the type holds. There are two exact ways, and which one is faster depends
on the processor: float64, whose sums are exact up to 2^53, and int8 with int32 sums, where a number is written in
digits of base 128. Source for the second: Ozaki et al., "Error-free transformations of matrix multiplication by using
fast routines of matrix multiplication and its applications", Numerical Algorithms 59 (2012).
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

_BASE = 128
_COLUMNS_AT_ONCE = 2048  # as float64
_HOPELESS = 4  # times as slow as another way, even in a first call
_LEAST_EXPONENT = -1074  # of a float64
_MOST_TERMS_IN_INT32 = 2**31 // (64 * 128)


class WholeNumbers:
    """A matrix of whole numbers, to be multiplied with several matrices of pixels."""

    def __init__(self, numbers: Tensor, use_int8: bool | None = None) -> None:
        """Prepare the product.

        Args:
            numbers: float64 [rows, terms], whole; see :func:`num_exact_bits` for how large.
            use_int8: which way; None for the faster one.
        """
        if use_int8 is None:
            use_int8 = numbers.shape[1] < _MOST_TERMS_IN_INT32 and _int8_is_faster()
        self.numbers, self.digits = numbers, _digits(numbers) if use_int8 else None

    def times(self, pixels: Tensor) -> Tensor:
        """Return the exact product, float64 [rows, columns].

        Args:
            pixels: uint8 [terms, columns].
        """
        if self.digits is None:
            return self._times_float64(pixels)
        # x = (x - 128) + 128, and x ^ 128 read as int8 is x - 128.
        total = _BASE * self.numbers.sum(dim=1, keepdim=True).expand(-1, pixels.shape[1]).contiguous()
        products = torch._int_mm(self.digits.flatten(0, 1), (pixels ^ 128).view(torch.int8))
        for place, product in enumerate(products.view(len(self.digits), -1, pixels.shape[1])):
            total += product.double() * float(_BASE**place)
        return total

    def _times_float64(self, pixels: Tensor) -> Tensor:
        product = self.numbers.new_empty(len(self.numbers), pixels.shape[1])
        room = self.numbers.new_empty(len(pixels), min(_COLUMNS_AT_ONCE, pixels.shape[1]))  # new memory is slow
        for start in range(0, pixels.shape[1], _COLUMNS_AT_ONCE):
            piece = pixels[:, start : start + _COLUMNS_AT_ONCE]
            converted = room[:, : piece.shape[1]].copy_(piece)
            product[:, start : start + _COLUMNS_AT_ONCE] = self.numbers @ converted
        return product


def num_exact_bits(num_terms: int) -> int:
    """Return how many bits whole numbers may have, sign aside, so that a product of so many terms is exact."""
    return 53 - 8 - math.ceil(math.log2(max(2, num_terms)))


def to_whole_numbers(values: Tensor, num_bits: int) -> tuple[Tensor, Tensor]:
    """Write rows of numbers as whole numbers times a power of two of each row.

    Args:
        values: float64 [rows, terms].
        num_bits: of the largest of a row.

    Returns:
        The whole numbers, float64 [rows, terms], rounded where a row does not fit, and the powers, float64 [rows, 1].
    """
    steps = steps_of_rows(values, num_bits)
    # The largest may be rounded up to the next power of two.
    return (values / steps).round().clamp(-(2.0**num_bits) + 1, 2.0**num_bits - 1), steps


def steps_of_rows(values: Tensor, num_bits: int) -> Tensor:
    """Return for each row the power of two in whose multiples its largest number has so many bits: [rows, 1]."""
    largest = values.abs().amax(dim=1, keepdim=True).double()
    exponents = torch.where(largest > 0, (torch.frexp(largest).exponent - num_bits).clamp(min=_LEAST_EXPONENT), 0)
    return torch.ldexp(torch.ones_like(largest), exponents)


def fastest(ways: Sequence[Callable[[], object]]) -> int:
    """Try several ways to the same end and return the number of the fastest.

    Each is called a few times, because the first call prepares the kernel and on a busy machine most are held up; but
    one that is far behind another one's best is not called again.
    """
    seconds = [math.inf] * len(ways)
    for _ in range(5):
        for number, way in enumerate(ways):
            if math.isfinite(seconds[number]) and seconds[number] > _HOPELESS * min(seconds):
                continue
            start = time.perf_counter()
            way()
            seconds[number] = min(seconds[number], time.perf_counter() - start)
    return seconds.index(min(seconds))


def _digits(numbers: Tensor) -> Tensor:
    """Return the digits of whole numbers in base 128, the lowest first: int8 [places, rows, terms], from -64 to 63."""
    digits: list[Tensor] = []
    rest = numbers
    while not digits or rest.any():
        higher = ((rest + _BASE // 2) / _BASE).floor()
        digits.append((rest - _BASE * higher).to(torch.int8))
        rest = higher
    return torch.stack(digits)


@cache
def _int8_is_faster() -> bool:
    """Time both ways on a small product; they give the same numbers."""
    pixels = torch.full((1024, 1024), 200, dtype=torch.uint8)
    numbers = torch.full((64, 1024), 2.0**32, dtype=torch.float64)
    float64, int8 = (WholeNumbers(numbers, use_int8=use_int8) for use_int8 in (False, True))
    return fastest([lambda: float64.times(pixels), lambda: int8.times(pixels)]) == 1

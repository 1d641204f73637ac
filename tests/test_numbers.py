"""Numbers as tables for people show them: minus signs, zeros, intervals, lists, what is missing."""

import pytest

from cxr_runner.base.numbers import format_bytes, format_difference, format_interval, format_number, list_few

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (-0.00049, "+.3f", "0.000"),
        (0.00049, "+.3f", "0.000"),
        (-0.0005001, "+.3f", "−0.001"),
        (0.012, "+.3f", "+0.012"),
        (-8.04e-05, "+.3g", "−8.04e-05"),
        (100, "d", "100"),
        (0, "d", "0"),
        (NAN, ".3f", ""),
    ],
)
def test_a_number_has_a_true_minus_sign_and_zero_has_no_sign(value: float, form: str, shown: str) -> None:
    assert format_number(value, form) == shown


def test_a_difference_and_its_ends_are_numbers_alike() -> None:
    assert format_difference(-0.0001, -0.0204, 0.02) == "0.000 (−0.020 to +0.020)"
    assert format_difference(-0.1, NAN, NAN) == "−0.100"
    assert format_difference(NAN, NAN, NAN) == ""


def test_intervals_of_shares_end_at_0_and_1() -> None:
    assert format_interval(0.962, 1.002) == "0.962 to 1.000"
    assert format_interval(-0.03, 0.4) == "0.000 to 0.400"
    assert format_interval(NAN, NAN) == ""


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (2_398_617_600, "2.4 GB"),
        (25_000_000_000_000, "25 TB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(number: int, shown: str) -> None:
    assert format_bytes(number) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, ""), (1, "a"), (2, "a, a"), (3, "a, a and 1 more"), (1_002, "a, a and 1,000 more")],
)
def test_a_long_list_is_cut_off_and_says_how_much_is_left_out(count: int, shown: str) -> None:
    assert list_few(["a"] * count, most=2) == shown

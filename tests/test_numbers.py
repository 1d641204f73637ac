"""Numbers as tables for people show them: minus signs, zeros, intervals, what is missing."""

import pytest

from cxr_runner.base.numbers import between, number, signed

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
    assert number(value, form) == shown


def test_a_difference_and_its_ends_are_numbers_alike() -> None:
    assert signed(-0.0001, -0.0204, 0.02) == "0.000 (−0.020 to +0.020)"
    assert signed(-0.1, NAN, NAN) == "−0.100"
    assert signed(NAN, NAN, NAN) == ""


def test_intervals_of_shares_end_at_0_and_1() -> None:
    assert between(0.962, 1.002) == "0.962 to 1.000"
    assert between(-0.03, 0.4) == "0.000 to 0.400"
    assert between(NAN, NAN) == ""

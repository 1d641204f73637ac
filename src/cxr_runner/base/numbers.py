"""Numbers and durations as people read them."""

import math
from numbers import Real


def mean_sd(mean: float, sd: float) -> str:
    """Return a mean with its standard deviation, where there is one."""
    if _is_missing(mean):
        return ""
    return f"{mean:.3f}" if _is_missing(sd) else f"{mean:.3f} ± {sd:.3f}"


def number(value: float, form: str = ".3f") -> str:
    """Return a number as people read it, with a true minus sign and a zero without any; '' where it is missing."""
    written = "" if _is_missing(value) else format(value, form)
    is_zero = not written.strip("+-0.")
    return written.lstrip("+-") if is_zero else written.replace("-", "−", int(written.startswith("-")))


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def between(low: float, high: float) -> str:
    """Return both ends of an interval of a share, cut off at 0 and 1; '' where there is none."""
    return "" if _is_missing(low) else f"{max(0.0, low):.3f} to {min(1.0, high):.3f}"


def signed(difference: float, low: float, high: float) -> str:
    """Return a difference with both ends of its interval, as far as they are there."""
    ends = "" if _is_missing(low) else f" ({number(low, '+.3f')} to {number(high, '+.3f')})"
    return "" if _is_missing(difference) else number(difference, "+.3f") + ends


def clock(seconds: float) -> str:
    """Write a duration as people say it."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _is_missing(value: object) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    return not isinstance(value, Real) or math.isnan(value)

"""Numbers, intervals, durations and lists as people read them; what is missing is ''."""

import math
from collections.abc import Sequence
from numbers import Real


def format_number(value: float, form: str = ".3f") -> str:
    """Return a number with a true minus sign; a number that rounds to zero has no sign.

    Args:
        value: the number; None, NaN and pandas' NA are missing.
        form: format specification, with ``+`` for a sign before positive numbers.
    """
    text = "" if _is_missing(value) else format(value, form)
    is_zero = not text.strip("+-0.")
    # Only the leading minus is replaced: that of an exponent stays a hyphen.
    return text.lstrip("+-") if is_zero else text.replace("-", "−", int(text.startswith("-")))


def format_mean_sd(mean: float, sd: float) -> str:
    """Return a mean with its standard deviation, as far as they are known."""
    if _is_missing(mean):
        return ""
    return f"{mean:.3f}" if _is_missing(sd) else f"{mean:.3f} ± {sd:.3f}"


def format_interval(low: float, high: float) -> str:
    """Return both ends of an interval of a share, cut off at 0 and 1."""
    return "" if _is_missing(low) else f"{max(0.0, low):.3f} to {min(1.0, high):.3f}"


def format_difference(difference: float, low: float, high: float) -> str:
    """Return a difference with its sign and with both ends of its interval, as far as they are known."""
    ends = "" if _is_missing(low) else f" ({format_number(low, '+.3f')} to {format_number(high, '+.3f')})"
    return "" if _is_missing(difference) else format_number(difference, "+.3f") + ends


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, whichever suits its length."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def format_bytes(number: int) -> str:
    """Return a size in B, kB, MB, GB or TB, whichever suits it, with two digits at least."""
    size, units = float(number), ["B", "kB", "MB", "GB"]
    while units and size >= 999.5:
        size, _ = size / 1000, units.pop(0)
    unit = units[0] if units else "TB"
    return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, in the singular for 1."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def list_few(texts: Sequence[str], separator: str = ", ", most: int = 5) -> str:
    """Return the first of some texts, and how many more there are: people read a line, not a list."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def _is_missing(value: object) -> bool:
    """Return whether a value is None, NaN or pandas' NA."""
    return not isinstance(value, Real) or math.isnan(value)

"""Words for the cells of tables."""

import pandas as pd

from cxr_runner.base.numbers import format_number


def yes_no(value: object) -> str:
    """Return yes or no, '' for what is not known."""
    return "" if pd.isna(value) else "yes" if value else "no"  # type: ignore[call-overload]


def without_mean(num_seeds: int, num_collapsed: int) -> str:
    """Say why there is no mean over the runs that did not collapse; '' where these lack the metric."""
    if not num_seeds:
        return "no runs"
    return "all collapsed" if num_collapsed == num_seeds else ""


def p_value(value: float) -> str:
    """Return a p value as text, '' where there is none."""
    return "< 0.001" if value < 0.001 else format_number(value)

"""Words for the cells of tables."""

from typing import TYPE_CHECKING

import pandas as pd

from cxr_runner.base.numbers import format_number

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.stats import Needed


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


def needed_range(needed: "Needed", noun: str) -> str:
    """Return a range of numbers; '' where no number would do."""
    if needed.fewest is None:
        return ""
    most = "no number" if needed.most is None else f"{needed.most:,}"
    if needed.likely is None:
        return f"perhaps {needed.fewest:,} {noun}, more likely {most}"
    return f"about {needed.likely:,} {noun} ({needed.fewest:,} to {most})"

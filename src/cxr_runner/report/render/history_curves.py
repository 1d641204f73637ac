"""Curves of configurations, and what they say in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cxr_runner.report.collected_runs import Histories

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


def plot_histories(
    groups: Mapping[str, Histories], title: str, looks: Mapping[str, tuple[int, bool]] | None = None
) -> "Figure":
    """Draw the curves of configurations, given by what they are called.

    Args:
        groups: their histories.
        title: any text.
        looks: see :func:`cxr_runner.plots.curves.plot_comparison`.
    """
    from cxr_runner.plots.curves import plot_comparison

    trained = {name: histories.trained for name, histories in groups.items()}
    return plot_comparison(trained, title, looks, {name: histories.collapsed for name, histories in groups.items()})


def describe_histories(groups: Mapping[str, Histories]) -> str:
    """Say where the curves of configurations end."""
    ends = {
        name: [float(history["val_accuracy"].iloc[-1]) for history in histories.trained]
        for name, histories in groups.items()
    }
    said = [f"{name}: {sum(end) / len(end):.3f}" if end else f"{name}: all collapsed" for name, end in ends.items()]
    return "Validation accuracy at the end, mean over the seeds that did not collapse: " + "; ".join(said)

"""The figures of a search: what was found trial after trial, what decides it, and the metric over each parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_runner.artifacts.search_file import SearchPoint

_MARKS = {"measured": ("o", "C0", "full"), "pruned": ("o", "C7", "none"), "failed": ("x", "C3", "full")}
_MOST_PANELS = 6


@style.context("default")
def plot_search_history(points: Sequence[SearchPoint], metric: str, higher_is_better: bool) -> Figure:
    """Draw the metric of every trial and the best so far.

    Args:
        points: trials in their order.
        metric: what is looked for, in words.
        higher_is_better: whether larger is better.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    _draw_states(axes, points, [one.number for one in points])
    measured = [(one.number, one.value) for one in points if one.state == "measured" and one.value is not None]
    choose, best, line = (max if higher_is_better else min), measured[0][1], []
    for _, value in measured:
        best = choose(best, value)
        line.append(best)
    axes.step([number for number, _ in measured], line, where="post", color="C1", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.legend(loc="best", fontsize=8)
    return figure


@style.context("default")
def plot_importance(importance: Mapping[str, float]) -> Figure:
    """Draw the share of what varies that each parameter decides.

    Args:
        importance: shares that add up to 1, by parameter.
    """
    names = sorted(importance, key=lambda name: importance[name])
    figure = Figure(figsize=(7, 0.45 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, [importance[name] for name in names], color="C0")
    axes.bar_label(bars, fmt=lambda share: f"{share:.0%}", padding=3)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("importance (PED-ANOVA)")
    return figure


@style.context("default")
def plot_parameters(points: Sequence[SearchPoint], names: Sequence[str], log: Sequence[str], metric: str) -> Figure:
    """Draw the metric over each parameter.

    Args:
        points: trials.
        names: parameters.
        log: those of them whose axis is logarithmic.
        metric: what is looked for, in words.
    """
    shown = list(names)[:_MOST_PANELS]
    figure = Figure(figsize=(max(4.5, 2.9 * len(shown)), 3.2), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=True):
        known = [one for one in points if name in one.params]
        values = [one.params[name] for one in known]
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        _draw_states(axes, known, values if numeric else [str(value) for value in values])
        if name in log:
            axes.set_xscale("log")
        axes.set_xlabel(name)
    panels[0].set_ylabel(metric)
    return figure


def _draw_states(axes: Axes, points: Sequence[SearchPoint], places: Sequence[Any]) -> None:
    """Draw trials by their states; those without a value at the lower end."""
    values = [one.value for one in points if one.value is not None]
    bottom = min(values) - 0.06 * ((max(values) - min(values)) or 1)
    for state, (marker, color, fill) in _MARKS.items():
        chosen = [(place, one) for place, one in zip(places, points, strict=True) if one.state == state]
        if chosen:
            heights = [bottom if one.value is None else one.value for _, one in chosen]
            axes.plot(
                [place for place, _ in chosen],
                heights,
                linestyle="",
                marker=marker,
                color=color,
                fillstyle=fill,
                markersize=5,
                label=state,
            )

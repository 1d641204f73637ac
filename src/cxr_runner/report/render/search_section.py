"""A search on the page: what the best trial is worth, every trial, and what decides the metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.artifacts.search_file import SearchPoint
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_STATES = ("measured", "pruned", "failed", "running")


@dataclass(frozen=True)
class SearchSection:
    """One search on the page.

    Attributes:
        heading: its name.
        sentences: what the best is worth first; then what was searched.
        pictures: history, importance, the metric over each parameter.
        tables: every trial, the best first.
    """

    heading: str
    sentences: tuple[str, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


def search_sections(searches: Sequence[Mapping[str, Any]]) -> list[SearchSection]:
    """Put searches into words, pictures and tables.

    Args:
        searches: contents of ``search.json``, with at least one trial each.
    """
    return [_section(content, f"search_{number}") for number, content in enumerate(searches, 1)]


def _section(content: Mapping[str, Any], name: str) -> SearchSection:
    heading = printable(content["name"])
    return SearchSection(heading, tuple(_said(content)), tuple(_pictures(content, name)), (_trials(content, name),))


def _said(content: Mapping[str, Any]) -> list[str]:
    space = ", ".join(f"{key}={text}" for key, text in content["space"].items())
    pruning = "" if content["prune_p"] is None else f"; trials end early at p {content['prune_p']:g}"
    searched = f"Searched by {content['sampler']['name']} for {content['metric']}: {space}{pruning}."
    sentences = [f"{line[0].upper()}{line[1:]}." for line in content["verdict"]]
    return [printable(sentence) for sentence in (*sentences, searched)]


def _points(content: Mapping[str, Any]) -> list[SearchPoint]:
    return [
        SearchPoint(one["number"], one["value"], one["state"], one["params"])
        for one in content["trials"]
        if one["state"] != "running"
    ]


def _pictures(content: Mapping[str, Any], name: str) -> list[Picture]:
    points, metric = _points(content), printable(content["metric"])
    if not any(one.state == "measured" and one.value is not None for one in points):
        return []

    def history() -> "Figure":
        from cxr_runner.plots.search_plot import plot_search_history

        return plot_search_history(points, metric, content["higher_is_better"])

    def importance() -> "Figure":
        from cxr_runner.plots.search_plot import plot_importance

        return plot_importance(content["importance"])

    def parameters() -> "Figure":
        from cxr_runner.plots.search_plot import plot_parameters

        return plot_parameters(points, list(content["space"]), content["log"], metric)

    alt = f"{len(points)} trials, best {metric} {format_number(content['best_value'], '.4f')}"
    text = "Every trial, and the best so far; a pruned one ended early, at its mean until then."
    pictures = [Picture(f"{name}_history", "Trial after trial", text, alt, draw=history)]
    if content["importance"]:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in content["importance"].items())
        text = "How much of what sets the better trials apart each parameter decides."
        pictures.append(Picture(f"{name}_importance", "What decides it", text, shares, draw=importance))
    text = f"{metric} over each parameter."
    return [*pictures, Picture(f"{name}_parameters", "By parameter", text, alt, draw=parameters)]


def _trials(content: Mapping[str, Any], name: str) -> Table:
    sign = -1 if content["higher_is_better"] else 1
    worst = float("inf")

    def order(one: Mapping[str, Any]) -> tuple[int, float]:
        return _STATES.index(one["state"]), worst if one["value"] is None else sign * one["value"]

    trials = sorted(content["trials"], key=order)
    keys = list(dict.fromkeys(key for one in trials for key in one["params"]))
    metric = content["metric"]
    data = pd.DataFrame(
        {
            "trial": [one["number"] for one in trials],
            **{key: [one["params"].get(key) for one in trials] for key in keys},
            metric: [one["value"] for one in trials],
            "runs": [one["trained"] for one in trials],
            "collapsed": [one["collapsed"] for one in trials],
            "state": [one["state"] for one in trials],
            "reason": [printable(one["reason"]) for one in trials],
        }
    )
    shown = data.assign(
        **{key: [_shown(value) for value in data[key]] for key in keys},
        **{metric: ["" if pd.isna(value) else format_number(value, ".4f") for value in data[metric]]},
    )
    caption = f"Trials of the search {printable(content['name'])}, the best first; {metric} is a mean over runs."
    texts = (*(key for key in keys if data[key].dtype == object), "state", "reason")
    return Table(name, caption, data, shown.astype(str), texts, "Trials")


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else printable(str(value))

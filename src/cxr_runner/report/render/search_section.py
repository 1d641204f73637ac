"""Searches on the page: what the best trial of each is worth, every trial, what decides the metric, and pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.artifacts.metrics import metric
from cxr_runner.artifacts.search_file import SearchPoint
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_number, list_few
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.search_pairs import SearchPair, compare_searches
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_cells import LEVEL
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_STATES = ("measured", "pruned", "failed", "running")
_MOST_SAID = 5  # pairs in sentences; the table has all


@dataclass(frozen=True)
class SearchSection:
    """One search on the page, or what several come to beside each other.

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
    """Put searches into words, pictures and tables: each of them, then the pairs that can be compared.

    Args:
        searches: contents of ``search.json``, with at least one trial each.
    """
    sections = [_section(content, f"search_{number}") for number, content in enumerate(searches, 1)]
    pairs = compare_searches(searches)
    return [*sections, _compared(searches, pairs)] if pairs else sections


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


def _compared(searches: Sequence[Mapping[str, Any]], pairs: Sequence[SearchPair]) -> SearchSection:
    names = [printable(one["name"]) for one in searches]
    names = [f"{name} (search {at})" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]
    sentences = [
        "Here each search has chosen anew in each fold, by the val of that fold alone, and what it chose is judged on "
        "the test images of the fold. Differences are between choices in the same fold; their 95 % intervals are by "
        "Nadeau and Bengio's correction for folds that share training images, p is corrected for all pairs.",
        *(_say_pair(pair, searches, names) for pair in pairs[:_MOST_SAID]),
    ]
    if len(pairs) > _MOST_SAID:
        sentences.append(f"The table has {len(pairs) - _MOST_SAID} more.")
    among = sorted({number for pair in pairs for number in (pair.first, pair.second)})
    if loose := [names[number] for number in among if not searches[number]["nested"]["strict"]]:
        sentences.append(
            f"What these tried, or did not train to its end, was led by the val images of all folds: "
            f"{list_few(loose)}. Val of one fold is test of another, so that their test metrics may be too good."
        )
    return SearchSection("Searches compared", tuple(sentences), (), (_pairs_table(searches, pairs, names),))


def _say_pair(pair: SearchPair, searches: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    first, second, content = names[pair.first], names[pair.second], searches[pair.first]
    if not pair.holm < LEVEL:
        found = "not beyond what folds explain, which does not show that they are alike"
    else:
        better = first if (pair.difference.mean > 0) == content["higher_is_better"] else second
        found = f"{better} is better, by more than folds explain"
    means = f"{first} {_choices(searches[pair.first])}, {second} {_choices(searches[pair.second])}"
    of = f"Test {_words(content)} in the same {content['nested']['folds']} folds"
    return f"{of}: {means}; {first} minus {second} {_difference(pair)}, p {p_value(pair.holm)}: {found}."


def _pairs_table(searches: Sequence[Mapping[str, Any]], pairs: Sequence[SearchPair], names: Sequence[str]) -> Table:
    data = pd.DataFrame([_pair_row(pair, searches, names) for pair in pairs])
    rows = [
        [
            *(names[pair.first], names[pair.second], f"test {_words(searches[pair.first])}"),
            str(searches[pair.first]["nested"]["folds"]),
            *(_choices(searches[pair.first]), _choices(searches[pair.second])),
            *(_difference(pair), p_value(pair.holm)),
        ]
        for pair in pairs
    ]
    texts = ("first", "second", "metric")
    headings = [*texts, "folds", "of the first", "of the second", "first minus second", "p"]
    caption = (
        "Means over folds of what each search chose there, and their paired difference, with 95 % intervals by Nadeau "
        "and Bengio's correction; p after Holm's correction for all pairs."
    )
    return Table("searches_compared", caption, data, pd.DataFrame(rows, columns=headings), texts, "Pairs of searches")


def _pair_row(pair: SearchPair, searches: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, object]:
    metric_key = searches[pair.first]["metric"].removeprefix("val_")
    row: dict[str, object] = {"first": names[pair.first], "second": names[pair.second], "metric": f"test_{metric_key}"}
    for side, at in (("first", pair.first), ("second", pair.second)):
        nested = searches[at]["nested"]
        row |= dict(zip((f"{side}_mean", f"{side}_low", f"{side}_high"), nested["test"], strict=True))
        row |= {f"{side}_strict": nested["strict"], "folds": nested["folds"]}
    gap = pair.difference
    return row | {"difference": gap.mean, "low": gap.low, "high": gap.high, "p": gap.p, "p_holm": pair.holm}


def _words(content: Mapping[str, Any]) -> str:
    return metric(content["metric"].removeprefix("val_")).words


def _choices(content: Mapping[str, Any]) -> str:
    """Return the mean test metric of what a search chose in each fold, with its interval."""
    return _with_ends(*content["nested"]["test"])


def _difference(pair: SearchPair) -> str:
    return _with_ends(pair.difference.mean, pair.difference.low, pair.difference.high, "+.4f")


def _with_ends(mean: float, low: float, high: float, form: str = ".4f") -> str:
    return f"{format_number(mean, form)} ({format_number(low, form)} to {format_number(high, form)})"

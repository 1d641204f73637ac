"""The configurations of a comparison as tables for files and for the page."""

import math
from typing import Any

import pandas as pd

from cxr_runner import stats
from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.comparison_cells import (
    compared_metrics,
    decides_cell,
    difference_cell,
    mean_cell,
    p_cell,
    runs_cell,
)

_SOURCES = {"seeds": "seeds", "splits": "splits", "images": "test images"}
DECIDES_LEGEND = (
    "Would decide it: how many seeds, splits or test images in all, those there are among them and one of them alone, "
    "would tell the difference from none with a probability of 80 % if it is as large as it looks; in brackets an 80 % "
    "range, since the true difference is uncertain, and may be none."
)
MEAN_LEGEND = (
    "Mean over all runs on the test split; in brackets the 95 % interval, in which splits (Nadeau and Bengio's "
    "correction for training sets that overlap), seeds and test {unit} are counted as separate sources of variance. "
    "None from a single run. Ends are cut off at 0 and 1, those of differences at -1 and 1: the truth is not beyond."
)


def comparison_table(compared: Comparison) -> Table:
    """Return the configurations with their metrics and their differences to the reference: at most eight columns."""
    main, *others = compared_metrics(compared)
    shown = pd.DataFrame(
        {
            "configuration": [one.label for one in compared.standings],
            metric(main).words: [mean_cell(one, main) for one in compared.standings],
            "difference": [difference_cell(one, main) for one in compared.standings],
            "p": [p_cell(one, main) for one in compared.standings],
            "would decide it": [decides_cell(one, main) for one in compared.standings],
            **{metric(key).words: [mean_cell(one, key) for one in compared.standings] for key in others},
            "runs": [runs_cell(one) for one in compared.standings],
        }
    )
    caption = (
        f"{MEAN_LEGEND.format(unit=compared.unit)} The difference in {metric(main).words} is to "
        f"{compared.reference.label} ({compared.why_reference}), on the splits and seeds that both have; p after "
        f"Holm's correction for all configurations. {DECIDES_LEGEND}"
    )
    data = pd.DataFrame([_numbers(one, compared) for one in compared.standings])
    return Table("comparison", caption, data, shown, ("configuration", "would decide it", "runs"), "Configurations")


def _numbers(one: Standing, compared: Comparison) -> dict[str, Any]:
    positive, negative = one.one_sided
    entry: dict[str, Any] = {"configuration": one.label, "name": one.name, "row": one.row}
    entry |= {"image_size": compared.image_size, "is_reference": one is compared.reference}
    entry |= {"num_runs": len(one.runs), "num_splits": one.num_splits, "num_seeds": one.num_seeds}
    entry |= {"num_collapsed": one.num_collapsed, "num_all_positive": positive, "num_all_negative": negative}
    for key in RESAMPLED_METRICS:
        estimate, difference = one.estimates.get(key), one.differences.get(key)
        entry |= {key: one.mean(key), f"{key}_not_collapsed": one.mean(key, collapsed=False)}
        entry |= {f"{key}_{end}": getattr(estimate, end, math.nan) for end in ("low", "high")}
        entry |= {f"{key}_difference": getattr(difference, "mean", math.nan)}
        entry |= {f"{key}_difference_{end}": getattr(difference, end, math.nan) for end in ("low", "high", "p")}
        entry[f"{key}_difference_holm"] = one.adjusted.get(key, math.nan)
    return entry | _needed(one, compared.metric)


def _needed(one: Standing, key: str) -> dict[str, Any]:
    """Return how many of each source would decide the difference in a metric."""
    entry: dict[str, Any] = {}
    for source, found in one.needed.get(key, {}).items():
        bounds = found or stats.Needed(None, None, None)
        entry |= {f"{source}_{name}": bound for name, bound in zip(("fewest", "likely", "most"), bounds, strict=True)}
    return entry


def sources_table(compared: Comparison) -> Table:
    """Return what makes the mean of every metric uncertain, and which of the sources is worth more of."""
    entries = [
        {"configuration": one.label, "name": one.name, "metric": key}
        | {"decides": decides_cell(one, key), **_sources(one.estimates[key]), **_needed(one, key)}
        for key in RESAMPLED_METRICS
        for one in compared.standings
        if key in one.estimates
    ]
    columns = [
        "configuration",
        "name",
        "metric",
        *(f"{kind}_{name}" for kind in ("sd", "share", "doubled") for name in _SOURCES),
    ]
    needed = [f"{name}_{bound}" for name in _SOURCES for bound in ("fewest", "likely", "most")]
    data = pd.DataFrame(entries, columns=[*columns, "half_width", "worth_more_of", *needed])
    shown = pd.DataFrame(
        {
            "configuration": data["configuration"],
            "metric": [metric(key).words for key in data["metric"]],
            **{f"sd, {words}": data[f"sd_{name}"].map(format_number) for name, words in _SOURCES.items()},
            **{f"share, {words}": data[f"share_{name}"].map(_percent) for name, words in _SOURCES.items()},
            "± now": data["half_width"].map(format_number),
            **{f"± with 2x {words}": data[f"doubled_{name}"].map(format_number) for name, words in _SOURCES.items()},
            "worth more of": data["worth_more_of"].map(lambda name: _SOURCES.get(name, "")),
            "would decide it": [entry["decides"] for entry in entries],
        }
    )
    caption = (
        "What makes the means uncertain: the standard deviation that each source gives one run, its share in the "
        "variance of the mean, and half the width of the 95 % interval, now and with twice as much of one source. Of "
        "one split the part of the training images is not known, of one seed that of the seeds. More splits of the "
        "same images never make training sets that have nothing in common: beyond some repeats only more images do. "
        f"{DECIDES_LEGEND}"
    )
    texts = ("configuration", "metric", "worth more of", "would decide it")
    return Table("sources", caption, data, shown, texts, "What makes it uncertain")


def _sources(estimate: stats.Estimate) -> dict[str, Any]:
    kinds = {"sd": estimate.spread, "share": estimate.shares, "doubled": estimate.doubled}
    figures = {f"{kind}_{name}": getattr(figures, name) for kind, figures in kinds.items() for name in _SOURCES}
    return figures | {"half_width": estimate.half_width, "worth_more_of": estimate.worth_more_of}


def _percent(share: float | None) -> str:
    return "" if share is None or math.isnan(share) else f"{share:.0%}"

"""The configurations of a comparison as tables for files and for the page."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxr_runner import stats
from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_difference, format_interval, format_mean_sd, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty.pairs import PAIR_LEVEL
from cxr_runner.report.compare.uncertainty.quality import SPECIFICITIES
from cxr_runner.report.compare.uncertainty.resampling import RESAMPLED_METRICS
from cxr_runner.report.render.cells import p_value

_ENDS = ("difference", "low", "high")
_RULES = {"zero": "0", "matched": "matched on validation", "undone": "0, shift undone"}
_THRESHOLDS = {"zero": "0", "youden": "highest Youden index", "sensitivity": "sensitivity at least 0.95"}
_QUALITY = ("auroc", "auprc", "brier", "ece", "brier_undone", "ece_undone")
_SOURCES = {"seeds": "seeds", "splits": "splits", "images": "test images"}
LEVEL = 0.05  # a p value below it counts as a difference
DECIDES_LEGEND = (
    "Would decide it: how many seeds, splits or test images in all, one of them alone, would tell the difference from "
    "none with a probability of 80 %; an 80 % range, since the true difference is uncertain."
)
MEAN_LEGEND = (
    "Mean over all runs on the test split; in brackets the 95 % interval, in which splits (Nadeau and Bengio's "
    "correction for training sets that overlap), seeds and test {unit} are counted as separate sources of variance. "
    "None from a single run."
)


def compared_metrics(compared: Comparison) -> list[str]:
    """Return the metrics that are shown, that which configurations are compared by first."""
    return [compared.metric, *(key for key in RESAMPLED_METRICS if key != compared.metric)]


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


def decides_cell(one: Standing, key: str) -> str:
    """Say how many seeds, splits or test images in all would tell the difference from none; '' where that is settled.

    Each is what would do by itself, a range because the true difference is not known.
    """
    needed = one.needed.get(key, {})
    if not needed or one.adjusted.get(key, 1.0) < LEVEL:
        return "decided" if needed else ""
    nouns = {"seeds": "seeds", "splits": "splits", "images": "test images"}
    said = [_range(found, nouns[source]) for source, found in needed.items() if found is not None]
    return "; or ".join(text for text in said if text) or "no number of these"


def _range(needed: stats.Needed, noun: str) -> str:
    """Return a range of numbers; '' where no number would do."""
    if needed.fewest is None:
        return ""
    if needed.most is None:
        return f"{needed.fewest:,} {noun} or more"
    if needed.fewest == needed.most:
        return f"{needed.fewest:,} {noun}"
    return f"{needed.fewest:,} to {needed.most:,} {noun}"


def p_cell(one: Standing, key: str) -> str:
    """Return the p value of the difference to the reference, corrected for all configurations."""
    return p_value(one.adjusted.get(key, math.nan))


def mean_cell(one: Standing, key: str) -> str:
    """Return the mean of a metric with its interval."""
    estimate = one.estimates.get(key)
    ends = f" ({format_interval(estimate.low, estimate.high)})" if estimate and not math.isnan(estimate.low) else ""
    return format_number(one.mean(key)) + ends


def difference_cell(one: Standing, key: str) -> str:
    """Return the difference to the reference with its interval; '' where there is none."""
    difference = one.differences.get(key)
    return "" if difference is None else format_difference(difference.mean, difference.low, difference.high)


def runs_cell(one: Standing) -> str:
    """Say how many runs there are, and how many of them say nothing of the model."""
    positive, negative = one.one_sided
    said = [_count_runs(one)]
    said += [f"{one.num_collapsed} collapsed"] * bool(one.num_collapsed)
    said += [f"{positive} all positive"] * bool(positive) + [f"{negative} all negative"] * bool(negative)
    return ", ".join(said)


def _count_runs(one: Standing) -> str:
    seeds = f"{one.num_seeds} seed{'s' * (one.num_seeds > 1)}"
    if one.num_splits == 1:
        return seeds
    folds = {run.split.folds for run in one.runs}
    repeats = len({run.split.seed for run in one.runs})
    if folds == {None} or len(folds) > 1:
        splits = f"{one.num_splits} splits"
    else:
        trained = len({run.split.fold for run in one.runs})
        (number,) = folds
        splits = f"{number} folds" if trained == number else f"{trained} of {number} folds"
        splits += f" × {repeats} repeats" if repeats > 1 else ""
    grid = one.num_splits * one.num_seeds
    return f"{splits} × {seeds}" if len(one.runs) == grid else f"{splits}, {seeds}, {len(one.runs)} runs"


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
    for source, found in one.needed.get(compared.metric, {}).items():
        bounds = found or stats.Needed(None, None, None)
        entry |= {f"{source}_{name}": bound for name, bound in zip(("fewest", "likely", "most"), bounds, strict=True)}
    return entry


def sources_table(compared: Comparison) -> Table:
    """Return what makes the mean of every metric uncertain, and which of the sources is worth more of."""
    entries = [
        {"configuration": one.label, "name": one.name, "metric": key, **_sources(one.estimates[key])}
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
    data = pd.DataFrame(entries, columns=[*columns, "half_width", "worth_more_of"])
    shown = pd.DataFrame(
        {
            "configuration": data["configuration"],
            "metric": [metric(key).words for key in data["metric"]],
            **{f"sd, {words}": data[f"sd_{name}"].map(format_number) for name, words in _SOURCES.items()},
            **{f"share, {words}": data[f"share_{name}"].map(_percent) for name, words in _SOURCES.items()},
            "± now": data["half_width"].map(format_number),
            **{f"± with 2x {words}": data[f"doubled_{name}"].map(format_number) for name, words in _SOURCES.items()},
            "worth more of": data["worth_more_of"].map(lambda name: _SOURCES.get(name, "")),
        }
    )
    caption = (
        "What makes the means uncertain: the standard deviation that each source gives one run, its share in the "
        "variance of the mean, and half the width of the 95 % interval, now and with twice as much of one source. Of "
        "one split the part of the training images is not known, of one seed that of the seeds. More splits of the "
        "same images never make training sets that have nothing in common: beyond some repeats only more images do."
    )
    return Table(
        "sources", caption, data, shown, ("configuration", "metric", "worth more of"), "What makes it uncertain"
    )


def _sources(estimate: stats.Estimate) -> dict[str, Any]:
    kinds = {"sd": estimate.spread, "share": estimate.shares, "doubled": estimate.doubled}
    figures = {f"{kind}_{name}": getattr(figures, name) for kind, figures in kinds.items() for name in _SOURCES}
    return figures | {"half_width": estimate.half_width, "worth_more_of": estimate.worth_more_of}


def _percent(share: float | None) -> str:
    return "" if share is None or math.isnan(share) else f"{share:.0%}"


def pairs_table(data: pd.DataFrame, labels: Mapping[str, str], unit: str) -> Table:
    """Return configurations compared by pairs.

    Args:
        data: as :func:`cxr_runner.report.compare.uncertainty.pairs.pair_table` returns it.
        labels: what configurations are called, by their names.
        unit: what was resampled, ``images`` or ``patients``.
    """
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "configurations": [f"{labels[entry['first']]} − {labels[entry['second']]}" for entry in entries],
            "accuracy": [format_difference(*(entry[f"accuracy_{end}"] for end in _ENDS)) for entry in entries],
            "p": [p_value(entry["accuracy_holm"]) for entry in entries],
            "AUROC": [format_difference(*(entry[f"auroc_{end}"] for end in _ENDS)) for entry in entries],
            "p, AUROC": [p_value(entry["auroc_holm"]) for entry in entries],
            "only one right": [
                f"{entry['only_first']:.1f} : {entry['only_second']:.1f}" if entry["run_pairs"] else ""
                for entry in entries
            ],
            "McNemar": [f"{entry['mcnemar_below']} of {entry['run_pairs']}" for entry in entries],
            "DeLong": [f"{entry['delong_below']} of {entry['run_pairs']}" for entry in entries],
        }
    )
    caption = (
        "First minus second, in brackets 95 %: the mean over the splits and seeds that both have, collapsed runs among "
        f"them; splits, seeds and {unit} count as sources of variance, p after Holm's correction for {len(data)} "
        "comparisons. Beside it, run against run on one split with one seed, an illustration of single models: images "
        "that only the first : only the second decides correctly (mean), and how often McNemar's test and, of AUROC, "
        f"DeLong's tell the two apart at {PAIR_LEVEL:.0%}."
    )
    return Table("pairs", caption, data, shown, ("configurations",), "All pairs")


def weights_table(data: pd.DataFrame, labels: Mapping[str, str], unit: str) -> Table:
    """Return unweighted and weighted configurations compared at three thresholds."""
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "configurations": [f"{labels[entry['weighted']]} − {labels[entry['unweighted']]}" for entry in entries],
            "threshold": [_RULES[entry["rule"]] for entry in entries],
            **{
                name: [f"{entry[f'unweighted_{name}']:.3f} → {entry[f'weighted_{name}']:.3f}" for entry in entries]
                for name in ("sensitivity", "specificity")
            },
            **{
                f"{metric(key).words}, difference": [
                    format_difference(*(entry[f"{key}_{end}"] for end in _ENDS)) for entry in entries
                ]
                for key in ("accuracy", "f1")
            },
        }
    )
    caption = (
        "Without → with the class weight (mean over the runs that did not collapse), and with minus without (over the "
        f"splits and seeds with which neither collapsed; 95 %, splits, seeds and {unit} as sources of variance, "
        "thresholds taken as given). A weight w moves the best logit by ln w, which trades sensitivity for specificity "
        "by construction; what differs at the same validation specificity, or with the shift undone (impossible behind "
        "a last ReLU), is what else it does."
    )
    return Table("weight", caption, data, shown, ("configurations", "threshold"), "With and without class weight")


def thresholds_table(data: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return sensitivity and specificity at thresholds that were chosen on validation."""
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "configuration": [labels[entry["configuration"]] for entry in entries],
            "threshold chosen on validation": [_THRESHOLDS[entry["rule"]] for entry in entries],
            **{
                name: [format_mean_sd(entry[name], entry[f"{name}_sd"]) for entry in entries]
                for name in ("threshold", "sensitivity", "specificity")
            },
        }
    )
    caption = (
        "Each run is cut at a threshold of its logit that it chooses on its own validation split; sensitivity and "
        "specificity are those on the test split, mean ± standard deviation over the runs that did not collapse."
    )
    texts = ("configuration", "threshold chosen on validation")
    return Table("thresholds", caption, data, shown, texts, "Thresholds chosen on validation")


def quality_section_table(data: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return ranking, calibration and sensitivity at fixed specificity of the configurations."""
    entries = data.to_dict("records")
    shown = pd.DataFrame({"configuration": [labels[entry["configuration"]] for entry in entries]})
    for name in _QUALITY:
        words = metric(name.removesuffix("_undone")).words + ", undone" * name.endswith("_undone")
        if not all(math.isnan(entry[name]) for entry in entries):
            shown[words] = [format_number(entry[name]) for entry in entries]
    for target in SPECIFICITIES:
        name = f"at_{target * 100:.0f}"
        cells = [
            f"{format_mean_sd(entry[f'sensitivity_{name}'], entry[f'sensitivity_{name}_sd'])} "
            f"({entry[f'specificity_{name}']:.3f})"
            for entry in entries
        ]
        shown[f"sensitivity at {target:.0%} specificity"] = cells
    caption = (
        "AUROC and AUPRC judge the order of the logits alone, Brier score and ECE whether the probabilities are true "
        f"(0 is best; ECE of {stats.NUM_BINS} bins; undone: after ln(weight) is taken from the logits). The thresholds "
        "of the last two columns are chosen on validation; in brackets the specificity that they have on the test "
        "split. Means over the runs that did not collapse."
    )
    return Table(
        "quality", caption, data, shown, ("configuration",), "Ranking, calibration, sensitivity at fixed specificity"
    )

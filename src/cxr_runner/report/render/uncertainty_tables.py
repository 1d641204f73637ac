"""How uncertain metrics are, as tables and sentences for people."""

import math

import pandas as pd

from cxr_runner import stats
from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_difference, format_interval, format_mean_sd, format_number, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.uncertainty.row_intervals import PAIR_TESTS
from cxr_runner.report.compare.uncertainty.weighting import SPECIFICITIES
from cxr_runner.report.render.cells import p_value
from cxr_runner.study import FAMILIES, Row, Study

LEVEL = 0.05  # a p value below it counts as a difference
_ONE_SEED = "a single seed shows no spread, so that no difference over seeds is tested"
_ENDS = ("difference", "low", "high")
_RULES = {"zero": "0", "matched": "matched on validation", "undone": "0, shift undone"}
_QUALITY = ("auroc", "auprc", "brier", "ece", "brier_undone", "ece_undone")


def show_intervals(data: pd.DataFrame, study: Study, unit: str) -> Table:
    """Return the intervals of the rows with published test metrics.

    Args:
        data: as :func:`cxr_runner.report.compare.uncertainty.row_intervals.interval_table` returns it.
        study: study that the rows are of.
        unit: what was resampled, ``images`` or ``patients``.
    """
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "model": [f"{entry['row']}: {_name(study.row(entry['row']))}" for entry in entries],
            "metric": [metric(entry["metric"]).words for entry in entries],
            "not collapsed": [f"{entry['num_alive']} of {entry['num_runs']}" for entry in entries],
            "mean, not collapsed": [format_mean_sd(entry["mean"], entry["sd"]) for entry in entries],
            "mean, all": [format_number(entry["all_mean"]) for entry in entries],
            "seeds": [format_interval(entry["seeds_low"], entry["seeds_high"]) for entry in entries],
            "test images": [format_interval(entry["images_low"], entry["images_high"]) for entry in entries],
            "both": [format_interval(entry["both_low"], entry["both_high"]) for entry in entries],
        }
    )
    caption = (
        "95 % intervals by what is random: the seeds (mean over the runs that did not collapse, Student t), the test "
        f"images (one run, the median one: Wilson, or bootstrap over {unit}), and both at once (the mean; the "
        f"variances over seeds and {unit} add up, Student t; none from a single seed). Collapsed runs count in the "
        "mean of all alone. Intervals are shown cut off at 0 and 1."
    )
    return Table("certainty", caption, data, shown, ("model", "metric"), "Seeds and test images")


def show_pairs(data: pd.DataFrame, number_of_figure: int, study: Study, unit: str) -> Table:
    """Return the rows of a figure compared by pairs."""
    entries = data.to_dict("records")
    pairs = [(study.row(entry["first"]), study.row(entry["second"])) for entry in entries]
    shown = pd.DataFrame(
        {
            "models": [f"{entry['first']} − {entry['second']}" for entry in entries],
            "what they are": [f"{_name(first)} against {_name(second)}" for first, second in pairs],
            "accuracy": [format_difference(*(entry[f"accuracy_{end}"] for end in _ENDS)) for entry in entries],
            "p": [p_value(entry["accuracy_holm"]) for entry in entries],
            "only one right": [f"{entry['only_first']} : {entry['only_second']}" for entry in entries],
            "p, McNemar": [p_value(entry["mcnemar_holm"]) for entry in entries],
            "AUROC": [format_difference(*(entry[f"auroc_{end}"] for end in _ENDS)) for entry in entries],
            "p, DeLong": [p_value(entry["auroc_holm"]) for entry in entries],
        }
    )
    caption = (
        "First minus second, 95 %: accuracy as the mean over the seeds with which neither collapsed, where the "
        f"variances over seeds and {unit} add up (Student t; nothing from a single seed); McNemar (images that only "
        "the first : only the second decides correctly) and DeLong compare the median runs alone. All "
        f"p values are Holm's for {len(pairs)} comparisons: the two differ where it is below {LEVEL}."
    )
    name, title = f"pairs{number_of_figure}", f"Fig. {number_of_figure} by pairs"
    return Table(name, caption, data, shown, ("models", "what they are"), title)


def pair_sentence(data: pd.DataFrame, number_of_figure: int) -> str:
    """Say which models of a figure differ."""
    names = {
        test: [f"{row.first} and {row.second}" for row in data[data[f"{test}_holm"] < LEVEL].itertuples()]
        for test in PAIR_TESTS
    }
    differ, num_tested = names["accuracy"], int(data["accuracy_p"].notna().sum())
    named = f" ({'; '.join(differ[:5])}{f'; {len(differ) - 5} more' * (len(differ) > 5)})" if differ else ""
    which = " whose models both have several of the same seeds without collapse" * (num_tested < len(data))
    counted = f"{len(differ)} of the {plural(num_tested, 'pair')}{which}{named}" if num_tested else _ONE_SEED
    return (
        f"Pairs of models of Fig. {number_of_figure} that differ in accuracy beyond what other seeds and other test "
        f"images would change: {counted}. Of the median runs McNemar's test tells {len(names['mcnemar'])} of "
        f"{len(data)} pairs apart and DeLong's, of AUROC, {len(names['auroc'])} (p below {LEVEL} after Holm's "
        "correction)."
    )


def show_weights(data: pd.DataFrame, weight: float, unit: str) -> Table:
    """Return unweighted and weighted rows compared at three thresholds."""
    entries = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "models": [f"{entry['weighted']} − {entry['unweighted']}" for entry in entries],
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
    shift = format_number(math.log(weight), ".2f")
    caption = (
        "Without → with the class weight (mean over the runs that did not collapse), and with minus without (over the "
        f"seeds with which neither collapsed; 95 %, the variances over seeds and {unit} added up, thresholds taken as "
        f"given). A weight of {weight:g} moves the best logit by ln {weight:g} = {shift}, which trades sensitivity for "
        "specificity by construction; what differs at the same validation specificity, or with the shift undone "
        "(impossible behind a last ReLU), is what else it does."
    )
    return Table("weight", caption, data, shown, ("models", "threshold"), "With and without class weight")


def weight_sentence(data: pd.DataFrame) -> str:
    """Say for how many pairs the weight changes the accuracy, at the threshold 0 and at matched ones."""
    tested = data[data["accuracy_p"].notna()]
    if tested.empty:
        return f"Whether the class weight changes the accuracy: {_ONE_SEED}."
    zero, matched = (tested[tested["rule"] == rule]["accuracy_holm"] < LEVEL for rule in ("zero", "matched"))
    which = " that have several seeds without collapse, with the weight and without," * (len(tested) < len(data))
    return (
        f"The class weight changes the accuracy of {int(zero.sum())} of the {plural(len(zero), 'model')}{which} at the "
        f"threshold 0, and of {int(matched.sum())} where both are cut at the same validation specificity (p below "
        f"{LEVEL} after Holm's correction)."
    )


def show_quality(data: pd.DataFrame) -> Table:
    """Return ranking, calibration and sensitivity at fixed specificity of all rows."""
    entries = data.to_dict("records")
    shown = pd.DataFrame({"model": [f"{entry['row']}: {entry['model']}" for entry in entries]})
    for name in _QUALITY:
        words = metric(name.removesuffix("_undone")).words + ", undone" * name.endswith("_undone")
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
        "split."
    )
    return Table("quality", caption, data, shown, ("model",), "Ranking, calibration, sensitivity at fixed specificity")


def _name(row: Row) -> str:
    return FAMILIES[row.family] + ", weighted" * row.weighted

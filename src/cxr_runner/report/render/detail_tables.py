"""What stands behind a comparison, as tables: pairs, class weights, thresholds, ranking and calibration."""

import math
from collections.abc import Mapping

import pandas as pd

from cxr_runner import stats
from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_difference, format_mean_sd, format_number
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.uncertainty.pairs import PAIR_LEVEL
from cxr_runner.report.compare.uncertainty.quality import SPECIFICITIES
from cxr_runner.report.render.cells import p_value

_ENDS = ("difference", "low", "high")
_RULES = {"zero": "0", "matched": "matched on validation", "undone": "0, shift undone"}
_THRESHOLDS = {"zero": "0", "youden": "highest Youden index", "sensitivity": "sensitivity at least 0.95"}
_QUALITY = ("auroc", "auprc", "brier", "ece", "brier_undone", "ece_undone")


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
        "First minus second, in brackets 95 %: the mean over the splits and seeds that both have, collapsed runs "
        f"among them; splits, seeds and {unit} count as sources of variance, p after Holm's correction for all "
        f"{len(data)} pairs, so that it may be larger than in the table to the reference, which corrects for fewer. "
        "Beside it, run against run on one split with one seed, an illustration of single models: images that only "
        "the first : only the second decides correctly (mean), and how often McNemar's test and, of AUROC, DeLong's "
        f"tell the two apart at {PAIR_LEVEL:.0%}."
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
        f"(0 is best; ECE of {stats.NUM_BINS} bins, the mean of the single runs, while the picture has that of all "
        "runs pooled; undone: after ln(weight) is taken from the logits). The thresholds of the last two columns are "
        "chosen on validation; in brackets the specificity that they have on the test split. Means over the runs "
        "that did not collapse."
    )
    return Table(
        "quality", caption, data, shown, ("configuration",), "Ranking, calibration, sensitivity at fixed specificity"
    )

"""What a comparison of configurations has found, in sentences."""

import math

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_number, list_few, plural
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.render.comparison_tables import p_cell, runs_cell

LEVEL = 0.05  # a p value below it counts as a difference


def find_sentences(compared: Comparison) -> list[str]:
    """Say which configurations differ from the reference, and which runs say nothing."""
    said, words = [], metric(compared.metric).words
    tested = [one for one in compared.standings if not math.isnan(one.adjusted.get(compared.metric, math.nan))]
    differing = [one for one in tested if one.adjusted[compared.metric] < LEVEL]
    if differing:
        gaps = {one.label: format_number(one.differences[compared.metric].mean, "+.3f") for one in differing}
        listed = [f"{one.label} by {gaps[one.label]} (p {p_cell(one, compared.metric)})" for one in differing]
        said.append(
            f"In {words}, beyond what splits, seeds and test images explain, from {compared.reference.label} differ: "
            f"{list_few(listed, '; ')}."
        )
    elif tested:
        said.append(
            f"In {words} no configuration differs from {compared.reference.label} beyond what splits, seeds and test "
            "images explain; that does not show that they are alike."
        )
    elif len(compared.standings) > 1:
        said.append(
            "Whether configurations differ cannot be tested: that takes two runs of each on the same splits, with "
            "predictions."
        )
    lost = [one for one in compared.standings if one.num_collapsed or any(one.one_sided)]
    if lost:
        listed = [f"{one.label}: {runs_cell(one)}" for one in lost]
        said.append(f"Runs that say nothing of their model: {list_few(listed, '; ')}.")
    return said


def resampling_sentences(runs: DataSetRuns) -> list[str]:
    """Say what was resampled, and which runs have no predictions to be resampled."""
    predictions, said = runs.predictions, []
    if predictions.configurations and predictions.patients is None:
        said.append(
            "The patients of these images are not known: images are resampled as if each were of another "
            "patient, so that intervals are narrower than they should be."
        )
    elif predictions.patients is not None:
        said.append(
            f"The {len(predictions.patients):,} test images are of {len(set(predictions.patients)):,} patients; whole "
            "patients are resampled. McNemar and DeLong take every image as if it were of another one."
        )
    if predictions.problems:
        path, why = next(iter(predictions.problems.items()))
        number = plural(len(predictions.problems), "run")
        said.append(f"Without usable predictions, and so in no interval and no test: {number}, e.g. {path} ({why}).")
    return said

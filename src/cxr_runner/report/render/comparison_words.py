"""What a comparison of configurations has found, in sentences."""

import math

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_number, list_few, plural
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_cells import LEVEL, p_cell, runs_cell


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
    return [*said, *_collapse_sentences(compared), *_source_sentences(compared)]


def _collapse_sentences(compared: Comparison) -> list[str]:
    """Say how often runs collapse, compared as rates, and what may help."""
    reference, said = compared.reference, []
    for one in compared.standings:
        rates = one.collapses
        if rates is not None and not math.isnan(rates.p):
            said.append(
                f"{one.label} collapses with {_rate(one)}, {reference.label} with {_rate(reference)} "
                f"(p {p_value(rates.p)}, by an exact test)"
            )
    sentences = [f"{list_few(said, '; ', most=3)}."] if said else []
    collapsed = [one for one in compared.standings if one.num_collapsed]
    if collapsed:
        relu = any(one.runs[0].config["model"].get("output_relu") for one in collapsed)
        ways = "model.output_relu=false, " * relu + "another optimizer.lr, or another seed"
        sentences.append(f"Means count collapsed runs; a mean without them is a selection. What may help: {ways}.")
    return sentences


def _source_sentences(compared: Comparison) -> list[str]:
    """Say what makes the means uncertain, and which of it is worth more of."""
    nouns = {"seeds": "seeds", "splits": "splits", "images": "test images"}
    said = []
    for one in compared.standings:
        estimate = one.estimates.get(compared.metric)
        more = estimate.worth_more_of if estimate else None
        if estimate and more:
            shares = {nouns[name]: getattr(estimate.shares, name) for name in nouns}
            parts = ", ".join(f"{noun} {share:.0%}" for noun, share in shares.items() if share is not None)
            half = getattr(estimate.doubled, more)
            said.append(f"{one.label} {parts}; twice the {nouns[more]}: ±{half:.3f} for ±{estimate.half_width:.3f}")
    if not said:
        return []
    words = metric(compared.metric).words
    return [f"What makes the mean {words} uncertain, and what is worth most more of: {list_few(said, '. ', most=3)}."]


def _rate(one: Standing) -> str:
    """Say with how many seeds a configuration collapses, with half of its splits or more."""
    seeds = one.table.groupby("seed")["collapsed"].mean() >= 0.5
    return f"{int(seeds.sum())} of {plural(len(seeds), 'seed')}"


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

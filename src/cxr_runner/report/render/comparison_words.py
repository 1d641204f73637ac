"""What a comparison of configurations has found, in sentences."""

import math

from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.numbers import format_number, list_few, plural
from cxr_runner.report.collected import DataSetRuns
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.comparison_cells import LEVEL, p_cell, runs_cell

_RATE_TEST = "Boschloo's exact test (McNemar's where models are the same)"


def find_sentences(compared: Comparison) -> list[str]:
    """Say which configurations differ from the reference, and which runs say nothing."""
    said, words = [], metric(compared.metric).words
    tested = [one for one in compared.standings if not math.isnan(one.adjusted.get(compared.metric, math.nan))]
    differing = [one for one in tested if one.adjusted[compared.metric] < LEVEL]
    if differing:
        gaps = {one.short: format_number(one.differences[compared.metric].mean, "+.3f") for one in differing}
        listed = [f"{one.short} by {gaps[one.short]} (p {p_cell(one, compared.metric)})" for one in differing]
        said.append(
            f"These differ in {words} from {compared.reference.short} by more than splits, seeds and test images "
            "explain: "
            f"{list_few(listed, '; ')}."
        )
        others = [one.short for one in tested if one not in differing]
        if others:
            said.append(f"Not told apart from {compared.reference.short}, which does not show that they are alike: ")
            said[-1] += f"{list_few(others, '; ')}."
    elif tested:
        said.append(
            f"In {words} no configuration differs from {compared.reference.short} beyond what splits, seeds and test "
            "images explain; that does not show that they are alike."
        )
    elif len(compared.standings) > 1:
        said.append(
            "Whether configurations differ cannot be tested: that takes two runs of each on the same splits, with "
            "predictions."
        )
    lost = [one for one in compared.standings if one.num_collapsed or any(one.one_sided)]
    if lost:
        listed = [f"{one.short}: {runs_cell(one)}" for one in lost]
        said.append(f"Runs that say nothing of their model: {list_few(listed, '; ')}.")
    return [*said, *_collapse_sentences(compared), *_source_sentences(compared)]


def _collapse_sentences(compared: Comparison) -> list[str]:
    """Say how often runs collapse, compared as rates, and what may help."""
    rates = {one.short: one.collapses for one in compared.standings if one.collapses is not None}
    tested = [one for one in compared.standings if one.short in rates and not math.isnan(rates[one.short].p)]
    sentences = []
    if tested:
        most = ", in at least half of their splits" * compared.several_splits
        said = [f"{one.short} {_rate(one)} (p {p_value(rates[one.short].p)})" for one in tested]
        sentences.append(
            f"Seeds that collapse{most}: {compared.reference.short} {_rate(compared.reference)}; "
            f"{list_few(said, '; ')}. By {_RATE_TEST}."
        )
    collapsed = [one for one in compared.standings if one.num_collapsed]
    if collapsed:
        relu = any(one.runs[0].config["model"].get("output_relu") for one in collapsed)
        ways = "model.output_relu=false, " * relu + "another optimizer.lr; another seed alone makes one more try"
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
            said.append(
                f"{one.short}: {parts}; with twice the {nouns[more]} ±{half:.3f}, now ±{estimate.half_width:.3f}"
            )
    if not said:
        return []
    words = metric(compared.metric).words
    further = f" The table of sources has {len(said) - 3} more." if len(said) > 3 else ""
    begin = f"Where the uncertainty of the mean {words} comes from, and what would narrow it most."
    return [f"{begin} {'. '.join(said[:3])}.{further}"]


def _rate(one: Standing) -> str:
    """Say with how many seeds a configuration collapses, in at least half of their splits."""
    seeds = one.table.groupby("seed")["collapsed"].mean() >= 0.5
    return f"{int(seeds.sum())} of {len(seeds)}"


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
            "patients are resampled. McNemar's and DeLong's tests (all pairs) take each image as of another patient."
        )
    if predictions.problems:
        path, why = next(iter(predictions.problems.items()))
        number = plural(len(predictions.problems), "run")
        said.append(f"Without usable predictions, and so in no interval and no test: {number}, e.g. {path} ({why}).")
    return said

"""How uncertain the metrics of a data set are, for the page: sentences, tables, the picture of calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner import stats
from cxr_runner.base.numbers import plural
from cxr_runner.base.tables import Table
from cxr_runner.report.collected import DataSetRuns, Predictions
from cxr_runner.report.compare.uncertainty.measure import Uncertainty
from cxr_runner.report.render.picture import Picture
from cxr_runner.report.render.uncertainty_tables import (
    pair_sentence,
    show_intervals,
    show_pairs,
    show_quality,
    show_weights,
    weight_sentence,
)
from cxr_runner.study import Study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class UncertaintySection:
    """How uncertain the metrics of a data set are, and which of its models differ.

    Attributes:
        sentences: the findings in words.
        tables: intervals, pairs of models, class weights, quality of the probabilities.
        pictures: reliability diagrams; none where there are no predictions.
    """

    sentences: list[str]
    tables: list[Table]
    pictures: list[Picture]


def uncertainty_section(runs: DataSetRuns, measured: Uncertainty, suffix: str) -> UncertaintySection:
    """Put into words how uncertain the metrics of a data set are.

    Args:
        runs: runs on the data set.
        measured: the same in numbers.
        suffix: suffix of the names of files.
    """
    study, unit = runs.study, measured.unit
    sentences, tables = _sentences(runs.predictions), []
    if measured.intervals is not None:
        tables.append(show_intervals(measured.intervals, study, unit))
    for number, pairs in measured.pairs.items():
        tables.append(show_pairs(pairs, number, study, unit))
        sentences.append(pair_sentence(pairs, number))
    if measured.weights is not None:
        tables.append(show_weights(measured.weights, study.class_weight, unit))
        sentences.append(weight_sentence(measured.weights))
    if measured.quality is not None:
        tables.append(show_quality(measured.quality))
    pictures = [_reliability(measured.reliability, study, runs.heading)] if measured.reliability else []
    return UncertaintySection(
        sentences, [table.suffixed(suffix) for table in tables], [picture.suffixed(suffix) for picture in pictures]
    )


def _sentences(predictions: Predictions) -> list[str]:
    sentences = []
    if predictions.rows and predictions.patients is None:
        sentences.append(
            "The patients of these images are not known: images are resampled as if each were of another "
            "patient, so that intervals are narrower than they should be."
        )
    elif predictions.patients is not None:
        sentences.append(
            f"The {len(predictions.patients):,} test images are of {len(set(predictions.patients)):,} patients; whole "
            "patients are resampled. Wilson, McNemar and DeLong take every image as if it were of another one."
        )
    if predictions.problems:
        path, why = next(iter(predictions.problems.items()))
        runs = plural(len(predictions.problems), "run")
        sentences.append(f"Without usable predictions, and so not among these: {runs}, e.g. {path} ({why}).")
    return sentences


def _reliability(reliability: Mapping[str, stats.Reliability], study: Study, heading: str) -> Picture:
    def draw() -> "Figure":
        from cxr_runner.plots.reliability import plot_reliability

        return plot_reliability(reliability, study, heading)

    alt = "Expected calibration error of the runs that did not collapse, pooled: " + "; ".join(
        f"model {name}: {one.ece:.3f}" for name, one in reliability.items()
    )
    text = (
        "Predicted probability against the share of images that are positive, runs that did not collapse pooled; the "
        "larger a dot, the more images. Below the diagonal a model promises too much. Undone: after ln(weight) is "
        "taken from the logits. A model that ends in a ReLU never goes below 0.5."
    )
    return Picture("reliability", "Are the probabilities true?", text, alt, draw=draw)

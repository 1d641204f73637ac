"""The statistics of a cohort for the page: sentences, tables, and the picture of its calibration."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cxr_runner import stats
from cxr_runner.base.numbers import plural
from cxr_runner.base.tables import Table
from cxr_runner.report.figures import Picture
from cxr_runner.report.runs.groups import Cohort
from cxr_runner.report.runs.predictions import Predictions
from cxr_runner.report.uncertainty.intervals import interval_table, pair_sentence, pair_table
from cxr_runner.report.uncertainty.resampling import Resampling
from cxr_runner.report.uncertainty.weighting import probabilities, quality_table, undone, weight_sentence, weight_table
from cxr_runner.study import load_study

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Statistics:
    """How sure the figures of a cohort are, and which of its models differ.

    Attributes:
        sentences: the findings in words.
        tables: intervals, pairs of models, class weights, quality of the probabilities.
        pictures: reliability diagrams; none where there are no predictions.
    """

    sentences: list[str]
    tables: list[Table]
    pictures: list[Picture]


def gather_statistics(cohort: Cohort, predictions: Predictions, suffix: str) -> Statistics:
    """Compute the statistics of a cohort.

    Args:
        cohort: whose runs repeat rows of the study.
        predictions: of the same.
        suffix: of the names of files.
    """
    sentences = _sentences(predictions)
    if not predictions.rows:
        return Statistics(sentences, [], [])
    resampling = Resampling(predictions)
    tested = [row.id for row in load_study().published_rows() if row.id in predictions.rows]
    tables = [interval_table(resampling, cohort.repetitions)] if tested else []
    for figure in (20, 23):
        if (pairs := pair_table(resampling, figure)) is not None:
            tables.append(pairs)
            sentences.append(pair_sentence(pairs, figure))
    if (weights := weight_table(resampling)) is not None:
        tables.append(weights)
        sentences.append(weight_sentence(weights))
    tables.append(quality_table(resampling))
    pictures = [_reliability(predictions, tested, cohort.heading)] if tested else []
    return Statistics(
        sentences,
        [table.suffixed(suffix) for table in tables],
        [replace(picture, name=picture.name + suffix) for picture in pictures],
    )


def _sentences(predictions: Predictions) -> list[str]:
    sentences = []
    if predictions.rows and predictions.patients is None:
        sentences.append(
            "The names of these images do not tell their patients: images are resampled as if each were of another "
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
        sentences.append(f"Without usable predictions, and so not in this part: {runs}, e.g. {path} ({why}).")
    return sentences


def _reliability(predictions: Predictions, row_ids: list[str], heading: str) -> Picture:
    labels, found = predictions.test_labels, {}
    for row_id in row_ids:
        logits = predictions.rows[row_id]
        found[row_id] = stats.reliability(probabilities(logits.test), labels)
        if (shifted := undone(logits)) is not None:
            found[f"{row_id}, undone"] = stats.reliability(probabilities(shifted), labels)

    def draw() -> "Figure":
        from cxr_runner.plots.reliability import plot_reliability

        return plot_reliability(found, heading)

    alt = "Expected calibration error of the living runs pooled: " + "; ".join(
        f"model {name}: {one.ece:.3f}" for name, one in found.items()
    )
    text = (
        "Predicted probability against the share of images that are positive, living runs pooled; the larger a dot, "
        "the more images. Below the diagonal a model promises too much. Undone: after ln(weight) is taken from the "
        "logits. A model that ends in a ReLU never goes below 0.5."
    )
    return Picture("reliability", "Are the probabilities true?", text, alt, draw=draw)

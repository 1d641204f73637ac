"""The evaluation of a model on foreign images: ``evaluations/NAME/evaluation.json``, and how it is read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxr_runner.artifacts.metrics import METRICS
from cxr_runner.base.checked_json import read_checked_json
from cxr_runner.base.numbers import format_difference, format_number, plural

EVALUATION_FORMAT = 1  # raised when evaluation.json changes for its readers; reports ignore files of another format
EVALUATION = "evaluation.json"
SIDES = ("inside", "outside", "difference")
METRIC_WORDS = {
    **{metric.key: metric.words for metric in METRICS},
    "sensitivity": "sensitivity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "calibration_slope": "calibration slope (1 is right)",
    "calibration_in_the_large": "calibration in the large (0 is right)",
}


def evaluation_folder(model_folder: Path, name: str) -> Path:
    """Return the folder of an evaluation.

    Args:
        model_folder: folder for what is made of the model.
        name: name of the evaluation.
    """
    return model_folder / "evaluations" / name


def read_evaluations(root: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the evaluations below a folder that can be read and have not changed since they were written."""
    for path in sorted(root.rglob(f"evaluations/*/{EVALUATION}")):
        content, intact = read_checked_json(path)
        if intact and content.get("format") == EVALUATION_FORMAT:
            yield content


def model_words(content: Mapping[str, Any]) -> str:
    """Return the model of an evaluation in a few words: names of its configurations, number of runs."""
    runs = content["model"]["runs"]
    names = dict.fromkeys(run.partition("/")[0].rpartition("-")[0] for run in runs)
    return f"{', '.join(names)} ({plural(len(runs), 'run')})"


def show_sides(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return one metric inside, outside and their difference, with the ends of their intervals."""
    inside, outside, difference = (row[side] for side in SIDES)
    p = "" if row["p"] is None else f", p {'< 0.0001' if row['p'] < 1e-4 else format_number(row['p'], '.4f')}"
    return with_ends(*inside), with_ends(*outside), format_difference(*difference) + p


def with_ends(estimate: float | None, low: float | None, high: float | None) -> str:
    """Return an estimate with the ends of its interval, as far as they are known."""
    if estimate is None:
        return ""
    ends = "" if low is None or high is None else f" ({format_number(low)} to {format_number(high)})"
    return format_number(estimate) + ends

"""A model on images of another place: inside, outside and their difference, as ``cxr-model evaluate`` left them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.artifacts.evaluation_file import METRIC_WORDS, SIDES, model_words, show_sides, with_ends
from cxr_runner.base.markdown import printable
from cxr_runner.base.tables import Table
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.picture import Picture

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

_BY_GROUP = ("auroc", "sensitivity", "specificity")


@dataclass(frozen=True)
class EvaluationSection:
    """One evaluation on the page.

    Attributes:
        heading: the model and the data.
        sentences: the verdict first; what was compared.
        tables: metrics, and by subgroup where there are columns.
        picture: ROC curves, calibration, decision curve.
    """

    heading: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    picture: Picture


def evaluation_sections(evaluations: Sequence[Mapping[str, Any]]) -> list[EvaluationSection]:
    """Put evaluations into words, tables and pictures.

    Args:
        evaluations: contents of ``evaluation.json``.
    """
    return [_section(content, f"evaluation_{number}") for number, content in enumerate(evaluations, 1)]


def _section(content: Mapping[str, Any], name: str) -> EvaluationSection:
    heading = printable(f"{model_words(content)} on {content['data']['title']}")
    tables = [_metrics(content, name)]
    if content["subgroups"]:
        tables += [_groups(content, f"{name}_subgroups"), _tests(content, f"{name}_tests")]
    return EvaluationSection(heading, tuple(_said(content)), tuple(tables), _picture(content, name, heading))


def _said(content: Mapping[str, Any]) -> list[str]:
    data, model, excluded = content["data"], content["model"], sum(content["excluded"].values())
    classes = " and ".join(f"{printable(foreign)} as {printable(own)}" for foreign, own in data["classes"].items())
    sentences = [
        *content["verdict"],
        f"Inside: the test images of {printable(model['trained_on'])}, {_counted(content['inside'])}, each judged by "
        f"runs that have not seen it. Outside: {_counted(content['outside'])}; {classes}.",
        *(f"{line[0].upper()}{line[1:]}." for line in content["familiarity"]),
    ]
    if excluded:
        sentences.append(f"Images of the training set do not count: {excluded:,} of {data['images']:,} were left out.")
    if model["point_fitted_on"]:
        calibrated = f"Threshold {model['point_rule']}, calibration {model['point_calibration']}"
        sentences.append(f"{calibrated}: fitted on {model['point_fitted_on']}.")
    return sentences


def _counted(side: Mapping[str, Any]) -> str:
    of = f" of {side['patients']:,} patients" if side["patients"] is not None else ""
    return f"{side['images']:,} images{of}, {side['positive']:,} positive"


def _metrics(content: Mapping[str, Any], name: str) -> Table:
    rows = content["metrics"]
    shown = pd.DataFrame([show_sides(row) for row in rows], columns=list(SIDES))
    shown.insert(0, "threshold", [row["rule"] or "none" for row in rows])
    shown.insert(0, "metric", [METRIC_WORDS[row["metric"]] for row in rows])
    data = pd.DataFrame({"metric": [row["metric"] for row in rows], "rule": [row["rule"] for row in rows]})
    for side in SIDES:
        _add_interval(data, rows, side)
    data["p"] = [row["p"] for row in rows]
    caption = (
        "In brackets 95 %, by resampling patients, images where these are not known; outside minus inside, whose "
        "patients are others. The p value is that the AUROCs are the same (DeLong, independent samples, images of a "
        "patient taken together). Accuracy, predictive values, F1 and net benefit follow the share of positives, which "
        "is not the same inside and outside."
    )
    return Table(name, caption, data, shown, ("metric", "threshold"), "Inside and outside")


def _groups(content: Mapping[str, Any], name: str) -> Table:
    rows = content["subgroups"]
    shown = pd.DataFrame(
        {
            "column": [printable(row["column"]) for row in rows],
            "group": [row["group"] for row in rows],
            "images": [f"{row['images']:,}" for row in rows],
            "positive": [f"{row['positive']:,}" for row in rows],
            **{METRIC_WORDS[key]: [with_ends(*row[key]) for row in rows] for key in _BY_GROUP},
        }
    )
    data = pd.DataFrame([{key: row[key] for key in ("column", "group", "images", "positive")} for row in rows])
    for key in _BY_GROUP:
        _add_interval(data, rows, key)
    caption = (
        "Outside, at the threshold of the model; in brackets 95 %: DeLong's interval, and Wilson's, images of one "
        "patient taken together. Groups with few patients of a class have no AUROC."
    )
    return Table(name, caption, data, shown, ("column", "group"), "Outside, by subgroup")


def _add_interval(data: pd.DataFrame, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """Add the columns of an estimate and of the ends of its interval."""
    for position, end in enumerate(("", "_low", "_high")):
        data[key + end] = [row[key][position] for row in rows]


def _tests(content: Mapping[str, Any], name: str) -> Table:
    tests = content["tests"]
    shown = pd.DataFrame(
        {
            "column": [printable(test["column"]) for test in tests],
            "metric": [METRIC_WORDS[test["metric"]] for test in tests],
            "compared": [", ".join(test["groups"]) if test["p"] is not None else "not tested" for test in tests],
            "p": [p_value(_known(test["p"])) for test in tests],
            "p, Holm": [p_value(_known(test["holm"])) for test in tests],
        }
    )
    data = pd.DataFrame(tests).assign(groups=[", ".join(test["groups"]) for test in tests])
    caption = (
        "Is the metric the same in all groups compared? AUROC: DeLong's variances and an F test; sensitivity and "
        "specificity: permutation of the groups. Holm's correction is for all tests of this table."
    )
    return Table(name, caption, data, shown, ("column", "metric", "compared"), "Outside: do the subgroups differ?")


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _picture(content: Mapping[str, Any], name: str, heading: str) -> Picture:
    def draw() -> "Figure":
        from cxr_runner.plots.external_plot import plot_external

        return plot_external(content["curves"], heading)

    text = (
        "Left: ROC curves; below the diagonal is worse than chance. Middle: predicted probability against the share "
        "that is positive, the dots as large as their number of images. Right, outside: what acting on the model is "
        "worth, against acting on all images and on none."
    )
    return Picture(name, "Inside and outside", text, " ".join(content["verdict"]), draw=draw)

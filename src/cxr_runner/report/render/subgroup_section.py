"""Metrics by subgroup for the page: what a test says and does not say, tables, a forest plot for every column."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxr_runner.artifacts.levels import FEWEST, MOST_LEVELS, OTHER
from cxr_runner.artifacts.metrics import metric
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import format_difference, format_interval, format_number, list_few, plural
from cxr_runner.base.tables import Table
from cxr_runner.report.compare.subgroup_metrics import LEAST, METRICS_BY_GROUP, SubgroupMetrics
from cxr_runner.report.render.cells import p_value
from cxr_runner.report.render.picture import Picture
from cxr_runner.stats import PERMUTATIONS

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure

LEVEL_OF_INTERACTION = 0.05  # a p value below it counts as a difference
_MOST_DRAWN = 12  # configurations in one forest plot; the tables have all
_WORDS = {"sensitivity": "sensitivity", "specificity": "specificity"} | {
    key: metric(key).words for key in ("accuracy", "auroc")
}
_MEANING = (
    "A small p value says that, were the metric alike in all groups, a difference as large as this would be rare among "
    "other test images. It does not say that the difference is large (the intervals do), what makes it (groups may "
    "differ in machine, severity or age as well) or that it is the same elsewhere. A large one does not say that the "
    "groups are alike. Models are taken as they were trained: other seeds may differ."
)


@dataclass(frozen=True)
class SubgroupSection:
    """Metrics by subgroup of a data set; all empty where no run kept a column.

    Attributes:
        sentences: what was tested, what was found and what that means.
        tables: metrics, differences to the rest, tests.
        pictures: a forest plot for every column.
    """

    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def subgroup_section(measured: SubgroupMetrics | None, heading: str, suffix: str) -> SubgroupSection:
    """Put metrics by subgroup into words, tables and pictures.

    Args:
        measured: the same in numbers.
        heading: title of the data set.
        suffix: suffix of the names of files.
    """
    if measured is None:
        return SubgroupSection()
    tables = (_show_metrics(measured), _show_differences(measured), _show_tests(measured))
    columns = list(dict.fromkeys(measured.metrics["column"]))
    pictures = [_forest(measured, column, number, heading) for number, column in enumerate(columns, 1)]
    return SubgroupSection(
        _said(measured),
        tuple(table.suffixed(suffix) for table in tables),
        tuple(picture.suffixed(suffix) for picture in pictures),
    )


def _said(measured: SubgroupMetrics) -> tuple[str, ...]:
    tests, unit = measured.tests, measured.unit
    made = tests[tests["p"].notna()]
    sentences = [_tested(tests, made, unit)]
    if len(made):
        sentences.append(_MEANING)
    for column, number in measured.num_pooled.items():
        if number:
            verb = "is" if number == 1 else "are"
            sentences.append(
                f"{plural(number, 'value')} of {printable(column)} {verb} counted as “{OTHER}”: of fewer than {FEWEST} "
                f"test images, or beyond the {MOST_LEVELS} most frequent."
            )
    if unit == "images":
        sentences.append(
            "The patients of these images are not known: images count as if each were of another patient, so that "
            "intervals and p values are smaller than they should be."
        )
    return tuple(sentences)


def _tested(tests: pd.DataFrame, made: pd.DataFrame, unit: str) -> str:
    columns = list_few([printable(column) for column in dict.fromkeys(tests["column"])])
    rule = f"Groups are tested that have at least {LEAST} {unit} of each class"
    if made.empty:
        return f"By {columns}, no test was made of whether a metric differs between groups. {rule}."
    found = made[made["holm"] < LEVEL_OF_INTERACTION]
    named = [
        f"{_WORDS[entry['metric']]} by {printable(entry['column'])} of {entry['configuration']} "
        f"(p {p_value(entry['holm'])})"
        for entry in found.to_dict("records")
    ]
    listed = f": {list_few(named, '; ')}" if named else ""
    return (
        f"By {columns}, {len(found)} of {plural(len(made), 'test')} of whether a metric differs between groups "
        f"{'has' if len(found) == 1 else 'have'} a p value below {LEVEL_OF_INTERACTION} after Holm's correction for "
        f"all of them{listed}. {rule}."
    )


def _show_metrics(measured: SubgroupMetrics) -> Table:
    entries = measured.metrics.to_dict("records")
    shown = _group_columns(entries)
    shown["images"] = [f"{entry['num_images']:,}" for entry in entries]
    shown["positive"] = [f"{entry['num_positive']:,}" for entry in entries]
    if measured.unit == "patients":
        shown["patients"] = [format_number(entry["num_patients"], ",.0f") for entry in entries]
    for name in METRICS_BY_GROUP:
        shown[_WORDS[name]] = [_with_interval(entry, name) for entry in entries]
    caption = (
        "Test split, in brackets 95 %: mean over the runs of a configuration that did not collapse. Accuracy, "
        f"sensitivity, specificity: Wilson's interval, of so many images as the variances over {measured.unit} and "
        f"runs leave. AUROC: bootstrap over {measured.unit}, of several runs with their variance added (Student t); "
        f"only of groups with {LEAST} {measured.unit} of each class, without an interval where nothing is in the wrong "
        "order. Accuracy follows the share of positives and is not tested."
    )
    return Table("subgroups", caption, measured.metrics, shown, _TEXTS, "Metrics by subgroup")


def _show_differences(measured: SubgroupMetrics) -> Table:
    entries = measured.metrics.to_dict("records")
    shown = _group_columns(entries)
    ends = ("", "_low", "_high")
    for name in METRICS_BY_GROUP:
        cells = [format_difference(*(entry[f"{name}_difference{end}"] for end in ends)) for entry in entries]
        shown[_WORDS[name]] = cells
    caption = (
        "Group minus all other test images, in brackets 95 % (Newcombe's method, from the intervals of both; too wide "
        "rather than too narrow where one patient has images in both)."
    )
    return Table("subgroup_differences", caption, measured.metrics, shown, _TEXTS, "Difference to the rest")


_TEXTS = ("configuration", "column", "group")


def _group_columns(entries: list[dict[Any, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "configuration": [entry["configuration"] for entry in entries],
            "column": [printable(entry["column"]) for entry in entries],
            "group": [entry["value"] for entry in entries],
            "seeds": [_runs(entry) for entry in entries],
        }
    )


def _runs(entry: Mapping[Any, Any]) -> str:
    """Say how many runs of a configuration the means are of."""
    return (
        f"{entry['num_used']}"
        if entry["num_used"] == entry["num_runs"]
        else f"{entry['num_used']} of {entry['num_runs']}"
    )


def _with_interval(entry: Mapping[Any, Any], name: str) -> str:
    ends = format_interval(entry[f"{name}_low"], entry[f"{name}_high"])
    return format_number(entry[name]) + (f" ({ends})" if ends else "")


def _show_tests(measured: SubgroupMetrics) -> Table:
    tests = measured.tests
    entries = tests.to_dict("records")
    shown = pd.DataFrame(
        {
            "configuration": [entry["configuration"] for entry in entries],
            "column": [printable(entry["column"]) for entry in entries],
            "metric": [_WORDS[entry["metric"]] for entry in entries],
            "compared": [entry["values"] if not math.isnan(entry["p"]) else "not tested" for entry in entries],
            "seeds": [str(entry["num_used"]) for entry in entries],
            "p": [p_value(entry["p"]) for entry in entries],
            "p, Holm": [p_value(entry["holm"]) for entry in entries],
        }
    )
    made = int(tests["p"].notna().sum())
    caption = (
        "Interaction: is the metric, the mean over the runs, the same in all groups compared? Sensitivity and "
        f"specificity: {PERMUTATIONS:,} permutations of the groups within the class, the images of a patient kept "
        f"together; AUROC: DeLong's variances, pooled over the groups, and an F test. Holm's correction is for all "
        f"{plural(made, 'test')} of this table. “{OTHER}”, what is not known, and groups with fewer than {LEAST} "
        f"{measured.unit} of a class are counted and not tested."
    )
    texts = ("configuration", "column", "metric", "compared")
    return Table("subgroup_tests", caption, tests, shown, texts, "Do the metrics differ between subgroups?")


def _forest(measured: SubgroupMetrics, column: str, number: int, heading: str) -> Picture:
    whole = measured.metrics[(measured.metrics["column"] == column) & measured.metrics["auroc"].notna()]
    names = list(dict.fromkeys(whole["configuration"]))
    drawn = whole[whole["configuration"].isin(names[:_MOST_DRAWN])]
    words = printable(column)

    def draw() -> "Figure":
        from cxr_runner.plots.forest import plot_forest

        return plot_forest(drawn, f"AUROC by {words}: {heading}")

    title, text = (
        f"AUROC by {words}",
        "Mean over the runs that did not collapse, on the test split, with its 95 % interval; an open dot has none. "
        "Intervals that overlap do not say that groups are alike: the test stands in the table.",
    )
    if drawn.empty:
        note = f"No group has {LEAST} {measured.unit} of each class, so that none has an AUROC here."
        return Picture(f"subgroups{number}", title, text, notes=(note,))
    more = f"The first {_MOST_DRAWN} of {len(names)} configurations; the table has all."
    alt = "; ".join(
        f"{entry['configuration']}, {entry['value']}: {_with_interval(entry, 'auroc')}"
        for entry in drawn.to_dict("records")
    )
    notes = (more,) if len(names) > _MOST_DRAWN else ()
    return Picture(f"subgroups{number}", title, text, alt, notes, draw=draw, look="narrow")

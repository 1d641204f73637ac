"""What a model does on its own test images, for its card: metrics, subgroups, failures; no image is named."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.evaluation_file import METRIC_WORDS, with_ends
from cxr_runner.artifacts.levels import subgroup_names
from cxr_runner.base.markdown import markdown_table
from cxr_runner.base.numbers import format_number
from cxr_runner.inference.side_metrics import Measured, Side
from cxr_runner.inference.subgroup_rows import subgroup_rows

if TYPE_CHECKING:  # it is handed a model, it loads none
    from cxr_runner.inference.loaded_model import LoadedModel

_BY_GROUP = ("auroc", "sensitivity", "specificity")


def measure_test(model: "LoadedModel") -> dict[str, Measured]:
    """Return the metrics of a model on its own test images, each judged by networks that have not seen it."""
    side = Side(model.parts.held_out("test"), model.point, seed=1)
    return side.whatever_the_threshold() | side.at(model.threshold)


def metric_table(measured: Mapping[str, Measured]) -> str:
    """Return the metrics in Markdown."""
    rows = [[METRIC_WORDS[name], with_ends(*one.interval)] for name, one in measured.items()]
    return markdown_table(["metric", "inside"], rows, [False, True])


def subgroup_table(model: "LoadedModel") -> str:
    """Return the metrics by the subgroups that the runs kept, in Markdown; '' where they kept none."""
    columns = _columns(model)
    if columns is None:
        return ""
    groups, _ = subgroup_rows(model.parts.held_out("test"), columns, model.threshold)
    cells = [_cells(row) for row in groups]
    header = ["column", "group", "images", "positive", *(METRIC_WORDS[key] for key in _BY_GROUP)]
    return markdown_table(header, cells, [False, False, *[True] * (len(header) - 2)])


def _cells(row: Mapping[str, Any]) -> list[str]:
    numbers = [f"{row['images']:,}", f"{row['positive']:,}"]
    return [row["column"], row["group"], *numbers, *(with_ends(*row[key]) for key in _BY_GROUP)]


def _columns(model: "LoadedModel") -> pd.DataFrame | None:
    """Return the subgroups of the test images, in the order of their names, which is that of ``held_out``."""
    runs = model.parts.runs
    names = subgroup_names(runs[0].run.config.get("data", {}).get("subgroups")) if runs else ()
    tables = [run.predictions().query("split == 'test'") for run in runs]
    if not names or any(not set(names) <= set(table) for table in tables):
        return None
    together = pd.concat(tables).groupby("name", sort=True)[list(names)].first()
    return together.fillna("").astype(str).reset_index(drop=True)


def say_failures(model: "LoadedModel") -> str:
    """Say how many test images are wrong, of which class, and how far on the wrong side of the threshold they are."""
    images = model.parts.held_out("test")
    wrong = (images.logits > model.threshold) != (images.labels == 1)
    parts = []
    for label, name in enumerate(model.class_names):
        of_class = images.labels == label
        lost = wrong & of_class
        far = f", the most wrong by a logit of {_furthest(images.logits[lost], label)}" if lost.any() else ""
        parts.append(f"{lost.sum():,} of {of_class.sum():,} {name} wrong{far}")
    return f"{'; '.join(parts)}. cxr-model explain shows the most wrong ones."


def _furthest(logits: "np.ndarray[Any, np.dtype[np.float64]]", label: int) -> str:
    return format_number(float(logits.min() if label else logits.max()), "+.2f")

"""Trivial baselines beside the models: from audits of the same images, and the majority from the counts alone."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import AUDIT_FORMAT
from cxr_runner.base.files import read_json
from cxr_runner.base.markdown import printable
from cxr_runner.report.runs.commands import data_overrides
from cxr_runner.report.runs.comparison import METRICS
from cxr_runner.report.runs.groups import Cohort, class_counts, same_images
from cxr_runner.stats.intervals import wilson

MARK = "trivial baseline"
LEGEND = (
    "Trivial baselines see what is no anatomy, or next to nothing of it, on the same test images: a model that is not "
    "clearly better has shown nothing."
)


@dataclass(frozen=True)
class Baselines:
    """The trivial baselines of a cohort.

    Attributes:
        figures: by their names in words the test metrics, as far as they are known, and ``n``, the test images.
        command: makes the others, '' where they are there.
    """

    figures: Mapping[str, Mapping[str, float]]
    command: str

    def extend(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a comparison (see :func:`cxr_runner.comparison_table`) with a row a baseline and metric below it."""
        rows = [
            {"row": MARK, "model": words, "metric": metric, "mean": values[metric], **_ends(values, metric)}
            for words, values in self.figures.items()
            for metric in METRICS
            if metric in values
        ]
        if not rows:
            return table
        return pd.DataFrame([*table.to_dict("records"), *rows], columns=table.columns).astype(
            {"image_size": "Int64", "inside": "boolean", "num_seeds": "Int64", "num_collapsed": "Int64"}
        )

    def sentence(self) -> str:
        """Say how far they get; '' where there are none."""
        said = [f"{words} {values['accuracy']:.3f}" for words, values in self.figures.items()]
        return f"Accuracy of trivial baselines on the same test images: {'; '.join(said)}." if said else ""


def find_baselines(cohort: Cohort, root: Path) -> Baselines:
    """Find the baselines of a cohort.

    Args:
        cohort: the runs.
        root: below which audits lie, as ``audits/*/audit.json`` at any depth.
    """
    prints = {data_set.fingerprint for data_set in cohort.data_sets}
    audits = [content for path in sorted(root.rglob("audits/*/audit.json")) if (content := read_json(path))]
    exact = [content for content in audits if content.get("fingerprint") in prints]
    alike = [content for content in audits if same_images(cohort, content.get("data"), content.get("config"))]
    for content in [*exact, *alike]:
        if figures := _read(content):
            return Baselines(figures, "")
    config = cohort.data_sets[0].runs[0].config["data"]
    return Baselines(_majority(cohort), shlex.join(["cxr-data", "audit", *data_overrides(config)]))


def _ends(values: Mapping[str, float], metric: str) -> dict[str, float]:
    """Return the Wilson interval of an accuracy."""
    if metric != "accuracy":
        return {}
    _, low, high = wilson(round(values["accuracy"] * values["n"]), int(values["n"]))
    return {"wilson_low": low, "wilson_high": high}


def _read(content: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the baselines of an audit; nothing where it does not hold them as it should."""
    try:
        if content["format"] != AUDIT_FORMAT:
            return {}
        scores = {printable(entry["words"]): entry["own"] for entry in content["shortcuts"]["baselines"]}
        known = {words: [metric for metric in (*METRICS, "n") if metric in own] for words, own in scores.items()}
        figures = {words: {metric: float(scores[words][metric]) for metric in known[words]} for words in scores}
    except (KeyError, TypeError, ValueError):
        return {}
    whole = all(
        {"accuracy", "n"} <= values.keys() and np.isfinite(list(values.values())).all() for values in figures.values()
    )
    return figures if whole else {}


def _majority(cohort: Cohort) -> dict[str, dict[str, float]]:
    """Return what calling every test image by the larger class of the training split gives."""
    counts, positive = class_counts(cohort.facts), str(cohort.facts.get("positive_class"))
    train, test = counts.get("train", {}), counts.get("test", {})
    if len(train) != 2 or positive not in train or not sum(train.values()) or not sum(test.values()):
        return {}
    majority = max(train, key=lambda name: train[name])
    num_images = sum(test.values())
    share = test[majority] / num_images
    values = {"accuracy": share, "precision": 0.0, "recall": 0.0, "f1": 0.0, "auroc": 0.5, "n": float(num_images)}
    if majority == positive:
        values |= {"precision": share, "recall": 1.0, "f1": 2 * share / (1 + share)}
    return {f"always {printable(majority)}": values}

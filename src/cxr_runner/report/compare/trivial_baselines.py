"""Trivial baselines beside the models: from audits of the same images, and the majority from the counts alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxr_runner.artifacts.rundir import AUDIT_FORMAT
from cxr_runner.base.markdown import printable
from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import DataSetRuns, describe_images
from cxr_runner.stats.intervals import wilson
from cxr_runner.study import ComparedMetric

MARK = "trivial baseline"


@dataclass(frozen=True)
class Baselines:
    """The trivial baselines of a data set.

    Attributes:
        scores: by their names in words the test metrics, as far as they are known, and ``n``, the test images.
        complete: whether they are all there; else an audit of the same images would make the others.
    """

    scores: Mapping[str, Mapping[str, float]]
    complete: bool

    def extend(self, table: pd.DataFrame, metrics: Sequence[ComparedMetric]) -> pd.DataFrame:
        """Return a comparison (see :func:`cxr_runner.comparison_table`) with a row a baseline and metric below it."""
        rows = [
            {"row": MARK, "model": words, "metric": one.key, "mean": values[one.key], **_ends(values, one.key)}
            for words, values in self.scores.items()
            for one in metrics
            if one.key in values
        ]
        if not rows:
            return table
        return pd.DataFrame([*table.to_dict("records"), *rows], columns=table.columns).astype(
            {"image_size": "Int64", "inside": "boolean", "num_seeds": "Int64", "num_collapsed": "Int64"}
        )


def choose_baselines(runs: DataSetRuns, audits: Sequence[Mapping[str, Any]]) -> Baselines:
    """Choose the baselines of a data set.

    Args:
        runs: runs on the data set.
        audits: contents of audits, of whatever images.
    """
    prints = {fingerprint for sized in runs.sizes for fingerprint in sized.fingerprints}
    exact = [content for content in audits if content.get("fingerprint") in prints]
    alike = [content for content in audits if _same_images(runs, content.get("data"), content.get("config"))]
    metrics = [one.key for one in runs.study.metrics]
    for content in [*exact, *alike]:
        if scores := _scores(content, metrics):
            return Baselines(scores, complete=True)
    return Baselines(_majority(runs), complete=False)


def _same_images(runs: DataSetRuns, data: object, config: object) -> bool:
    """Say whether a description of images, and the configuration of the data, are those of runs at any size."""
    if not isinstance(data, dict) or not isinstance(config, dict):
        return False
    described = [describe_images(sized.runs[0].data, sized.runs[0].config["data"]) for sized in runs.sizes]
    return describe_images(data, config) in described


def _ends(values: Mapping[str, float], key: str) -> dict[str, float]:
    """Return the Wilson interval of an accuracy."""
    if key != "accuracy":
        return {}
    _, low, high = wilson(round(values["accuracy"] * values["n"]), int(values["n"]))
    return {"wilson_low": low, "wilson_high": high}


def _scores(audit: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the baselines of an audit; nothing where it does not hold them as it should."""
    try:
        if audit["format"] != AUDIT_FORMAT:
            return {}
        entries = {printable(entry["words"]): entry["own"] for entry in audit["shortcuts"]["baselines"]}
        known = {words: [key for key in (*metrics, "n") if key in entry] for words, entry in entries.items()}
        scores = {words: {key: float(entries[words][key]) for key in known[words]} for words in entries}
    except (KeyError, TypeError, ValueError):
        return {}
    whole = all(
        {"accuracy", "n"} <= values.keys() and np.isfinite(list(values.values())).all() for values in scores.values()
    )
    return scores if whole else {}


def _majority(runs: DataSetRuns) -> dict[str, dict[str, float]]:
    """Return what calling every test image by the larger class of the training split gives."""
    counts, positive = class_counts(runs.facts), str(runs.facts.get("positive_class"))
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

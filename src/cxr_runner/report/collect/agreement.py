"""Whether the files of a finished run agree: with their checksums, with each other and with what is possible.

Runs from before there were checksums are only asked for what is possible: nothing in them says what they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner import stats
from cxr_runner.artifacts.metrics import COUNTS
from cxr_runner.artifacts.rundir import CHANGED, Run, RunDir, differs, read_run
from cxr_runner.base.files import MOST_CSV, read_content
from cxr_runner.config.identity import device_type_of, run_id_of_dict
from cxr_runner.report.collect.histories import parse_history
from cxr_runner.report.collect.predictions import parse_predictions, subgroups_asked_for
from cxr_runner.report.collected_runs import ImageLogits

_SHARES = (
    *("accuracy", "accuracy_batch_mean", "precision", "recall", "specificity", "f1"),
    *("auroc", "auprc", "brier", "ece"),
)
_TOLERANCE = 1e-6  # torchmetrics divides in float32


@dataclass(frozen=True)
class ReadRun:
    """A run directory as read.

    Attributes:
        run: configuration, metrics, data; its state is ``altered`` where a file is not the recorded one.
        history: one row an epoch, of a run with checksums; None where it cannot be drawn, and of any other run.
        history_problem: why it cannot, '' where it can.
        predictions: predictions of a run with checksums; None where there are none, and of any other run.
    """

    run: Run
    history: pd.DataFrame | None = None
    history_problem: str = ""
    predictions: ImageLogits | None = None


class RunReader:
    """Reads run directories; of finished runs with checksums all that the report needs, so that each is opened once."""

    def __init__(self) -> None:
        """Begin with no images known."""
        self.images: pd.DataFrame | None = None  # of the run before; runs on the same ones share them in memory

    def read(self, path: Path) -> ReadRun:
        """Read a run directory; damaged files are read as empty ones, never as an error."""
        read = self._read(path)
        # Between two files, another process may have begun to train the run anew: its status says so by now.
        return self._read(path) if read.run.state == "altered" else read

    def _read(self, path: Path) -> ReadRun:
        run, files = read_run(path), RunDir(path)
        if not run.checksums or run.problem:
            return ReadRun(run)
        history, predictions = (read_content(file, MOST_CSV) for file in (files.history, files.predictions))
        for file, content in ((files.history, history), (files.predictions, predictions)):
            if differs(file.name, content, run.checksums):
                return ReadRun(replace(run, state="altered", problem=CHANGED.format(name=file.name)))
        read = ReadRun(run, predictions=None if predictions is None else self._parse(predictions, run))
        try:
            return replace(read, history=parse_history(BytesIO(history))) if history is not None else read
        except ValueError as error:
            return replace(read, history_problem=f"history.csv: {error}")

    def _parse(self, content: bytes, run: Run) -> ImageLogits | None:
        subgroups = subgroups_asked_for(run.config)
        try:
            table = parse_predictions(BytesIO(content), subgroups)
        except ValueError:
            return None
        images = table.drop(columns=["logit", "probability"], errors="ignore")
        if self.images is None or not images.equals(self.images):
            self.images = images
        kept = tuple(name for name in subgroups if name in table)
        return ImageLogits(self.images, table["logit"].to_numpy(np.float64), kept)


def find_disagreement(read: ReadRun) -> str:
    """Say what in the files of a finished run cannot be so, in one line; '' where all agrees.

    Args:
        read: run whose files are all there and of the right types.
    """
    run = read.run
    try:
        if (problem := _impossible(run.metrics)) or not run.checksums:
            return problem
        return _wrong_id(run) or (_wrong_metrics(run, read.predictions) if read.predictions is not None else "")
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"its files do not belong together ({error})"


def recompute(labels: NDArray[np.int64], logits: NDArray[np.float64], batch_size: int) -> dict[str, float]:
    """Return metrics and counts of a split as predictions give them, by their keys in ``metrics.json``.

    Args:
        labels: int [images], 0 or 1.
        logits: float [images].
        batch_size: batch size of the evaluation.

    Raises:
        ValueError: there is nothing to compute from.
    """
    if batch_size < 1 or not len(labels):
        raise ValueError("no images, or no batches")
    positive, truth = logits > 0, labels == 1
    right, starts = positive == truth, np.arange(0, len(labels), batch_size)
    means = np.add.reduceat(right, starts, dtype=np.float64) / np.diff([*starts, len(labels)])
    tp, called = int((positive & truth).sum()), int(positive.sum())
    tn = int((~positive & ~truth).sum())
    return {
        "accuracy": float(stats.accuracy(positive, labels)),
        "accuracy_batch_mean": float(means.mean()),
        "precision": tp / called if called else 0.0,
        "recall": float(stats.sensitivity(positive, labels)),
        "specificity": float(stats.specificity(positive, labels)),
        "f1": float(stats.f1(positive, labels)),
        "auroc": float(stats.auroc(logits, labels)),
        "tp": tp,
        "fp": called - tp,
        "fn": int(truth.sum()) - tp,
        "tn": tn,
        "n": len(labels),
    }


def _impossible(metrics: Mapping[str, Any]) -> str:
    """Say which metric or count of a split cannot be; '' where all can."""
    for split in ("val", "test"):
        values = metrics.get(split)
        if not isinstance(values, Mapping):
            continue
        for key in _SHARES:
            if _is_number(values.get(key)) and not 0 <= values[key] <= 1:
                return f"metrics.json: {split}.{key} is {values[key]:g}, not between 0 and 1"
        counts = {key: values[key] for key in COUNTS if isinstance(values.get(key), int)}
        if len(counts) < len(COUNTS):
            continue
        listed = ", ".join(f"{key} {value}" for key, value in counts.items())
        n = counts.pop("n")
        if min(counts.values()) < 0 or sum(counts.values()) != n or n == 0:
            return f"metrics.json: {split} has impossible counts: {listed}"
        accuracy = values.get("accuracy")
        if _is_number(accuracy) and not abs(accuracy - (counts["tp"] + counts["tn"]) / n) <= _TOLERANCE:
            return f"metrics.json: {split}.accuracy is {accuracy:g}, which contradicts its counts: {listed}"
    return ""


def _wrong_id(run: Run) -> str:
    if run.config["model"].get("weights"):
        return ""  # the id holds the digest of a file of initial weights, which need not be there any more
    device = device_type_of(run.metrics)
    expected = run_id_of_dict(run.config, run.data["fingerprint"], device, run.metrics["engine"], "")
    return "" if run.id == expected else f"its folder says id {run.id}, its configuration and data have {expected}"


def _wrong_metrics(run: Run, predictions: ImageLogits) -> str:
    splits = predictions.images["split"].to_numpy()
    labels = predictions.images["label"].to_numpy(np.int64)
    for split in ("val", "test"):
        of_split = splits == split
        given = recompute(labels[of_split], predictions.logits[of_split], run.config["batch_size"])
        for key, value in given.items():
            said = run.metrics[split].get(key)  # None of a metric that a run need not have
            if said is not None and not abs(said - value) <= _TOLERANCE:
                return f"metrics.json: {split}.{key} is {said:g}, predictions.csv gives {value:g}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

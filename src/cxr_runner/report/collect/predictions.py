"""Reads the predictions of runs, and numbers the images that they were tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.artifacts.levels import subgroup_names
from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import MOST_CSV, regular
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter
from cxr_runner.data.patients import find_patients
from cxr_runner.report.class_counts import class_counts
from cxr_runner.report.collected import NO_PREDICTIONS, DataSetRuns, Predictions, SplitLogits
from cxr_runner.report.collected_runs import CollectedRun, RunSplit

_IMAGE = ["split", "name", "label"]
_COLUMNS = (*_IMAGE, "patient", "logit", "probability")  # of every run; behind them stand those of subgroups


def add_predictions(runs: DataSetRuns, reporter: Reporter) -> DataSetRuns:
    """Return the same runs with the predictions of all of them that can be used."""
    pool = _Images()
    tables: dict[str, dict[RunSplit, list[tuple[CollectedRun, _Answers]]]] = {}
    problems = {}
    with reporter.steps("reading predictions", len(runs.runs)) as advance:
        for run in runs.runs.values():
            try:
                answers = pool.add(run)
            except (OSError, ValueError) as error:
                problems[run.path] = printable(f"predictions.csv: {getattr(error, 'strerror', None) or error}")
            else:
                tables.setdefault(run.configuration, {}).setdefault(run.split, []).append((run, answers))
            advance()
    if not tables:
        return replace(runs, predictions=replace(NO_PREDICTIONS, problems=problems))
    configurations = {
        name: tuple(_stack(split, splits[split]) for split in sorted(splits, key=lambda split: split.order))
        for name, splits in tables.items()
    }
    names, labels = tuple(pool.labels), np.array(list(pool.labels.values()), np.int64)
    patients = pool.patients(runs.data_config.get("patient_pattern"))
    return replace(runs, predictions=Predictions(names, labels, patients, configurations, problems))


class _Answers(NamedTuple):
    """What a run answers: labels and logits of val, rows and logits of test."""

    val_labels: NDArray[np.int64]
    val: NDArray[np.float64]
    test_rows: NDArray[np.int64]
    test: NDArray[np.float64]


class _Images:
    """The images that runs were tested on, numbered as they come."""

    def __init__(self) -> None:
        self.labels: dict[str, int] = {}  # in the order of their numbers
        self.noted: dict[str, str] = {}  # patients
        # By the fingerprint of a split: runs on one share its images.
        self._splits: dict[str, tuple[pd.DataFrame, _Answers]] = {}

    def add(self, run: CollectedRun) -> _Answers:
        """Read the predictions of a run.

        Raises:
            OSError: there are none.
            ValueError: they are not what is expected, or contradict those of the runs before.
        """
        images, logits = _read(run)
        fingerprint = run.split.fingerprint
        if fingerprint not in self._splits:
            self._splits[fingerprint] = images[_IMAGE], self._number(images)
        known, answers = self._splits[fingerprint]
        if images is not known and not images[_IMAGE].equals(known):
            raise ValueError("of other images than the runs before")
        self._note_patients(images[images["split"] == "test"])
        of_val = (images["split"] == "val").to_numpy()
        return answers._replace(val=logits[of_val], test=logits[~of_val])

    def patients(self, pattern: Any) -> tuple[str, ...] | None:
        """Return the patient of every image: as runs noted it, else as names tell; None if that is not known of all."""
        names = list(self.labels)
        if self.noted:
            noted = tuple(self.noted.get(name, "") for name in names)
            return noted if all(noted) else None
        if not isinstance(pattern, str):
            return None
        try:
            patients = find_patients(names, [""] * len(names), pattern)
        except UserError:
            return None
        return None if patients.problem or patients.strangers else patients.keys

    def _note_patients(self, test: pd.DataFrame) -> None:
        """Note the patients of a run, whether or not it is the first on its images: older runs noted none."""
        if "patient" in test:
            for name, patient in zip(test["name"], test["patient"], strict=True):
                self.noted[name] = self.noted.get(name) or patient

    def _number(self, images: pd.DataFrame) -> _Answers:
        _check_images(images)
        test = images[images["split"] == "test"]
        for name, label in zip(test["name"], test["label"], strict=True):
            if self.labels.setdefault(name, label) != label:
                raise ValueError("images have other labels than in the runs before")
        numbers = {name: number for number, name in enumerate(self.labels)}
        rows = np.array([numbers[name] for name in test["name"]], np.int64)
        val_labels = images["label"][images["split"] == "val"].to_numpy(np.int64)
        return _Answers(val_labels, np.zeros(0), rows, np.zeros(0))


def _stack(split: RunSplit, members: Sequence[tuple[CollectedRun, _Answers]]) -> SplitLogits:
    runs, answers = zip(*sorted(members, key=lambda member: member[0].seed), strict=True)
    return SplitLogits(
        split=split,
        num_train=_num_whole_train(runs[0].data),
        seeds=tuple(run.seed for run in runs),
        collapsed=np.array([bool(run.metrics["collapsed"]) for run in runs]),
        val_labels=answers[0].val_labels,
        val=np.stack([one.val for one in answers]),
        test_rows=answers[0].test_rows,
        test=np.stack([one.test for one in answers]),
    )


def _num_whole_train(data: Mapping[str, Any]) -> int:
    """Return how many images a run's split has to train on, though it may have been trained on a share of them."""
    split = data.get("split")
    whole = split.get("whole_train") if isinstance(split, Mapping) else None
    return whole if isinstance(whole, int) else sum(class_counts(data).get("train", {}).values())


def _read(run: CollectedRun) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Read the predictions of a run: its images, and a logit each."""
    if run.predictions is not None:  # read with the run, for its checksum
        images, logits = run.predictions.images, run.predictions.logits
    else:
        table = parse_predictions(regular(RunDir(run.directory).predictions, MOST_CSV))
        images = table.drop(columns=["logit", "probability"], errors="ignore")
        logits = table["logit"].to_numpy(np.float64)
    if not np.isfinite(logits).all():
        raise ValueError("logits that are no finite numbers")
    return images, logits


def _check_images(images: pd.DataFrame) -> None:
    if not all(isinstance(name, str) for name in images["name"]):
        raise ValueError("images without a name")
    if images[images["split"] == "test"]["name"].duplicated().any():
        raise ValueError("images that are listed twice")
    counts = images.groupby(["split", "label"]).size().to_dict()
    if counts.keys() != {(split, label) for split in ("val", "test") for label in (0, 1)} or min(counts.values()) < 2:
        raise ValueError("not two images of both classes in val and in test")


def parse_predictions(source: Path | BytesIO, subgroups: Sequence[str] = ()) -> pd.DataFrame:
    """Parse predictions, one row an image; columns that nobody asks for are passed over.

    Args:
        source: the file, or its content.
        subgroups: further columns to read, as text, if they are there.

    Raises:
        OSError: there are none.
        ValueError: they lack a column.
    """
    wanted = {*_COLUMNS, *subgroups}
    # A name such as NA is a name, and an empty patient is none.
    table = pd.read_csv(
        source,
        dtype=dict.fromkeys(["patient", *subgroups], "str"),
        keep_default_na=False,
        na_values={"logit": ["", "nan", "NaN"]},
        usecols=lambda name: name in wanted,
    )
    if not {*_IMAGE, "logit"} <= set(table) or not pd.api.types.is_numeric_dtype(table["logit"]):
        raise ValueError("no columns split, name, label and logit")
    return table


def subgroups_asked_for(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of subgroups that a run was asked to keep, each once, by its configuration as read."""
    data = config.get("data")
    names = subgroup_names(data.get("subgroups")) if isinstance(data, Mapping) else ()
    return tuple(name for name in dict.fromkeys(names) if name not in _COLUMNS)

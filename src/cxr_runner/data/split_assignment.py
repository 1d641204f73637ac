"""Which image goes into which split: as the data bring it, or as the configuration asks for."""

from typing import Any, NamedTuple, assert_never

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.config.data_schema import AnyDataConfig, Strategy, TableConfig
from cxr_runner.data.patients import Patients
from cxr_runner.data.sources import SPLITS
from cxr_runner.data.splits import split_by_patient, split_randomly


class Assignment(NamedTuple):
    """The splits of a data set.

    Attributes:
        splits: str [images], ``train``, ``val`` or ``test``.
        given_test: whether the test split is that of the data.
        notes: lines on what was made of the data without being asked for.
    """

    splits: NDArray[Any]
    given_test: bool
    notes: tuple[str, ...] = ()


def assign_splits(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, class_names: tuple[str, str]
) -> Assignment:
    """Assign every image to a split.

    Args:
        table: images, with columns ``name``, ``label`` and ``split`` ('' where the source brings none).
        patients: the patients of the same images.
        config: configuration of the data.
        class_names: names of labels 0 and 1.

    Raises:
        UserError: the splits that are asked for are not to be had, or a split lacks a class.
    """
    given = table["split"].to_numpy(str)
    present = [split for split in SPLITS if (given == split).any()]
    strategy = config.split.strategy or ("given" if present else _usual(table, config))
    if config.split.keep_test and "test" not in present:
        raise UserError.for_key("data.split.keep_test", True, "the data bring no test split")
    match strategy:
        case "given":
            assignment = _given(table, patients, config, present)
        case "random" | "patient":
            if strategy == "patient" and patients.problem:
                raise UserError.for_key("data.split.strategy", "patient", f"patients are not known: {patients.problem}")
            assignment = _made(table, patients, config, strategy, present)
        case _:
            assert_never(strategy)
    _check_classes(table, assignment.splits, class_names, config, bool(present))
    return assignment


def _usual(table: pd.DataFrame, config: AnyDataConfig) -> Strategy:
    """Return how images without splits are split: at random as in the study, those of a table with patients apart."""
    return "patient" if isinstance(config, TableConfig) and (table["patient"] != "").any() else "random"


def _given(table: pd.DataFrame, patients: Patients, config: AnyDataConfig, present: list[str]) -> Assignment:
    """Take the splits of the data; val is cut from train where only train and test are there."""
    given = table["split"].to_numpy(str)
    if not present or (given == "").any():
        valid = "the data bring no splits" if not present else "some images of the data are in no split"
        raise UserError.for_key("data.split.strategy", "given", f"{valid}; valid are random and patient")
    if present == list(SPLITS):
        return Assignment(given, True)
    if present != ["train", "test"]:
        listed = " and ".join(present)
        raise _of_splits(config, f"the data bring {listed} only: train and test are needed, val is cut from train then")
    return _cut(table, patients, config, apart=not patients.problem, where=given == "train")


def _made(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, strategy: Strategy, present: list[str]
) -> Assignment:
    """Make splits, whatever the data bring; the test split stays where that is asked for."""
    given, by_patient = table["split"].to_numpy(str), strategy == "patient"
    if config.split.keep_test:
        return _cut(table, patients, config, apart=by_patient, where=given != "test")
    labels = table["label"].to_numpy(np.int64)
    splits = (
        split_by_patient(labels, patients.keys, config.split.seed)
        if by_patient
        else split_randomly(labels, config.split.seed)
    )
    if not present:
        unasked = by_patient and config.split.strategy is None
        return Assignment(
            splits, False, ("split by patient (data.split.strategy=random is by image)",) if unasked else ()
        )
    sizes = ", ".join(f"{split} {int((given == split).sum()):,}" for split in present)
    ways_out = (
        "data.split.keep_test=true keeps its test split" if "test" in present else "data.split.strategy=null keeps them"
    )
    return Assignment(splits, False, (f"the splits of the data ({sizes}) are dissolved; {ways_out}",))


def _cut(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, *, apart: bool, where: NDArray[np.bool_]
) -> Assignment:
    """Divide some images into train and val; the others are test."""
    labels, share = table["label"].to_numpy(np.int64)[where], config.split.val_share
    shares = {"train": 1 - share, "val": share}
    keys = np.asarray(patients.keys, dtype=object)[where]
    splits = np.full(len(table), "test", dtype="<U5")
    splits[where] = (
        split_by_patient(labels, keys.tolist(), config.split.seed, shares)
        if apart
        else split_randomly(labels, config.split.seed, shares)
    )
    how = "patients apart" if apart else "at random"
    note = f"val is {share:.1%} of what is not test, {how} (data.split.val_share); the test split is that of the data"
    return Assignment(splits, True, (note,))


def _of_splits(config: AnyDataConfig, valid: str) -> UserError:
    """Return an error about the splits of the data, for somebody who may not have asked for any."""
    remedy = "data.split.strategy=random makes splits instead"
    if config.split.strategy is not None:
        return UserError.for_key("data.split.strategy", config.split.strategy, f"{valid}; random makes splits instead")
    return UserError.for_key("data", config.name, f"{valid}; {remedy}")


def _check_classes(
    table: pd.DataFrame,
    splits: NDArray[Any],
    class_names: tuple[str, str],
    config: AnyDataConfig,
    has_splits: bool,
) -> None:
    """Refuse splits of which one has no image of a class."""
    labels = table["label"].to_numpy(np.int64)
    lacking = [
        f"{split} has no {name}"
        for split in SPLITS
        for label, name in enumerate(class_names)
        if not ((splits == split) & (labels == label)).any()
    ]
    if not lacking:
        return
    valid = f"{', '.join(lacking)} images"
    if config.split.strategy in ("random", "patient") or not has_splits:
        raise UserError.for_key("data.split.strategy", config.split.strategy or "random", f"{valid}; more are needed")
    raise _of_splits(config, valid)

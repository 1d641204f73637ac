"""Which image goes into which split: as the data bring it, or as the configuration asks for."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.config.data_schema import AnyDataConfig, SplitConfig, Strategy, TableConfig
from cxr_runner.data.folds import draw_folds
from cxr_runner.data.patients import Patients
from cxr_runner.data.sources import SPLITS
from cxr_runner.data.splits import split_by_patient, split_randomly

Rotates = Literal["nothing", "train and val", "train, val and test", "val", "test"]


class Assignment(NamedTuple):
    """The splits of a data set.

    Attributes:
        splits: str [images], ``train``, ``val`` or ``test``.
        strategy: how images were assigned, where that was left open too.
        given_test: whether the test split is that of the data.
        rotates: what another seed of the split draws anew; with folds, the split that each fold is in its turn.
        notes: lines on what was made of the data without being asked for.
    """

    splits: NDArray[Any]
    strategy: Strategy
    given_test: bool
    rotates: Rotates
    notes: tuple[str, ...] = ()

    def describe(self, split: SplitConfig) -> dict[str, Any]:
        """Return how the splits were made, ready for JSON.

        Args:
            split: configuration of the splits.
        """
        return {
            "strategy": self.strategy,
            "seed": split.seed,
            "folds": split.folds,
            "fold": split.fold if isinstance(split.fold, int) else None,
            "val_share": split.val_share,
            "rotates": self.rotates,
            "given_test": self.given_test,
        }


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
    strategy = config.split.strategy or _usual(table, patients, config, present)
    if config.split.keep_test and "test" not in present:
        raise UserError.for_key("data.split.keep_test", True, "the data bring no test split")
    if strategy == "patient" and patients.problem:
        raise UserError.for_key("data.split.strategy", "patient", f"patients are not known: {patients.problem}")
    if config.split.folds is not None:
        assignment = _folded(table, patients, config, strategy, present, class_names)
    elif strategy == "given":
        assignment = _given(table, patients, config, present)
    else:
        assignment = _made(table, patients, config, strategy, present)
    _check_classes(table, assignment.splits, class_names, config, bool(present))
    return assignment


def _usual(table: pd.DataFrame, patients: Patients, config: AnyDataConfig, present: list[str]) -> Strategy:
    """Return how images are split of which that is not said.

    Splits of the data are kept; else it is at random as in the study, of a table with patients apart. Folds are drawn
    with patients apart wherever these are known.
    """
    if config.split.folds is not None:
        return "random" if patients.problem else "patient"
    if present:
        return "given"
    return "patient" if isinstance(config, TableConfig) and (table["patient"] != "").any() else "random"


def _folded(
    table: pd.DataFrame,
    patients: Patients,
    config: AnyDataConfig,
    strategy: Strategy,
    present: list[str],
    class_names: tuple[str, str],
) -> Assignment:
    """Make one fold test and cut val from the rest; where the test split of the data stays, make the fold val."""
    split, given = config.split, table["split"].to_numpy(str)
    assert split.folds is not None
    assert isinstance(split.fold, int), "a configuration of several folds was not expanded"
    by_patient = strategy == "patient"
    given_test = "test" in present and split.keep_test is not False
    divided = given != "test" if given_test else np.ones(len(table), dtype=bool)
    labels = table["label"].to_numpy(np.int64)[divided]
    keys = np.asarray(patients.keys, dtype=object)[divided].tolist() if by_patient else None
    in_fold = np.zeros(len(table), dtype=bool)
    in_fold[divided] = draw_folds(labels, keys, split.folds, split.seed, class_names) == split.fold
    notes = _on_strategy_of_folds(patients, config, by_patient)
    if given_test:
        splits = np.full(len(table), "test", dtype="<U5")
        splits[divided] = np.where(in_fold[divided], "val", "train")
        notes += [f"{_sizes(given, present)} of the data: test is kept (data.split.keep_test), the rest is in folds"]
        return Assignment(splits, strategy, True, "val", tuple(notes))
    splits = _cut(table, patients, config, apart=by_patient, where=~in_fold)
    notes += [f"val is {split.val_share:.1%} of what is not test, {_how(by_patient)} (data.split.val_share)"]
    notes += _on_dissolved(given, present, "")
    return Assignment(splits, strategy, False, "test", tuple(notes))


def _on_strategy_of_folds(patients: Patients, config: AnyDataConfig, by_patient: bool) -> list[str]:
    if config.split.strategy is not None:
        return []
    if by_patient:
        return ["folds keep patients apart (data.split.strategy=random is by image)"]
    return [f"folds are by image, patients are not known: {patients.problem}"]


def _given(table: pd.DataFrame, patients: Patients, config: AnyDataConfig, present: list[str]) -> Assignment:
    """Take the splits of the data; val is cut from train where only train and test are there."""
    given = table["split"].to_numpy(str)
    if not present or (given == "").any():
        valid = "the data bring no splits" if not present else "some images of the data are in no split"
        raise UserError.for_key("data.split.strategy", "given", f"{valid}; valid are random and patient")
    if present == list(SPLITS):
        seed = config.split.seed  # said, because several seeds may have been asked for, which make one and the same run
        unused = f"data.split.seed={seed} changes nothing: train, val and test are those of the data"
        return Assignment(given, "given", True, "nothing", (unused,) if seed else ())
    if present != ["train", "test"]:
        listed = " and ".join(present)
        raise _of_splits(config, f"the data bring {listed} only: train and test are needed, val is cut from train then")
    apart = not patients.problem
    splits = _cut(table, patients, config, apart=apart, where=given == "train")
    return Assignment(splits, "given", True, "train and val", (_on_cut(config, apart),))


def _made(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, strategy: Strategy, present: list[str]
) -> Assignment:
    """Make splits, whatever the data bring; the test split stays where that is asked for."""
    given, by_patient = table["split"].to_numpy(str), strategy == "patient"
    if config.split.keep_test:
        splits = _cut(table, patients, config, apart=by_patient, where=given != "test")
        return Assignment(splits, strategy, True, "train and val", (_on_cut(config, by_patient),))
    labels = table["label"].to_numpy(np.int64)
    splits = (
        split_by_patient(labels, patients.keys, config.split.seed)
        if by_patient
        else split_randomly(labels, config.split.seed)
    )
    unasked = by_patient and config.split.strategy is None
    notes = ["split by patient (data.split.strategy=random is by image)"] if unasked else _on_dissolved(given, present)
    return Assignment(splits, strategy, False, "train, val and test", tuple(notes))


def _cut(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, *, apart: bool, where: NDArray[np.bool_]
) -> NDArray[np.str_]:
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
    return splits


def _on_cut(config: AnyDataConfig, apart: bool) -> str:
    share = f"val is {config.split.val_share:.1%} of what is not test, {_how(apart)} (data.split.val_share)"
    return f"{share}; the test split is that of the data"


def _on_dissolved(
    given: NDArray[np.str_], present: list[str], otherwise: str = "data.split.strategy=null keeps them"
) -> list[str]:
    """Say that splits of the data are dissolved, if there are any, and how they would stay."""
    if not present:
        return []
    way_out = "data.split.keep_test=true keeps its test split" if "test" in present else otherwise
    return ["; ".join(filter(None, [f"the splits of the data ({_sizes(given, present)}) are dissolved", way_out]))]


def _sizes(given: NDArray[np.str_], present: list[str]) -> str:
    return ", ".join(f"{split} {int((given == split).sum()):,}" for split in present)


def _how(apart: bool) -> str:
    return "patients apart" if apart else "at random"


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
    if config.split.folds is not None:
        raise UserError.for_key("data.split.folds", config.split.folds, f"{valid}; more are needed")
    if config.split.strategy in ("random", "patient") or not has_splits:
        raise UserError.for_key("data.split.strategy", config.split.strategy or "random", f"{valid}; more are needed")
    raise _of_splits(config, valid)

"""Patients: who they are by the names of the images, and whether they are in train and test alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.splits import patient_keys, split_by_patient, split_randomly

ALONE, WITH_KIND = "patient alone", "patient and kind"

NUM_SPLITS = 10  # random ones, whose overlaps are averaged


@dataclass(frozen=True)
class Overlap:
    """How many images of a split are of a patient of the training split, by one way of telling patients apart.

    Attributes:
        key: ``patient alone`` or ``patient and kind`` (``person1_bacteria`` and ``person1_virus`` kept apart).
        num_patients: by this key.
        most_images: of one patient.
        test: share of the test images whose patient is in train.
        val: the same for val.
        random: the share for test, for random splits with the seeds 0 to 9: mean, lowest, highest.
        grouped: the share for test under ``data.split.strategy=patient``, which keeps patients apart by the first key.
    """

    key: str
    num_patients: int
    most_images: int
    test: float
    val: float
    random: tuple[float, float, float]
    grouped: float


@dataclass(frozen=True)
class Patients:
    """What is known of the patients.

    Attributes:
        unknown: why nothing is, '' where something is.
        overlaps: one for every way of telling patients apart; none where they are unknown.
        in_both_classes: patients with images in both classes, by the first key.
    """

    unknown: str
    overlaps: tuple[Overlap, ...] = ()
    in_both_classes: int = 0


def find_patients(dataset: Dataset, pattern: str, seed: int) -> Patients:
    """Read the patients from the names and see where they are.

    Args:
        dataset: the images and their splits.
        pattern: ``data.patient_pattern``.
        seed: of the split by patient.
    """
    table = dataset.table
    names, labels = table["name"].tolist(), table["label"].to_numpy(np.int64)
    try:
        alone = patient_keys(names, pattern)
    except UserError as error:
        return Patients(unknown=str(error))
    with_kind = keys_with_kind(names, alone, pattern)
    grouped = split_by_patient(labels, alone, seed)
    assigned = table["split"].to_numpy(str)
    keys = {ALONE: alone} | ({WITH_KIND: with_kind} if with_kind != alone else {})
    overlaps = []
    for name, patients in keys.items():
        chance = [shared(split_randomly(labels, s), patients, "test") for s in range(NUM_SPLITS)]
        sizes = pd.Series(patients).value_counts()
        spread = (float(np.mean(chance)), min(chance), max(chance))
        test, val = (shared(assigned, patients, split) for split in ("test", "val"))
        after = shared(grouped, patients, "test")
        overlaps.append(Overlap(name, len(sizes), int(sizes.max()), test, val, spread, after))
    both = pd.DataFrame({"patient": alone, "label": labels}).groupby("patient")["label"].nunique()
    return Patients("", tuple(overlaps), int((both > 1).sum()))


def keys_with_kind(names: Sequence[str], patients: Sequence[str], pattern: str) -> list[str]:
    """Append to every patient the word that follows in the name: ``person1`` becomes ``person1_bacteria``.

    Args:
        names: of images, each of which the pattern fits.
        patients: as read from them.
        pattern: ``data.patient_pattern``.
    """
    keys = []
    for name, patient in zip(names, patients, strict=True):
        file = name.rsplit("/", 1)[-1]
        found = re.search(pattern, file)
        kind = re.match(r"_[A-Za-z]+(?=[_.-])", file[found.end() :]) if found else None
        keys.append(patient + (kind[0] if kind else ""))
    return keys


def shared(assigned: NDArray[np.str_], patients: Sequence[str], split: str) -> float:
    """Return the share of the images of a split whose patient is in train."""
    owners = np.asarray(patients, dtype=object)
    mine = owners[assigned == split]
    return float(np.isin(mine.astype(str), owners[assigned == "train"].astype(str)).mean()) if len(mine) else 0.0

"""Patients: whether train and test share any, by two definitions of a patient."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.splits import check_patients, split_by_patient, split_randomly

ALONE, WITH_KIND = "patient alone", "patient and kind"

NUM_SPLITS = 10  # random splits, whose overlaps are averaged


@dataclass(frozen=True)
class Overlap:
    """Share of the images of a split whose patient is in the training split, for one definition of a patient.

    Attributes:
        key: definition of a patient: ``patient alone`` or ``patient and kind`` (``person1_bacteria`` and
            ``person1_virus`` are two patients).
        num_patients: number of patients by this definition.
        most_images: largest number of images of one patient.
        test: share of the test images whose patient is in train.
        val: the same for val.
        random: the share for test over random splits with the seeds 0 to 9: mean, lowest, highest.
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
        unknown: why patients are unknown; '' where they are known.
        overlaps: one entry for each definition of a patient; empty where patients are unknown.
        in_both_classes: number of patients with images in both classes, by the first definition.
    """

    unknown: str
    overlaps: tuple[Overlap, ...] = ()
    in_both_classes: int = 0


def find_patients(dataset: Dataset, pattern: str, seed: int) -> Patients:
    """Measure how far splits share patients.

    Args:
        dataset: images, their patients and their splits.
        pattern: ``data.patient_pattern``.
        seed: seed of the split by patient.
    """
    table = dataset.table
    labels = table["label"].to_numpy(np.int64)
    names, alone = table["name"].tolist(), table["patient"].tolist()
    try:
        check_patients(names, alone, pattern)
    except UserError as error:
        return Patients(unknown=str(error))
    with_kind = keys_with_kind(names, alone, pattern)
    grouped = split_by_patient(labels, alone, seed)
    assigned = table["split"].to_numpy(str)
    random = [split_randomly(labels, random_seed) for random_seed in range(NUM_SPLITS)]
    keys = {ALONE: alone} | ({WITH_KIND: with_kind} if with_kind != alone else {})
    overlaps = tuple(_overlap(key, patients, assigned, random, grouped) for key, patients in keys.items())
    both = pd.DataFrame({"patient": alone, "label": labels}).groupby("patient")["label"].nunique()
    return Patients("", overlaps, int((both > 1).sum()))


def _overlap(
    key: str,
    patients: Sequence[str],
    assigned: NDArray[np.str_],
    random: Sequence[NDArray[np.str_]],
    grouped: NDArray[np.str_],
) -> Overlap:
    """Return the overlap for one definition of a patient, on the splits as assigned, at random and by patient."""
    images = pd.Series(patients).value_counts()
    chance = [shared(split, patients, "test") for split in random]
    return Overlap(
        key=key,
        num_patients=len(images),
        most_images=int(images.max()),
        test=shared(assigned, patients, "test"),
        val=shared(assigned, patients, "val"),
        random=(float(np.mean(chance)), min(chance), max(chance)),
        grouped=shared(grouped, patients, "test"),
    )


def keys_with_kind(names: Sequence[str], patients: Sequence[str], pattern: str) -> list[str]:
    """Append to every patient the word that follows in the name: ``person1`` becomes ``person1_bacteria``.

    Args:
        names: names of images; one that the pattern does not match gives no word.
        patients: patients of the images.
        pattern: ``data.patient_pattern``.
    """
    keys = []
    for name, patient in zip(names, patients, strict=True):
        file = name.rsplit("/", 1)[-1]
        match = re.search(pattern, file)
        kind = re.match(r"_[A-Za-z]+(?=[_.-])", file[match.end() :]) if match else None
        keys.append(patient + (kind[0] if kind else ""))
    return keys


def shared(assigned: NDArray[np.str_], patients: Sequence[str], split: str) -> float:
    """Return the share of the images of a split whose patient is in train; 0 for an empty split.

    Args:
        assigned: str [images], split of each image.
        patients: patient of each image.
        split: ``val`` or ``test``.
    """
    of_image = np.asarray(patients, dtype=object)
    in_split, in_train = (of_image[assigned == name].astype(str) for name in (split, "train"))
    return float(np.isin(in_split, in_train).mean()) if len(in_split) else 0.0

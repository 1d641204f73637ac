"""Patients: whether train and test share any, by two definitions of a patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.data.dataset import Dataset
from cxr_runner.data.quality.shared_patients import share_shared
from cxr_runner.data.splits import split_by_patient, split_randomly

NUM_SPLITS = 10  # random splits, whose overlaps are averaged


@dataclass(frozen=True)
class Overlap:
    """Share of the images of a split whose patient is in the training split, for one definition of a patient.

    Attributes:
        key: what a patient is known by, as ``patient``, or ``number and kind`` (``person1_bacteria`` and
            ``person1_virus`` are two patients) and ``number alone``.
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
class Overlaps:
    """How far splits share patients.

    Attributes:
        unknown: why patients are unknown; '' where they are known.
        overlaps: one entry for each definition of a patient; empty where patients are unknown.
        in_both_classes: number of patients with images in both classes, by the first definition.
        origin: where the patients are known from.
    """

    unknown: str
    overlaps: tuple[Overlap, ...] = ()
    in_both_classes: int = 0
    origin: str = ""


def find_overlaps(dataset: Dataset, seed: int) -> Overlaps:
    """Measure how far splits share patients.

    Args:
        dataset: images, their patients and their splits.
        seed: seed of the split by patient.
    """
    patients, table = dataset.known_patients, dataset.table
    if patients.problem:
        return Overlaps(unknown=patients.problem)
    labels, keys = table["label"].to_numpy(np.int64), list(patients.keys)
    grouped = split_by_patient(labels, keys, seed)
    assigned = table["split"].to_numpy(str)
    random = [split_randomly(labels, random_seed) for random_seed in range(NUM_SPLITS)]
    definitions = {patients.key: keys} | ({patients.coarser_key: list(patients.coarser)} if patients.coarser else {})
    overlaps = tuple(_overlap(key, of, assigned, random, grouped) for key, of in definitions.items())
    both = pd.DataFrame({"patient": keys, "label": labels}).groupby("patient")["label"].nunique()
    return Overlaps("", overlaps, int((both > 1).sum()), patients.said())


def _overlap(
    key: str,
    patients: Sequence[str],
    assigned: NDArray[np.str_],
    random: Sequence[NDArray[np.str_]],
    grouped: NDArray[np.str_],
) -> Overlap:
    """Return the overlap for one definition of a patient, on the splits as assigned, at random and by patient."""
    images = pd.Series(patients).value_counts()
    chance = [share_shared(split, patients, "test") for split in random]
    return Overlap(
        key=key,
        num_patients=len(images),
        most_images=int(images.max()),
        test=share_shared(assigned, patients, "test"),
        val=share_shared(assigned, patients, "val"),
        random=(float(np.mean(chance)), min(chance), max(chance)),
        grouped=share_shared(grouped, patients, "test"),
    )

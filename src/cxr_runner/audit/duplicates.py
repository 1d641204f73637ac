"""Images that occur more than once: identical files, identical pixels, and near-duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.audit.images import AuditedData
from cxr_runner.data.quality.near_duplicates import THRESHOLD, near_pairs


@dataclass(frozen=True)
class Group:
    """Identical images.

    Attributes:
        names: names of all of them.
        files: whether the encoded files are identical too, or only the pixels.
        labels: their classes, each once.
    """

    names: tuple[str, ...]
    files: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two images whose perceptual hashes differ little.

    Attributes:
        names: names of both.
        rows: rows of both in the store.
        distance: number of the 256 bits that differ.
        splits: splits of both.
        labels: classes of both.
    """

    names: tuple[str, str]
    rows: tuple[int, int]
    distance: int
    splits: tuple[str, str]
    labels: tuple[str, str]


@dataclass(frozen=True)
class Duplicates:
    """Identical images and near-duplicates of a data set.

    Attributes:
        groups: groups of identical images.
        num_extra: number of images that go if one of every group stays.
        num_near: number of near-duplicate pairs.
        num_crossing: number of these pairs that lie in different splits.
        near: the closest near-duplicates, at most 1,000.
        nearest: the closest pair of images where there are no near-duplicates; shown, not counted.
        threshold: number of bits in which near-duplicates may differ.
    """

    groups: tuple[Group, ...]
    num_extra: int
    num_near: int
    num_crossing: int
    near: tuple[Pair, ...]
    nearest: Pair | None
    threshold: int = THRESHOLD


def collect_duplicates(audited: AuditedData, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> Duplicates:
    """Return the identical images among all readable ones, and the near-duplicates among those that a run sees.

    Args:
        audited: the opened data set.
        rows: int64 [images], rows of the store that a run sees.
        hashes: uint64 [images, 4], their perceptual hashes.
    """
    groups = exact_groups(audited.readable, audited.class_names)
    table = audited.readable.loc[rows, ["name", "split", "label"]]
    near = near_pairs(hashes, table["split"].to_numpy(str))
    pairs = tuple(_pair(table, one, other, distance, audited.class_names) for one, other, distance in near.closest)
    nearest = _pair(table, *near.nearest, audited.class_names) if near.nearest and not pairs else None
    num_extra = sum(len(group.names) - 1 for group in groups)
    return Duplicates(tuple(groups), num_extra, near.num_pairs, near.num_crossing, pairs, nearest)


def exact_groups(table: pd.DataFrame, class_names: Sequence[str]) -> list[Group]:
    """Return the groups of identical images.

    Args:
        table: images, with columns ``name``, ``label``, ``digest`` and ``pixels``.
        class_names: names of labels 0 and 1.
    """
    repeated = table[table.duplicated("pixels", keep=False)]
    return [
        Group(
            names=tuple(group["name"]),
            files=group["digest"].nunique() == 1 and group["digest"].iloc[0] != "",
            labels=tuple(class_names[label] for label in sorted(set(group["label"]))),
        )
        for _, group in repeated.groupby("pixels", sort=False)
    ]


def _pair(table: pd.DataFrame, one: int, other: int, distance: int, class_names: tuple[str, str]) -> Pair:
    first, second = table.iloc[one], table.iloc[other]
    return Pair(
        names=(str(first["name"]), str(second["name"])),
        rows=(int(table.index[one]), int(table.index[other])),
        distance=distance,
        splits=(str(first["split"]), str(second["split"])),
        labels=(class_names[first["label"]], class_names[second["label"]]),
    )

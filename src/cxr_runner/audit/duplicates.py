"""Images that are there more than once: identical files, identical pixels, and pictures that nearly are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.audit.images import Material

THRESHOLD = 24  # of 256 bits; see find_near_duplicates
_ROWS_AT_ONCE = 128
_MOST_PAIRS = 1000  # that are kept; the count says how many there are


@dataclass(frozen=True)
class Group:
    """Identical images.

    Attributes:
        names: of all of them.
        files: whether the encoded files are identical too, or only the pixels.
        labels: the classes that they are in, each once.
    """

    names: tuple[str, ...]
    files: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two images whose perceptual hashes differ little.

    Attributes:
        names: of both.
        rows: of both, in the store.
        distance: how many of 256 bits differ.
        splits: of both.
        labels: of both.
    """

    names: tuple[str, str]
    rows: tuple[int, int]
    distance: int
    splits: tuple[str, str]
    labels: tuple[str, str]


@dataclass(frozen=True)
class Duplicates:
    """All that was found.

    Attributes:
        groups: of identical images.
        num_extra: how many images would go if one of every group stayed.
        num_near: how many pairs nearly are.
        num_crossing: how many of these lie in different splits.
        near: the closest of them, at most 1,000.
        nearest: the closest pair of all, where there are no near-duplicates; to be seen, not to be counted.
        threshold: how many bits near-duplicates may differ in.
    """

    groups: tuple[Group, ...]
    num_extra: int
    num_near: int
    num_crossing: int
    near: tuple[Pair, ...]
    nearest: Pair | None
    threshold: int = THRESHOLD


def find_duplicates(material: Material, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> Duplicates:
    """Find identical images among all that can be read, and near-duplicates among those that are left.

    Args:
        material: the images.
        rows: of the store, those that a run sees.
        hashes: uint64 [rows, 4], their perceptual hashes.
    """
    groups = exact_groups(material.readable, material.class_names)
    table = material.readable.loc[rows, ["name", "split", "label"]]
    near = near_pairs(hashes, table["split"].to_numpy(str))
    pairs = tuple(_pair(table, one, other, distance, material.class_names) for one, other, distance in near.closest)
    nearest = _pair(table, *near.nearest, material.class_names) if near.nearest and not pairs else None
    num_extra = sum(len(group.names) - 1 for group in groups)
    return Duplicates(tuple(groups), num_extra, near.num_pairs, near.num_crossing, pairs, nearest)


def exact_groups(table: pd.DataFrame, class_names: Sequence[str]) -> list[Group]:
    """Return the groups of identical images.

    Args:
        table: with columns ``name``, ``label``, ``digest`` and ``pixels``.
        class_names: of labels 0 and 1.
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


class NearPairs(NamedTuple):
    """Pairs of hashes that are near each other, each with its distance in bits.

    Attributes:
        num_pairs: of them all.
        num_crossing: how many of them lie in different splits.
        closest: those that are kept.
        nearest: the closest two hashes of all; None for fewer than two.
    """

    num_pairs: int
    num_crossing: int
    closest: list[tuple[int, int, int]]
    nearest: tuple[int, int, int] | None


def near_pairs(hashes: NDArray[np.uint64], splits: NDArray[np.str_], threshold: int = THRESHOLD) -> NearPairs:
    """Compare all hashes with each other.

    The threshold was set on 60 images of the study's data: encoded anew (JPEG, quality 30), halved in size, made
    brighter by a fifth or flatter in contrast, an image keeps all but 14 of the 256 bits; cropped by 1 % on each side
    all but 26. Different images of the data differ in at least 36.

    Args:
        hashes: uint64 [images, words].
        splits: of the images.
        threshold: how many bits may differ.
    """
    count, num_crossing, nearest = 0, 0, None
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(hashes) - 1, _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE, None]
        distances = np.bitwise_count(block ^ hashes[None, start:]).sum(axis=2, dtype=np.int64)
        distances[np.tril_indices(len(block), 0, distances.shape[1])] = 10**6  # each pair once, none with itself
        one, other = np.unravel_index(distances.argmin(), distances.shape)
        least = int(distances[one, other])
        if nearest is None or least < nearest[2]:
            nearest = (start + int(one), start + int(other), least)
        near = np.argwhere(distances <= threshold)
        count += len(near)
        num_crossing += int((splits[start + near[:, 0]] != splits[start + near[:, 1]]).sum())
        found += [(start + int(one), start + int(other), int(distances[one, other])) for one, other in near]
        found = sorted(found, key=lambda pair: pair[2])[:_MOST_PAIRS]
    return NearPairs(count, num_crossing, found, nearest)


def _pair(table: pd.DataFrame, one: int, other: int, distance: int, class_names: tuple[str, str]) -> Pair:
    first, second = table.iloc[one], table.iloc[other]
    return Pair(
        names=(str(first["name"]), str(second["name"])),
        rows=(int(table.index[one]), int(table.index[other])),
        distance=distance,
        splits=(str(first["split"]), str(second["split"])),
        labels=(class_names[first["label"]], class_names[second["label"]]),
    )

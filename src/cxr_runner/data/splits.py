"""Splits into train, val and test, at random or by patient; exact duplicates."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}  # of all images, as in the study
_KEEP_FIRST = {"test": 0, "val": 1, "train": 2}


def find_duplicates(table: pd.DataFrame, *, drop_conflicts: bool = False) -> pd.DataFrame:
    """List the images that repeat another one: same encoded bytes or same decoded pixels.

    One image of every group of equal ones is kept: one of the test split before one of val before one of train, so
    that a given test set stays whole and training never sees it; within a split, the first.

    Args:
        table: images, with columns ``name``, ``label``, ``split``, ``digest`` and ``pixels``.
        drop_conflicts: whether all images of a group go whose labels differ.

    Returns:
        One row for every image to drop, indexed as ``table``: ``name`` and ``same_as``, the name of the one kept; of a
        group whose labels differ, that of the one that would have been.

    Raises:
        UserError: equal images carry different labels, and these are not to be dropped.
    """
    # Equal bytes decode to equal pixels, so the pixels decide; the digest of bytes is there for provenance.
    order = table["split"].map(_KEEP_FIRST).fillna(0).sort_values(kind="stable").index
    first = table.loc[order].drop_duplicates("pixels").set_index("pixels")
    kept = first.loc[table["pixels"]]
    same_as = pd.Series(kept["name"].to_numpy(), index=table.index)
    conflicts = table["name"][table["label"].to_numpy() != kept["label"].to_numpy()]
    if len(conflicts) and not drop_conflicts:
        pairs = [f"{name} = {same_as[i]}" for i, name in conflicts.items()]
        valid = f"cannot tell which label is right where the same image is in both classes: {list_few(pairs)}"
        raise UserError.for_key("data.duplicates", "drop", f"{valid}; drop_conflicts leaves all of them out")
    disputed = table["pixels"].isin(table["pixels"][conflicts.index])
    extra = same_as[(same_as != table["name"]) | disputed]
    return pd.DataFrame({"name": table["name"][extra.index], "same_as": extra})


def split_randomly(
    labels: NDArray[np.int64], seed: int, shares: Mapping[str, float] = MappingProxyType(SHARES)
) -> NDArray[np.str_]:
    """Split images at random, each class in the same proportions, as in the study.

    Args:
        labels: int array of shape (images,), 0 or 1.
        seed: seed of the split.
        shares: the splits, each with its share of the images.

    Returns:
        String array of shape (images,): names of splits; of the study's, 5,824 images give 4,077, 1,165 and 582.
    """
    rng = np.random.default_rng([seed, 1])
    sizes = np.array([(labels == label).sum() for label in (0, 1)])
    fractions = np.array(list(shares.values()))
    # Where the splits end, in all and in each class. Rounding these ends and not the sizes of the splits keeps the
    # total of each split exact and leaves no class without its share of a small one.
    ends = np.cumsum(_apportion(fractions * len(labels), len(labels)))
    class_ends = np.array(
        [_apportion(share * sizes, end) for share, end in zip(np.cumsum(fractions), ends, strict=True)]
    )
    assigned = np.zeros(len(labels), dtype=np.int64)
    for label in (0, 1):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        assigned[shuffled] = np.searchsorted(class_ends[:, label], np.arange(len(shuffled)), side="right")
    _give_each_class(assigned, labels, np.arange(len(labels)), len(shares))
    return np.array(list(shares))[assigned]


def split_by_patient(
    labels: NDArray[np.int64],
    patients: Sequence[str],
    seed: int,
    shares: Mapping[str, float] = MappingProxyType(SHARES),
) -> NDArray[np.str_]:
    """Split so that no patient is in two splits, each class as near to the same proportions as patients allow.

    Patients are taken in random order, those with many images first, because the small ones still fit when the splits
    are nearly full. Each goes to the split that its classes are missing from most.

    Args:
        labels: int array of shape (images,), 0 or 1.
        patients: patient of every image.
        seed: seed of the split.
        shares: the splits, each with its share of the images.

    Returns:
        String array of shape (images,): names of splits.
    """
    codes, _ = pd.factorize(np.asarray(patients, dtype=object))
    num_patients = int(codes.max()) + 1
    counts = np.zeros((num_patients, 2))
    np.add.at(counts, (codes, labels), 1)
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(num_patients)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    missing = np.outer(list(shares.values()), counts.sum(axis=0))
    wanted = np.maximum(missing.copy(), 1e-9)  # a class may have no images at all
    chosen = np.zeros(num_patients, dtype=np.int64)
    for patient in order:
        chosen[patient] = np.argmax((missing / wanted) @ counts[patient])
        missing[chosen[patient]] -= counts[patient]
    assigned = chosen[codes]
    _give_each_class(assigned, labels, codes, len(shares))
    return np.array(list(shares))[assigned]


def _give_each_class(
    assigned: NDArray[np.int64], labels: NDArray[np.int64], groups: NDArray[np.int64], num_splits: int
) -> None:
    """Move whole groups of images so that each split has images of both classes, where there are enough groups.

    Args:
        assigned: int [images], split of each image; changed in place.
        labels: int [images], 0 or 1.
        groups: int [images], patient of each image, or whatever else must stay together.
        num_splits: number of splits.
    """

    def of(split: int, label: int) -> NDArray[np.int64]:
        return np.unique(groups[(assigned == split) & (labels == label)])

    for split in range(num_splits):
        for label in (0, 1):
            if len(of(split, label)):
                continue
            for donor in sorted(range(num_splits), key=lambda one: -len(of(one, label))):
                if len(of(donor, label)) < 2:
                    break
                keeps = of(donor, 1 - label)
                # A group with images of both classes may be the last one of the other class there.
                movable = [one for one in of(donor, label) if len(keeps) != 1 or one not in keeps]
                if movable:
                    smallest = min(movable, key=lambda one: int((groups == one).sum()))
                    assigned[groups == smallest] = split
                    break


def _apportion(quotas: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Round quotas to whole numbers that add up to ``total`` (largest remainders first)."""
    whole = np.floor(quotas + 1e-9).astype(np.int64)  # 0.7 * 10 is slightly below 7 in floating point
    order = np.argsort(-(quotas - whole), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole

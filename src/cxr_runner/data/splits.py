"""Splits into train, val and test, at random or by patient; exact duplicates; patients read from names."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources import SPLITS

FRACTIONS = (0.7, 0.2, 0.1)  # of train, val and test, as in the study
_KEEP_FIRST = {"test": 0, "val": 1, "train": 2}


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """List the images that repeat another one: same encoded bytes or same decoded pixels.

    One image of every group of equal ones is kept: one of the test split before one of val before one of train, so
    that a given test set stays whole and training never sees it; within a split, the first.

    Args:
        table: images, with columns ``name``, ``label``, ``split``, ``digest`` and ``pixels``.

    Returns:
        One row for every image to drop, indexed as ``table``: ``name`` and ``same_as``, the name of the one kept.

    Raises:
        UserError: equal images carry different labels.
    """
    # Equal bytes decode to equal pixels, so the pixels decide; the digest of bytes is there for provenance.
    order = table["split"].map(_KEEP_FIRST).fillna(0).sort_values(kind="stable").index
    first = table.loc[order].drop_duplicates("pixels").set_index("pixels")
    kept = first.loc[table["pixels"]]
    conflicts = table["name"][table["label"].to_numpy() != kept["label"].to_numpy()]
    if len(conflicts):
        pairs = [f"{name} = {kept['name'].iloc[table.index.get_loc(i)]}" for i, name in conflicts.items()]
        valid = f"cannot tell which label is right where the same image is in both classes: {list_few(pairs)}"
        raise UserError.for_key("data.duplicates", "drop", valid)
    same_as = pd.Series(kept["name"].to_numpy(), index=table.index)
    extra = same_as[same_as != table["name"]]
    return pd.DataFrame({"name": table["name"][extra.index], "same_as": extra})


def read_patients(names: Sequence[str], pattern: str) -> list[str]:
    """Read the patient of every image from its name; '' where the pattern does not match.

    Args:
        names: names of images, with folders.
        pattern: regular expression searched for in the last part of a name. What its group ``patient`` (else its
            first group, else the whole expression) matches is the patient.

    Raises:
        UserError: the pattern is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        valid = f"not a regular expression ({error})"
        raise UserError.for_key("data.patient_pattern", pattern, valid) from None
    group: int | str = "patient" if "patient" in compiled.groupindex else min(compiled.groups, 1)
    matches = [compiled.search(name.rsplit("/", 1)[-1]) for name in names]
    return [(match[group] or "") if match else "" for match in matches]


def check_patients(names: Sequence[str], patients: Sequence[str], pattern: str) -> None:
    """Refuse images whose patient is not known.

    Args:
        names: names of images.
        patients: patient of every image, '' where it is not known.
        pattern: ``data.patient_pattern``, with which the names were read.

    Raises:
        UserError: the patient of an image is not known.
    """
    unknown = [name for name, patient in zip(names, patients, strict=True) if not patient]
    if unknown:
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        valid = f"matches no patient in {len(unknown)} of {len(names)} file names ({shown})"
        raise UserError.for_key("data.patient_pattern", pattern, valid)


def patient_keys(names: Sequence[str], pattern: str) -> list[str]:
    """Read the patient of every image from its name, as :func:`read_patients`, but insist on every one.

    Raises:
        UserError: the pattern is no regular expression, or some names do not match.
    """
    patients = read_patients(names, pattern)
    check_patients(names, patients, pattern)
    return patients


def split_randomly(labels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    """Split images at random, each class in the same proportions, as in the study.

    Args:
        labels: int array of shape (images,), 0 or 1.
        seed: seed of the split.

    Returns:
        String array of shape (images,): ``train``, ``val`` or ``test``; 5,824 images give 4,077, 1,165 and 582.
    """
    rng = np.random.default_rng([seed, 1])
    sizes = np.array([(labels == label).sum() for label in (0, 1)])
    # Where train and val end, in all and in each class. Rounding these ends and not the sizes of the splits keeps the
    # total of each split exact and leaves no class without its share of a small one.
    ends = np.cumsum(_apportion(np.array(FRACTIONS) * len(labels), len(labels)))
    class_ends = np.array(
        [_apportion(share * sizes, end) for share, end in zip(np.cumsum(FRACTIONS), ends, strict=True)]
    )
    assigned = np.zeros(len(labels), dtype=np.int64)
    for label in (0, 1):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        assigned[shuffled] = np.searchsorted(class_ends[:, label], np.arange(len(shuffled)), side="right")
    return np.array(SPLITS)[assigned]


def split_by_patient(labels: NDArray[np.int64], patients: Sequence[str], seed: int) -> NDArray[np.str_]:
    """Split so that no patient is in two splits, each class as near to the same proportions as patients allow.

    Patients are taken in random order, those with many images first, because the small ones still fit when the splits
    are nearly full. Each goes to the split that its classes are missing from most.

    Args:
        labels: int array of shape (images,), 0 or 1.
        patients: patient of every image.
        seed: seed of the split.

    Returns:
        String array of shape (images,): ``train``, ``val`` or ``test``.
    """
    codes, _ = pd.factorize(np.asarray(patients, dtype=object))
    num_patients = int(codes.max()) + 1
    counts = np.zeros((num_patients, 2))
    np.add.at(counts, (codes, labels), 1)
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(num_patients)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    missing = np.outer(FRACTIONS, counts.sum(axis=0))
    wanted = np.maximum(missing.copy(), 1e-9)  # a class may have no images at all
    chosen = np.zeros(num_patients, dtype=np.int64)
    for patient in order:
        chosen[patient] = np.argmax((missing / wanted) @ counts[patient])
        missing[chosen[patient]] -= counts[patient]
    return np.array(SPLITS)[chosen[codes]]


def _apportion(quotas: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Round quotas to whole numbers that add up to ``total`` (largest remainders first)."""
    whole = np.floor(quotas + 1e-9).astype(np.int64)  # 0.7 * 10 is slightly below 7 in floating point
    order = np.argsort(-(quotas - whole), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole

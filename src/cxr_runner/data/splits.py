"""Which image belongs to train, val or test; exact duplicates; patients."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.data.sources import SPLITS

FRACTIONS = (0.7, 0.2, 0.1)  # of train, val and test, as in the study
_KEEP_FIRST = {"test": 0, "val": 1, "train": 2}


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Find the images that repeat another one: same encoded bytes or same decoded pixels.

    One image of every group of equal ones is kept: one of the test split before one of val before one of train, so
    that a given test set stays whole and training never sees it; within a split, the first.

    Args:
        table: with columns ``name``, ``label``, ``split``, ``digest`` and ``pixels``.

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
        valid = f"cannot tell which label is right where the same image is in both classes: {', '.join(pairs)}"
        raise UserError.for_key("data.duplicates", "drop", valid)
    same_as = pd.Series(kept["name"].to_numpy(), index=table.index)
    extra = same_as[same_as != table["name"]]
    return pd.DataFrame({"name": table["name"][extra.index], "same_as": extra})


def patient_keys(names: Sequence[str], pattern: str) -> list[str]:
    """Read the patient of every image from its name.

    Args:
        names: names of images, with folders.
        pattern: regular expression searched for in the last part of a name. What its group ``patient`` (else its
            first group, else the whole expression) matches is the patient.

    Raises:
        UserError: the pattern is no regular expression, or some names do not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        valid = f"not a regular expression ({error})"
        raise UserError.for_key("data.patient_pattern", pattern, valid) from None
    group: int | str = "patient" if "patient" in compiled.groupindex else min(compiled.groups, 1)
    matches = [compiled.search(name.rsplit("/", 1)[-1]) for name in names]
    keys = [match[group] if match else None for match in matches]
    strangers = [name for name, key in zip(names, keys, strict=True) if not key]
    if strangers:
        shown = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        valid = f"matches no patient in {len(strangers)} of {len(names)} file names ({shown})"
        raise UserError.for_key("data.patient_pattern", pattern, valid)
    return [key for key in keys if key]


def split_randomly(labels: NDArray[np.int64], seed: int) -> NDArray[np.str_]:
    """Split images at random, each class in the same proportions: the study's way.

    Args:
        labels: int array of shape (images,), 0 or 1.
        seed: of the split.

    Returns:
        String array of shape (images,): ``train``, ``val`` or ``test``; 5,824 images give 4,077, 1,165 and 582.
    """
    rng = np.random.default_rng([seed, 1])
    sizes = np.array([(labels == label).sum() for label in (0, 1)])
    # Where train and val end, in all and in each class: rounded so, no class loses its whole share of a small split.
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

    Patients come in random order, those with many images first; each goes where its classes are missing most.

    Args:
        labels: int array of shape (images,), 0 or 1.
        patients: the patient of every image.
        seed: of the split.

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
    wanted = np.maximum(missing.copy(), 1e-9)
    chosen = np.zeros(num_patients, dtype=np.int64)
    for patient in order:
        chosen[patient] = np.argmax((missing / wanted) @ counts[patient])
        missing[chosen[patient]] -= counts[patient]
    return np.array(SPLITS)[chosen[codes]]


def _apportion(quotas: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Round quotas to whole numbers that add up to ``total`` (largest remainders first)."""
    whole = np.floor(quotas + 1e-9).astype(np.int64)
    order = np.argsort(-(quotas - whole), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole

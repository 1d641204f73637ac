"""Patients of whom there are images in several splits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def num_shared(assigned: NDArray[np.str_], patients: Sequence[str], split: str) -> int:
    """Count the images of a split whose patient is in train.

    Args:
        assigned: str [images], split of each image.
        patients: patient of each image.
        split: ``val`` or ``test``.
    """
    of_image = np.asarray(patients, dtype=object)
    in_split, in_train = (of_image[assigned == name].astype(str) for name in (split, "train"))
    return int(np.isin(in_split, in_train).sum())


def share_shared(assigned: NDArray[np.str_], patients: Sequence[str], split: str) -> float:
    """Return what :func:`num_shared` counts as a share of the split; 0 for an empty split."""
    total = int((assigned == split).sum())
    return num_shared(assigned, patients, split) / total if total else 0.0

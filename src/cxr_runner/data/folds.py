"""Folds of cross-validation, as scikit-learn draws them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError


def draw_folds(
    labels: NDArray[np.int64],
    patients: Sequence[str] | None,
    num_folds: int,
    seed: int,
    class_names: tuple[str, str],
) -> NDArray[np.int64]:
    """Divide images into folds, each class in the same proportions as near as whole patients allow.

    Args:
        labels: int64 [images], 0 or 1.
        patients: patient of every image, of whom none is in two folds; None draws image by image.
        num_folds: number of folds, at least 2.
        seed: seed of the split.
        class_names: names of labels 0 and 1.

    Returns:
        int64 [images], fold of each image, from 0.

    Raises:
        UserError: there are too few images or patients for so many folds.

    Source:
        ``StratifiedKFold`` and ``StratifiedGroupKFold`` of scikit-learn, with ``shuffle=True, random_state=seed``: the
        folds are the test sets that they yield, in their order.
    """
    for label, name in enumerate(class_names):
        if (number := int((labels == label).sum())) < num_folds:
            raise UserError.for_key("data.split.folds", num_folds, f"more than the images of {name}, {number:,}")
    if patients is not None and (number := len(set(patients))) < num_folds:
        raise UserError.for_key("data.split.folds", num_folds, f"more than the patients, {number:,}")
    folds = _draw(labels.tobytes(), None if patients is None else tuple(patients), num_folds, seed)
    for fold in range(num_folds):
        for label, name in enumerate(class_names):
            if not ((folds == fold) & (labels == label)).any():
                valid = f"fold {fold} has no {name} image where patients stay together; fewer folds may have some"
                raise UserError.for_key("data.split.folds", num_folds, f"{valid}, data.split.strategy=random has")
    return folds


@lru_cache(maxsize=4)  # the folds of one seed follow each other; of thousands of patients, drawing takes half a second
def _draw(labels: bytes, patients: tuple[str, ...] | None, num_folds: int, seed: int) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    classes = np.frombuffer(labels, dtype=np.int64)
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    groups = None if patients is None else np.array(patients)
    folds = np.empty(len(classes), dtype=np.int64)
    drawn = kind(num_folds, shuffle=True, random_state=seed).split(np.zeros(len(classes)), classes, groups)
    for fold, (_, images) in enumerate(drawn):
        folds[images] = fold
    folds.flags.writeable = False
    return folds

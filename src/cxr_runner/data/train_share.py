"""Shares of a training split, one within the other: what learning curves are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.data.patients import Patients


@dataclass(frozen=True)
class TrainShare:
    """A share of the training images of a data set.

    Attributes:
        share: what was asked for.
        kept: bool [images], which images of the data set stay: those of val and test, and some of train.
        num_kept: number of training images that stay.
        num_whole: number of all.
        by_patient: whether patients are whole.
    """

    share: float
    kept: NDArray[np.bool_]
    num_kept: int
    num_whole: int
    by_patient: bool

    def describe(self, whole: str) -> dict[str, Any]:
        """Return what a reader of the splits has to know, ready for JSON.

        Args:
            whole: fingerprint of the data set with all training images.
        """
        return {"train_share": self.share, "whole_train": self.num_whole, "whole": whole}

    @property
    def note(self) -> str:
        """The share in words."""
        how = "patients whole" if self.by_patient else "by image"
        return (
            f"train is {self.share:.3g} of the training images, {how}: {self.num_kept:,} of {self.num_whole:,} "
            "(data.train_share)"
        )


def take_share(
    table: pd.DataFrame, patients: Patients, config: AnyDataConfig, class_names: tuple[str, str]
) -> TrainShare | None:
    """Return the share of the training images that a configuration asks for; None where it asks for all.

    Args:
        table: images, with columns ``label`` and ``split``.
        patients: the patients of the same images.
        config: configuration of the data.
        class_names: names of labels 0 and 1.

    Raises:
        UserError: no image of a class is left.
    """
    if config.train_share == 1:
        return None
    train = (table["split"] == "train").to_numpy()
    labels = table["label"].to_numpy(np.int64)[train]
    by_patient = not patients.problem
    keys = np.asarray(patients.keys, dtype=object)[train].tolist() if by_patient else None
    chosen = choose_share(labels, keys, config.train_share, config.split.seed)
    lacking = [name for label, name in enumerate(class_names) if not (labels[chosen] == label).any()]
    if lacking:
        left = f"{chosen.sum():,} of {len(labels):,} images to train on and none of {' and '.join(lacking)}"
        raise UserError.for_key("data.train_share", config.train_share, f"leaves {left}; a larger one is needed")
    kept = np.ones(len(table), dtype=bool)
    kept[train] = chosen
    return TrainShare(config.train_share, kept, int(chosen.sum()), len(labels), by_patient)


def choose_share(
    labels: NDArray[np.int64], patients: Sequence[str] | None, share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose a share of training images: nested, stratified by class, with whole patients.

    Patients are put in a random order within their class, that of most of their images. Each lies at the share of the
    class's images that come before the middle of his own, and is chosen if that is at most the share asked for: a
    smaller share is a part of every larger one, and no share cuts a patient.

    Args:
        labels: int64 [images], 0 or 1.
        patients: patient of every image; None chooses image by image.
        share: of the images of each class, above 0, at most 1.
        seed: seed of the split.

    Returns:
        bool [images], which are chosen.
    """
    units = np.arange(len(labels)) if patients is None else pd.factorize(np.asarray(patients, dtype=object))[0]
    sizes = np.bincount(units)
    classes = np.bincount(units, labels) * 2 > sizes
    order = np.random.default_rng([seed, 3]).permutation(len(sizes))  # 1 and 2 are those of the splits
    middles = np.zeros(len(sizes))
    for is_class in (classes, ~classes):
        ordered = order[is_class[order]]
        ends = np.cumsum(sizes[ordered])
        middles[ordered] = (ends - sizes[ordered] / 2) / max(1, sizes[ordered].sum())
    chosen: NDArray[np.bool_] = middles[units] <= share
    return chosen

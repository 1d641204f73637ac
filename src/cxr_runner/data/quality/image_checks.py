"""What is checked of images whatever their splits: computed once, however many splits are made of them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.progress import Reporter
from cxr_runner.data.patients import Patients
from cxr_runner.data.quality.class_differences import differing_attributes
from cxr_runner.data.quality.near_duplicates import NearBlock, NearPairs, count_near, gather_blocks, near_blocks
from cxr_runner.data.quality.polarity import find_inverted
from cxr_runner.data.quality.thumbnails import Thumbnails, open_thumbnails
from cxr_runner.data.quality.unlike_test import UnlikeTest, compare_test
from cxr_runner.data.splits import split_by_patient, split_randomly

_VAL_SHARE = 0.125  # of what is not test, where the data bring no val to choose a strength of regularisation by


class ImageChecks:
    """Checks of the images of a store, each made when it is first asked for."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        table: pd.DataFrame,
        class_names: Sequence[str],
        patients: Patients,
        derived: Path,
        *,
        synthetic: bool,
    ) -> None:
        """Check nothing yet.

        Args:
            images: uint8 [stored images, side, side].
            table: images, indexed by their rows, with columns ``label``, ``split`` (of the source, '' for none),
                ``format``, ``mode``, ``bits``, ``width`` and ``height``.
            class_names: names of labels 0 and 1.
            patients: the patients of the images in ``table``.
            derived: folder in the store for what is computed from its images.
            synthetic: whether the images are drawn: they are not compared with each other then.
        """
        self.table, self.class_names, self.patients, self.derived = table, class_names, patients, derived
        self.synthetic, self._images = synthetic, images
        self._thumbnails: Thumbnails | None = None
        self.labels = table["label"].to_numpy(np.int64)

    def prepare(self, reporter: Reporter) -> None:
        """Open the thumbnails of the images, which are made the first time, and show the progress of that."""
        if self._thumbnails is None and not self.synthetic:
            rows = self.table.index.to_numpy(np.int64)
            self._thumbnails = open_thumbnails(self._images, rows, self.derived, reporter)

    @property
    def thumbnails(self) -> Thumbnails:
        """Small copies and hashes of the images, which were prepared."""
        assert self._thumbnails is not None
        return self._thumbnails

    @cached_property
    def inverted(self) -> NDArray[np.bool_] | None:
        """Which images are inverted against the rest; None where that cannot be told, or where they are drawn."""
        return None if self.synthetic else find_inverted(self.thumbnails.small)

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """The attributes by which the classes differ, each a phrase."""
        return tuple(differing_attributes(self.table, self.class_names, self.inverted))

    def near_pairs(self, assigned: NDArray[np.str_]) -> NearPairs | None:
        """Return how many images are nearly the same, by the splits that they lie in; None of drawn images.

        Args:
            assigned: str [images], split of each image.
        """
        if self.synthetic:
            return None
        blocks = self._gathered
        return count_near(near_blocks(self.thumbnails.hashes) if blocks is None else blocks, assigned)

    @cached_property
    def unlike(self) -> UnlikeTest | None:
        """How the test set of the data compares with others, however the rest is split; None of drawn images."""
        if self.synthetic:
            return None
        given = self.table["split"].to_numpy(str)
        known = None if self.patients.problem else self.patients.keys
        if set(given) != {"train", "val", "test"}:
            given = given.astype("<U5")
            rest = given != "test"
            labels, shares = self.labels[rest], {"train": 1 - _VAL_SHARE, "val": _VAL_SHARE}
            keys = np.asarray(self.patients.keys, dtype=object)[rest].tolist()
            given[rest] = (
                split_randomly(labels, 0, shares) if known is None else split_by_patient(labels, keys, 0, shares)
            )
        return compare_test(self.thumbnails.small, self.labels, given, known)

    @cached_property
    def _gathered(self) -> list[NearBlock] | None:
        return gather_blocks(self.thumbnails.hashes)

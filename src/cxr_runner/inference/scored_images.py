"""Images with their labels, patients and what a model says of them: what metrics are computed from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Images and logits.

    Attributes:
        labels: int64 [images], 0 or 1.
        logits: float64 [images].
        units: int64 [images], the patient, or a number of its own for an image whose patient is not known.
        patients: whether any patient is known.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    units: NDArray[np.int64]
    patients: bool

    def of(self, chosen: NDArray[np.bool_]) -> "ScoredImages":
        """Return some of the images, bool [images]."""
        return replace(self, labels=self.labels[chosen], logits=self.logits[chosen], units=self.units[chosen])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def num_patients(self) -> int | None:
        """Number of patients; None where they are not known."""
        return len(np.unique(self.units)) if self.patients else None

    def count(self) -> dict[str, int | None]:
        """Return the numbers of images, of positive ones and of patients, ready for JSON."""
        return {"images": len(self), "positive": int(self.labels.sum()), "patients": self.num_patients}


def score_images(labels: NDArray[np.int64], logits: NDArray[np.float64], patients: Iterable[str]) -> ScoredImages:
    """Put images together with what a model says of them.

    Args:
        labels: int64 [images], 0 or 1.
        logits: float64 [images].
        patients: patient of each image, '' where it is not known.
    """
    known = list(patients)
    # No name of a patient holds a null character: CSV files with one are not read.
    named = [patient or f"\0{number}" for number, patient in enumerate(known)]
    units = np.asarray(pd.factorize(np.array(named, object))[0], np.int64)
    return ScoredImages(labels, logits, units, any(known))

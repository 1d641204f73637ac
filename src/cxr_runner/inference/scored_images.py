"""Images with their labels, patients and what a model says of them: what metrics are computed from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.base.errors import UserError
from cxr_runner.inference.loaded_run import LoadedRun


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


def held_out(runs: Sequence[LoadedRun], split: str) -> ScoredImages:
    """Return the images of a split with the mean logit of the runs that have them in it.

    Runs on one split agree on its images, and the mean is that of the ensemble. Of folds, each image is judged by the
    runs that have not seen it: by fewer than judge a foreign image.

    Args:
        runs: runs of one model.
        split: ``val`` or ``test``.

    Raises:
        UserError: predictions of a run cannot be read, or runs disagree on a label.
    """
    tables = [table[table["split"] == split] for table in (run.predictions() for run in runs)]
    groups = pd.concat(tables).groupby("name", sort=True)
    labels = groups["label"]
    if (labels.min() != labels.max()).any():
        raise UserError.for_key("run", runs[0].run.path.parent, "the runs disagree on the label of an image")
    patients = groups["patient"].first()
    return score_images(labels.first().to_numpy(np.int64), groups["logit"].mean().to_numpy(np.float64), patients)

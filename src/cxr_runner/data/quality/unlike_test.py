"""Whether a test set that the data bring is unlike the training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_runner.data.quality.baseline import fit_baseline, usable
from cxr_runner.data.splits import split_by_patient, split_randomly

NUM_SPLITS = 3
LEAST = 0.03  # a smaller difference in accuracy is none to speak of
CERTAIN = 3.3  # standard errors: one false alarm in a thousand


@dataclass(frozen=True)
class UnlikeTest:
    """Accuracies of a linear model on 32x32 pixels.

    Attributes:
        given: on the given test set.
        drawn: on test sets that were drawn from all images, patients apart where they are known.
        unlike: whether the difference is more than chance and training sets explain.
    """

    given: float
    drawn: tuple[float, ...]
    unlike: bool


def compare_test(
    small: NDArray[np.uint8], labels: NDArray[np.int64], given: NDArray[np.str_], patients: Sequence[str] | None
) -> UnlikeTest | None:
    """Compare a given test set with test sets that are drawn from the same images.

    The standard error of the difference has two parts, that of a share of the given test set's size and the spread of
    the accuracies over what is drawn, which contains that of training sets.

    Args:
        small: uint8 [images, side, side], the reduced images.
        labels: int64 [images], 0 or 1.
        given: str [images], the splits that the data bring.
        patients: patient of each image; None where they are not known.

    Returns:
        The comparison; None where a split lacks a class.
    """
    from threadpoolctl import threadpool_limits

    splits = [
        split_randomly(labels, seed) if patients is None else split_by_patient(labels, patients, seed)
        for seed in range(NUM_SPLITS)
    ]
    if not all(usable(split, labels) for split in (given, *splits)):
        return None
    values = small.reshape(len(small), -1).astype(np.float32) / 255
    with threadpool_limits(1):  # faster than several for matrices of this size
        of_given, *drawn = (_accuracy(values, labels, split) for split in (given, *splits))
    num_test = int((given == "test").sum())
    share = (of_given + float(np.mean(drawn))) / 2
    spread = float(np.var(drawn, ddof=1)) * (1 + 1 / len(drawn))
    error = float(np.sqrt(share * (1 - share) / num_test + spread))
    difference = abs(of_given - float(np.mean(drawn)))
    return UnlikeTest(of_given, tuple(drawn), difference > max(LEAST, CERTAIN * error))


def _accuracy(values: NDArray[np.floating[Any]], labels: NDArray[np.int64], split: NDArray[np.str_]) -> float:
    logits = fit_baseline(values, labels, split)
    return float(((logits > 0) == (labels[split == "test"] == 1)).mean())

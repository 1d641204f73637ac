"""Which test images the runs get wrong, and on which the configurations disagree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_runner.report.collected import Predictions

MOST_SHOWN = 12


@dataclass(frozen=True)
class Mistakes:
    """What the runs that did not collapse say of every test image; nan where no run was tested on it.

    Attributes:
        configurations: names of the configurations.
        wrong: float [configurations, images], share of the runs tested on an image that get it wrong.
        logits: float [configurations, images], their mean logit.
        hardness: float [images], share of the runs that get it wrong, the configurations weighing the same.
        hardest: rows of the images that most runs get wrong, the configurations weighing the same, at most 12.
        disputed: rows of the images on which configurations differ most, at most 12.
    """

    configurations: tuple[str, ...]
    wrong: NDArray[np.float64]
    logits: NDArray[np.float64]
    hardness: NDArray[np.float64]
    hardest: tuple[int, ...]
    disputed: tuple[int, ...]

    def of(self, row: int) -> Iterator[tuple[str, float, float]]:
        """Yield what there is to say of an image: each configuration, the share that is wrong and the mean logit."""
        return zip(self.configurations, self.wrong[:, row], self.logits[:, row], strict=True)


def find_mistakes(predictions: Predictions, names: Sequence[str]) -> Mistakes | None:
    """Find the images that runs get wrong; None where no run of these configurations is of any use.

    Args:
        predictions: logits of the configurations.
        names: names of the configurations to look at.
    """
    measured = {name: _measure(predictions, name) for name in names}
    kept = {name: pair for name, pair in measured.items() if pair is not None}
    if not kept:
        return None
    wrong, logits = (np.stack(arrays) for arrays in zip(*kept.values(), strict=True))
    tested = np.isfinite(wrong)
    counted = tested.sum(axis=0)
    hardness = np.where(tested, wrong, 0).sum(axis=0) / np.where(counted, counted, np.nan)
    highest, lowest = np.where(tested, wrong, -1).max(axis=0), np.where(tested, wrong, 2).min(axis=0)
    spread = np.where(counted > 1, highest - lowest, 0)
    far = np.abs(np.where(np.isfinite(logits), logits, 0)).mean(axis=0)  # among equals, the surest come first
    hardest = _first(np.nan_to_num(hardness), far, 0.5)
    return Mistakes(tuple(kept), wrong, logits, hardness, hardest, _first(spread, far, 0.5))


def _measure(predictions: Predictions, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return, of each image, the share of runs that get it wrong and their mean logit."""
    runs, wrong, total = np.zeros((3, len(predictions.labels)))
    for one in predictions.configurations[name]:
        trained = one.trained.test
        truth = predictions.labels[one.test_rows] == 1
        runs[one.test_rows] += len(trained)
        wrong[one.test_rows] += ((trained > 0) != truth).sum(axis=0)
        total[one.test_rows] += trained.sum(axis=0)
    if not runs.any():
        return None
    counts = np.where(runs > 0, runs, np.nan)
    return wrong / counts, total / counts


def _first(values: NDArray[np.float64], then: NDArray[np.float64], least: float) -> tuple[int, ...]:
    """Return the rows of the largest values of at least so much, in order."""
    order = np.lexsort((-then, -values))
    return tuple(int(row) for row in order[:MOST_SHOWN] if values[row] >= least)

"""Shortcut baselines: how far a linear model gets without anatomy, on the splits that runs are tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.audit.measurements import Measurements
from cxr_runner.audit.scoring import Score, score
from cxr_runner.base.progress import Reporter
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.quality.baseline import fit_baseline, usable
from cxr_runner.data.quality.outskirts import outskirts
from cxr_runner.data.quality.thumbnails import SMALL
from cxr_runner.data.splits import split_by_patient, split_randomly
from cxr_runner.stats.intervals import resample

NUM_SEEDS = 3  # number of random and of patient-grouped splits
BLANKED = SMALL * 3 // 4  # side of the blanked centre of the reduced images
METHOD = (
    "scikit-learn: StandardScaler, then LogisticRegression with C = 0.01 or 1, whichever has the larger AUROC on val; "
    "trained on train, tested once on test; positive above probability 0.5"
)
WORDS = {
    "majority": "always {majority}",
    "size": "original width, height and aspect ratio",
    "intensity": "nine intensity statistics",
    "ring": "border ring of one pixel",
    "frame": f"outer frame, the centre blanked ({BLANKED}x{BLANKED} of {SMALL}x{SMALL})",
    "pixels8": "8x8 pixels",
    "pixels32": f"{SMALL}x{SMALL} pixels",
}
Features = dict[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Baseline:
    """Test results of one kind of features.

    Attributes:
        name: key of :data:`WORDS`.
        words: name for people.
        score: metrics on the split that runs with this configuration are tested on, with intervals.
        random: accuracy and AUROC on random splits, one pair a seed.
        patient: the same on splits by patient; empty where patients are unknown.
    """

    name: str
    words: str
    score: Score
    random: tuple[tuple[float, float], ...]
    patient: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shortcuts:
    """All baselines.

    Attributes:
        baselines: the baselines that could be computed, in the order of :data:`WORDS`.
        seeds: seeds of the random and of the patient-grouped splits.
        left_out: reason why a baseline could not be computed, by its name for people.
        method: how the baselines were computed.
    """

    baselines: tuple[Baseline, ...]
    seeds: tuple[int, ...]
    left_out: dict[str, str]
    method: str = METHOD


class _Splits(NamedTuple):
    """The splits that every baseline is tested on, each a str [images]."""

    configured: NDArray[np.str_]
    random: list[NDArray[np.str_]]
    patient: list[NDArray[np.str_]]


def train_baselines(
    dataset: Dataset,
    sizes: pd.DataFrame,
    measured: Measurements,
    patients: list[str] | None,
    seed: int,
    reporter: Reporter,
) -> Shortcuts:
    """Train and test all baselines.

    Args:
        dataset: images and their splits.
        sizes: ``width`` and ``height`` of the images of the data set, in its order.
        measured: measurements of the same images.
        patients: patients of the same images; None where they are unknown.
        seed: seed of the first of the further splits.
        reporter: shows the progress.
    """
    from threadpoolctl import threadpool_limits

    labels = dataset.table["label"].to_numpy(np.int64)
    features, left_out = build_features(measured, sizes), {}
    if not np.ptp(features["size"], axis=0).any():
        del features["size"]
        left_out[WORDS["size"]] = "all images have one size"
    majority = dataset.class_names[int(2 * dataset.labels("train").sum() > len(dataset.labels("train")))]
    seeds = tuple(range(seed, seed + NUM_SEEDS))
    splits = _Splits(dataset.table["split"].to_numpy(str), *_further_splits(labels, patients, seeds))
    in_test = splits.configured == "test"
    drawn = resample(int(in_test.sum()), None if patients is None else np.asarray(patients)[in_test].tolist())
    baselines = []
    # One thread multiplies matrices of this size faster than several, which wait for each other.
    with threadpool_limits(1), reporter.steps("shortcut baselines", len(features)) as advance:
        for name, values in features.items():
            words = WORDS[name].format(majority=majority)
            baselines.append(Baseline(name, words, *_test(values, labels, splits, drawn)))
            advance()
    return Shortcuts(tuple(baselines), seeds, left_out)


def _further_splits(
    labels: NDArray[np.int64], patients: list[str] | None, seeds: Sequence[int]
) -> tuple[list[NDArray[np.str_]], list[NDArray[np.str_]]]:
    """Return the usable random splits and the usable splits by patient, none where patients are unknown."""
    random = [split_randomly(labels, seed) for seed in seeds]
    patient = [] if patients is None else [split_by_patient(labels, patients, seed) for seed in seeds]
    return [split for split in random if usable(split, labels)], [split for split in patient if usable(split, labels)]


def build_features(measured: Measurements, sizes: pd.DataFrame) -> Features:
    """Return the features of every baseline, float [images, features], in the order of :data:`WORDS`.

    Args:
        measured: measurements of the images.
        sizes: their ``width`` and ``height``, in the same order.
    """
    num_images = len(measured.thumbnails.small)
    width, height = sizes["width"].to_numpy(float), sizes["height"].to_numpy(float)
    small = measured.thumbnails.small.astype(np.float32) / 255
    tiny = small.reshape(num_images, 8, SMALL // 8, 8, SMALL // 8).mean(axis=(2, 4))
    return {
        "majority": np.zeros((num_images, 1)),
        "size": np.log(np.column_stack([width, height, width / height])),
        "intensity": intensity_statistics(measured.histograms),
        "ring": measured.rings / 255,
        "frame": small[:, outskirts(SMALL)["frame"]],
        "pixels8": tiny.reshape(num_images, -1),
        "pixels32": small.reshape(num_images, -1),
    }


def intensity_statistics(histograms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return nine statistics of the grey levels: mean, standard deviation, least, largest, and five percentiles.

    Args:
        histograms: int64 [images, 256], number of pixels of each grey level.

    Returns:
        float64 [images, 9]; the percentiles are 5, 25, 50, 75 and 95.
    """
    levels = np.arange(256.0)
    share = histograms / histograms.sum(axis=1, keepdims=True)
    mean = share @ levels
    deviation = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0))
    present = histograms > 0
    least, largest = present.argmax(axis=1), 255 - present[:, ::-1].argmax(axis=1)
    below = share.cumsum(axis=1)
    # 1e-12 keeps a share that rounding puts a little below the percentile from counting as below it.
    percentiles = [(below < q - 1e-12).sum(axis=1) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    return np.column_stack([mean, deviation, least, largest, *percentiles]).astype(np.float64)


def _test(
    values: NDArray[Any], labels: NDArray[np.int64], splits: _Splits, drawn: NDArray[np.float64]
) -> tuple[Score, tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]:
    """Return the score on the configured split, and accuracy and AUROC on random splits and on splits by patient."""
    computed: dict[bytes, NDArray[np.float64]] = {}  # the configured split often is one of the further ones

    def labels_and_logits(split: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        key = split.tobytes()
        if key not in computed:
            computed[key] = fit_baseline(values, labels, split)
        return labels[split == "test"], computed[key]

    def pairs(some: list[NDArray[np.str_]]) -> tuple[tuple[float, float], ...]:
        scores = [score(*labels_and_logits(split)) for split in some]
        return tuple((each.accuracy, each.auroc) for each in scores)

    return score(*labels_and_logits(splits.configured), drawn), pairs(splits.random), pairs(splits.patient)

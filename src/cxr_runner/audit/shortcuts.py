"""Shortcut baselines: how far a linear model gets on what is no anatomy, on the splits that runs are tested on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_runner.audit.measurements import SMALL, Measurements
from cxr_runner.audit.scoring import Score, score
from cxr_runner.base.progress import Reporter
from cxr_runner.data.dataset import Dataset
from cxr_runner.data.sources import SPLITS
from cxr_runner.data.splits import split_by_patient, split_randomly
from cxr_runner.stats.intervals import resample

NUM_SEEDS = 3  # of random and of patient-grouped splits
STRENGTHS = (0.01, 1.0)  # C of scikit-learn's LogisticRegression; the validation split chooses
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
    """What one kind of features gives.

    Attributes:
        name: a key of :data:`WORDS`.
        words: for people.
        own: on the split that runs with this configuration are tested on, with intervals.
        random: accuracy and AUROC on random splits: one pair a seed.
        patient: the same on splits by patient; empty where patients are unknown.
    """

    name: str
    words: str
    own: Score
    random: tuple[tuple[float, float], ...]
    patient: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Shortcuts:
    """All baselines.

    Attributes:
        baselines: in the order of :data:`WORDS`, those that could be computed.
        seeds: of the random and of the patient-grouped splits.
        left_out: why a baseline could not be computed, by its name in words.
        method: how they were computed.
    """

    baselines: tuple[Baseline, ...]
    seeds: tuple[int, ...]
    left_out: dict[str, str]
    method: str = METHOD


def find_shortcuts(
    dataset: Dataset,
    sizes: pd.DataFrame,
    measured: Measurements,
    patients: list[str] | None,
    seed: int,
    reporter: Reporter,
) -> Shortcuts:
    """Train and test all baselines.

    Args:
        dataset: the images and their splits.
        sizes: ``width`` and ``height``, one row an image of the data set, in its order.
        measured: of the same images.
        patients: of the same images, None where they are unknown.
        seed: the first of the further splits.
        reporter: shown the progress.
    """
    from threadpoolctl import threadpool_limits

    labels = dataset.table["label"].to_numpy(np.int64)
    features = build_features(measured, sizes)
    left_out = {}
    if not np.ptp(features["size"], axis=0).any():
        del features["size"]
        left_out[WORDS["size"]] = "all images have one size"
    majority = dataset.class_names[int(2 * dataset.labels("train").sum() > len(dataset.labels("train")))]
    own = dataset.table["split"].to_numpy(str)
    seeds = tuple(range(seed, seed + NUM_SEEDS))
    ways: dict[str, Callable[[int], NDArray[np.str_]]] = {"random": lambda s: split_randomly(labels, s)}
    if patients is not None:
        ways["patient"] = lambda s: split_by_patient(labels, patients, s)
    divisions = {way: [split for s in seeds if usable(split := make(s), labels)] for way, make in ways.items()}
    test = own == "test"
    drawn = resample(int(test.sum()), None if patients is None else np.asarray(patients)[test].tolist())
    baselines = []
    # Matrices of this size are multiplied sooner by one thread than by several that wait for each other.
    with threadpool_limits(1), reporter.steps("shortcut baselines", len(features)) as advance:
        for name, values in features.items():
            known: dict[bytes, Score] = {}  # the split of the runs often is one of the others
            found = {way: [_evaluate(values, labels, split, known) for split in divisions.get(way, [])] for way in ways}
            pairs = {way: tuple((each.accuracy, each.auroc) for each in scores) for way, scores in found.items()}
            result = _evaluate(values, labels, own, known, drawn)
            words = WORDS[name].format(majority=majority)
            baselines.append(Baseline(name, words, result, pairs["random"], pairs.get("patient", ())))
            advance()
    return Shortcuts(tuple(baselines), seeds, left_out)


def build_features(measured: Measurements, sizes: pd.DataFrame) -> Features:
    """Return the features of every baseline, float [images, features], in the order of :data:`WORDS`."""
    num_images = len(measured.small)
    width, height = sizes["width"].to_numpy(float), sizes["height"].to_numpy(float)
    small = measured.small.astype(np.float32) / 255
    tiny = small.reshape(num_images, 8, SMALL // 8, 8, SMALL // 8).mean(axis=(2, 4))
    outside = np.ones((SMALL, SMALL), dtype=bool)
    edge = (SMALL - BLANKED) // 2
    outside[edge:-edge, edge:-edge] = False
    return {
        "majority": np.zeros((num_images, 1)),
        "size": np.log(np.column_stack([width, height, width / height])),
        "intensity": intensity_statistics(measured.histograms),
        "ring": measured.rings / 255,
        "frame": small[:, outside],
        "pixels8": tiny.reshape(num_images, -1),
        "pixels32": small.reshape(num_images, -1),
    }


def intensity_statistics(histograms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return nine statistics of the grey levels: mean, deviation, least, largest, and five percentiles.

    Args:
        histograms: int64 [images, 256], how many pixels have each grey level.

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
    percentiles = [(below < q - 1e-12).sum(axis=1) for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    return np.column_stack([mean, deviation, least, largest, *percentiles]).astype(np.float64)


def usable(split: NDArray[np.str_], labels: NDArray[np.int64]) -> bool:
    """Say whether every split has both classes; those of a tiny data set may not."""
    return all(len(set(labels[split == name].tolist())) == 2 for name in SPLITS)


def _evaluate(
    values: NDArray[Any],
    labels: NDArray[np.int64],
    split: NDArray[np.str_],
    known: dict[bytes, Score],
    drawn: NDArray[np.float64] | None = None,
) -> Score:
    """Train on train, choose on val, test on test; what is known already is not computed again."""
    key = split.tobytes()
    if key not in known or drawn is not None:
        logits = fit(values, labels, split)
        known[key] = score(labels[split == "test"], logits, drawn)
    return known[key]


def fit(values: NDArray[Any], labels: NDArray[np.int64], split: NDArray[np.str_]) -> NDArray[np.float64]:
    """Train a baseline.

    Args:
        values: float [images, features].
        labels: of all images.
        split: of all images.

    Returns:
        float64 [test images], the logits; without any feature that varies, the log odds of the classes in train.
    """
    train, test = split == "train", split == "test"
    if not np.ptp(values[train], axis=0).any():
        share = labels[train].mean()
        return np.full(int(test.sum()), np.log(share / (1 - share)))
    return max(_candidates(values, labels, split), key=lambda candidate: candidate[0])[1]


def _candidates(
    values: NDArray[Any], labels: NDArray[np.int64], split: NDArray[np.str_]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Yield for every strength of regularisation the AUROC on val and the logits of test."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        model.fit(values[split == "train"], labels[split == "train"])
        on_val = roc_auc_score(labels[split == "val"], model.decision_function(values[split == "val"]))
        yield float(on_val), model.decision_function(values[split == "test"]).astype(np.float64)

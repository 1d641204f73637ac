"""Data sets, folds and runs made up in masses, to see how often intervals hold what they should.

A data set is a few hundred images of patients: features of a patient vary about the mean of its class, images about
their patient. A run is a ridge regression on a random projection of the features, which its seed draws and which is the
same in all splits, as initial weights are. Everything is closed-form, so that a thousand data sets take minutes.

``PYTHONPATH=tests .venv/bin/python -m simulated_runs 1000`` prints the tables of docs/statistics.md.
"""

import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from cxr_runner import stats

FOLDS, SEEDS = 5, 10
METRICS = ("accuracy", "AUROC")


@dataclass(frozen=True)
class Learner:
    """Two configurations.

    Attributes:
        title: what they are.
        features: number of features of an image.
        distance: of the classes, in standard deviations of a feature.
        halves: whether one configuration sees one half of the features and the other one the other half.
        dimensions: of the random projection, of either configuration.
        noise: added to each logit, in standard deviations of all.
        size: number of patients, in shares of that of the design.
    """

    title: str
    features: int
    distance: float
    halves: bool
    dimensions: tuple[int, int]
    noise: float = 0.0
    size: float = 1.0

    @property
    def equal(self) -> bool:
        """Whether both have the same expected metrics."""
        return self.dimensions[0] == self.dimensions[1]


LEARNERS = {
    "projections": Learner("random projections to 8 of 30 dimensions", 30, 1.2, False, (8, 8)),
    "unequal": Learner("random projections to 8, and to 5, of 30 dimensions", 30, 1.2, False, (8, 5)),
    "features": Learner("either half of 80 features", 80, 2.0, True, (35, 35)),
    "noise": Learner("one learner on 20 features, independent noise", 20, 1.4, False, (20, 20), 0.5),
    "wide": Learner("either half of 200 features, half the patients", 200, 2.5, True, (75, 75), size=0.5),
}


@dataclass(frozen=True)
class Design:
    """How runs are split.

    Attributes:
        title: what it is.
        repeats: of the folds.
        kept: whether a fifth of the patients is the test split of all, and folds of the others are val.
        patients: number of patients, of 1 to 4 images each.
        missing: share of the runs that are missing, at random.
    """

    title: str
    repeats: int
    kept: bool = False
    patients: int = 150
    missing: float = 0.0

    @property
    def num_splits(self) -> int:
        return max(1, self.repeats * FOLDS)


DESIGNS = {
    "1": Design("one split", 0),
    "5x1": Design("5 folds", 1),
    "5x10": Design("5 folds, 10 repeats", 10),
    "5x10 missing": Design("the same, 30 % of the runs missing", 10, missing=0.3),
    "kept": Design("test split kept, 5 folds as val", 1, kept=True, patients=400),
}


class Runs(NamedTuple):
    """Metrics of the runs of one data set.

    Attributes:
        values: float [configurations, metrics, splits, seeds].
        images: float [configurations, metrics, seeds, patients], of the first split: what each patient adds to it.
    """

    values: np.ndarray
    images: np.ndarray


class Coverage(NamedTuple):
    """Shares of intervals that hold the truth, and their width over that of the narrowest that would."""

    ours: float
    by_folds: float
    by_runs: float
    width: float


def simulate(learner: Learner, design: Design, seed: int) -> Runs:
    """Return the metrics of all runs on a new data set."""
    rng = np.random.default_rng(seed)
    num_patients = round(design.patients * learner.size)
    labels = rng.permutation(np.arange(num_patients) < 0.6 * num_patients)
    patients = np.repeat(np.arange(num_patients), rng.integers(1, 5, num_patients))
    features = learner.distance / np.sqrt(learner.features) * np.where(labels, 1, -1)[patients, None]
    features = features + 0.7 * rng.normal(size=(num_patients, learner.features))[patients]
    features = np.c_[features + np.sqrt(0.51) * rng.normal(size=features.shape), np.ones(len(patients))]
    truth = labels[patients]
    projections = [_projections(learner, number, rng) for number in range(2)]
    kept = _folds(rng, labels)[patients] == 0 if design.kept else np.zeros(len(patients), bool)
    values, images = [], None
    for _ in range(max(1, design.repeats)):
        folds = np.where(kept, -1, _folds(rng, labels)[patients])
        weights = [_fit(features, truth, folds, one) for one in projections]
        for fold in range(FOLDS if design.repeats else 1):
            test = kept if design.kept else folds == fold
            logits = np.stack([one[fold] for one in weights]) @ features[test].T
            logits += learner.noise * rng.normal(size=logits.shape) * logits.std()
            metrics, added = _score(logits, truth[test])
            values.append(metrics)
            if images is None:
                images = np.stack([_sums(row, patients[test]) for row in added.reshape(-1, test.sum())])
                images = images.reshape(*added.shape[:-1], -1)
    return Runs(np.moveaxis(np.array(values), 0, 2), images)


def cover(learner: Learner, design: Design, num_seeds: int, runs: list[Runs]) -> dict[tuple[str, str], Coverage]:
    """Return the coverage of 95 % intervals, by metric and by whether one configuration or a difference is meant."""
    found = {}
    mask = np.random.default_rng(0).random((len(runs), design.num_splits, num_seeds)) >= design.missing
    for number, metric in enumerate(METRICS):
        ones = [(run.values[0, number], run.images[0, number]) for run in runs]
        pairs = [(np.subtract(*run.values[:, number]), np.subtract(*run.images[:, number])) for run in runs]
        for what, drawn in (("one", ones), ("difference", pairs)):
            grids = np.array([values[:, :num_seeds] for values, _ in drawn])
            truth = 0.0 if what == "difference" and learner.equal else np.mean([values for values, _ in drawn])
            images = np.array([added[:num_seeds].mean(axis=0) for _, added in drawn])
            found[metric, what] = _cover(grids, images, mask, truth, design)
    return found


def _cover(grids: np.ndarray, images: np.ndarray, mask: np.ndarray, truth: float, design: Design) -> Coverage:
    single = design.num_splits == 1
    held, halves = [], []
    for grid, added, there in zip(grids, images, mask, strict=True):
        splits, seeds = np.nonzero(there)
        by_images = np.square(added).sum() * len(added) / (len(added) - 1)
        estimate = stats.mean_over_runs(grid[there], splits, seeds, 1 / (FOLDS - 1), by_images, design.kept)
        folds = np.array([row[chosen].mean() for row, chosen in zip(grid, there, strict=True) if chosen.any()])
        naive = [_covers(folds, truth) if not single else np.nan, _covers(grid[there], truth)]
        held.append([estimate.low <= truth <= estimate.high, *naive])
        halves.append(estimate.half_width)
    spread = np.std([grid[there].mean() for grid, there in zip(grids, mask, strict=True)])
    return Coverage(*np.mean(held, axis=0), np.mean(halves) / (1.96 * spread))


def _covers(values: np.ndarray, truth: float) -> bool:
    """Return whether Student's interval of values taken as independent holds the truth."""
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return bool(abs(values.mean() - truth) <= half)


def _folds(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Return the fold of each patient, both classes dealt out evenly."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), int)
    folds[order] = np.arange(len(labels)) % FOLDS
    return folds


def _projections(learner: Learner, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random projection for each seed, float [seeds, features + 1, dimensions + 1], the intercept kept."""
    seen = np.arange(learner.features)
    if learner.halves:
        seen = np.array_split(seen, 2)[number]
    dimensions = learner.dimensions[number]
    projections = np.zeros((SEEDS, learner.features + 1, dimensions + 1))
    projections[:, seen, :dimensions] = rng.normal(size=(SEEDS, len(seen), dimensions)) / np.sqrt(len(seen))
    projections[:, -1, -1] = 1
    return projections


def _fit(features: np.ndarray, truth: np.ndarray, folds: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Return the weights of ridge regressions on all folds but one, float [folds, seeds, features + 1]."""
    targets = np.where(truth, 1.0, -1.0)
    chosen = [folds == fold for fold in range(FOLDS)]
    grams = np.stack([features[one].T @ features[one] for one in chosen])
    sums = np.stack([features[one].T @ targets[one] for one in chosen])
    left, right = grams.sum(axis=0) - grams, sums.sum(axis=0) - sums
    turned = projections.transpose(0, 2, 1)
    small = turned @ left[:, None] @ projections + np.eye(projections.shape[2])
    return (projections @ np.linalg.solve(small, (turned @ right[:, None, :, None])))[..., 0]


def _score(logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return accuracy and AUROC, float [configurations, metrics, seeds], and what each image adds to them."""
    correct = ((logits > 0) == truth).astype(float)
    accuracy = correct.mean(axis=-1)
    positives, negatives = truth.sum(), (~truth).sum()
    ranks = _ranks(logits)
    added = np.empty_like(logits)
    area = (ranks[..., truth].sum(axis=-1) - positives * (positives + 1) / 2) / (positives * negatives)
    below = (ranks[..., truth] - _ranks(logits[..., truth])) / negatives  # DeLong's structural components
    above = 1 - (ranks[..., ~truth] - _ranks(logits[..., ~truth])) / positives
    added[..., truth] = (below - area[..., None]) / positives
    added[..., ~truth] = (above - area[..., None]) / negatives
    of_accuracy = (correct - accuracy[..., None]) / len(truth)
    return np.stack([accuracy, area], axis=1), np.stack([of_accuracy, added], axis=1)


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort(axis=-1).argsort(axis=-1) + 1


def _sums(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    return np.bincount(np.unique(patients, return_inverse=True)[1], values)


def main(num_sets: int) -> None:
    """Print the coverage of all designs and learners, in %, as tables of Markdown: accuracy / AUROC."""
    for design in DESIGNS.values():
        names = ("learner", "seeds", "one", "difference", "widths", "difference, folds", "difference, runs")
        print(f"\n{design.title}\n\n|", " | ".join(names), "|\n" + "|---" * len(names) + "|")
        for name, learner in LEARNERS.items():
            if design.missing and name == "wide":
                continue  # takes long, and shows nothing else
            runs = [simulate(learner, design, seed) for seed in range(num_sets)]
            for num_seeds in (3, 10):
                found = cover(learner, design, num_seeds, runs)
                ones, pairs = ([found[metric, what] for metric in METRICS] for what in ("one", "difference"))
                columns = [[f"{100 * one.ours:.1f}" for one in both] for both in (ones, pairs)]
                columns += [[f"{ones[0].width:.2f}", f"{pairs[0].width:.2f}"]]
                columns += [[f"{100 * getattr(one, by):.0f}" for one in pairs] for by in ("by_folds", "by_runs")]
                cells = [name, num_seeds, *(" / ".join(column).replace("nan / nan", "-") for column in columns)]
                print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Runs made up in masses whose truth is known, to see how often claims and published values are called wrongly.

A claim is decided by the package's code on made-up numbers of seeds; only what a run is is simulated.
``PYTHONPATH=tests .venv/bin/python -m simulated_claims 2000`` prints the tables of docs/statistics.md.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxr_runner import stats
from cxr_runner.report.compare.claims.bounds import region_p_values
from cxr_runner.report.compare.claims.contrasts import Compared, contrast_models
from cxr_runner.report.compare.claims.observed_runs import Observed, RowSetting
from cxr_runner.report.compare.claims.run_numbers import Decisions, RunNumbers, curve_numbers
from cxr_runner.report.compare.claims.verdicts import decide_claims
from cxr_runner.study import load_study
from cxr_runner.study.claims import Condition

STUDY = load_study()
NUM_IMAGES, POSITIVE = 582, 0.73
LEVEL = STUDY.rules.level


class Line(NamedTuple):
    """One line of the table: what was simulated, what is right, and how often it was said."""

    what: str
    nominal: str
    share: float


def call(
    expect: str, difference: float, seeds: int, rng: np.random.Generator, spread: float = 0.01
) -> tuple[bool, bool]:
    """Say whether one difference of seeds is called as claimed, and whether contrary, at the level by itself."""
    values = rng.normal(difference, spread, seeds)
    effect = stats.mean_over_runs(values, np.zeros(seeds), np.arange(seeds), 0.0, 0.0)
    p = region_p_values(effect, Condition("val_level", expect), STUDY)
    return p.support <= LEVEL, p.contradiction <= LEVEL


def parts(num_sets: int, seeds: int) -> Iterator[Line]:
    """Yield how often single parts are called wrongly, at the edge of what is claimed, where that is hardest."""
    margin = STUDY.definitions["val_level"].margin
    for expect, edge in (("higher", 0.0), ("lower", 0.0), ("not higher", margin), ("alike", margin)):
        rng = np.random.default_rng(1)
        said = np.mean([call(expect, edge, seeds, rng) for _ in range(num_sets)], axis=0)
        yield Line(f"{expect}, at its edge, called as claimed", "5", said[0])
        yield Line(f"{expect}, at its edge, called contrary", "5", said[1])
    rng = np.random.default_rng(2)
    said = np.mean([call("alike", 0.0, seeds, rng) for _ in range(num_sets)], axis=0)
    yield Line("alike and equal, called as claimed (power)", "much", said[0])


def family(num_sets: int, seeds: int) -> Iterator[Line]:
    """Yield how often any of all claims is called wrongly where all models are equal but for noise.

    Then no claim of a difference holds, and each of none, or of a margin, does.
    """
    differ = {"higher", "lower", "much higher"}
    expected = {one.id: {condition.expect for condition in one.conditions} for one in STUDY.claims}
    false = {one for one, expects in expected.items() if expects <= differ}
    true = {one for one, expects in expected.items() if expects <= {"alike", "not higher", "not lower"}}
    wrong = np.zeros(2)
    for number in range(num_sets):
        rng = np.random.default_rng([3, number])
        shared = rng.normal(size=(seeds, len(STUDY.definitions)))
        runs = {}
        for row in STUDY.rows:
            noise = np.sqrt(0.5) * (shared + rng.normal(size=shared.shape))
            runs[RowSetting(row.id)] = [
                RunNumbers(seed, True, dict(zip(STUDY.definitions, 0.9 + 0.02 * noise[seed], strict=True)))
                for seed in range(seeds)
            ]
        words = {one.claim.id: one.word for one in decide_claims([Observed(runs)], STUDY)}
        wrong += any(words[one] == "supported" for one in false), any(words[one] == "contradicted" for one in true)
    supported, contradicted = wrong / num_sets
    yield Line("any claim of a difference called supported, all models equal", "at most 5", supported)
    yield Line("any claim of no difference called contradicted, all models equal", "at most 5", contradicted)


def published(num_sets: int, seeds: int, split_sd: float, folds: int) -> float:
    """Return how often the published accuracy of an equal model is called outside.

    Runs have a seed's effect of 0.006, that of their split's training images, and so many test images drawn anew.
    """
    rng, outside = np.random.default_rng(4), 0
    for _ in range(num_sets):
        splits = max(1, folds)
        by_seed, by_split = rng.normal(0, 0.006, seeds), rng.normal(0, split_sd, splits)
        num_images = NUM_IMAGES if not folds else 10 * NUM_IMAGES // folds
        # The errors of one split are mostly on the same images, whatever the seed.
        levels = 0.92 + by_seed[None, :] + by_split[:, None]
        drawn = rng.normal(0, 1, splits)[:, None] * np.sqrt(0.92 * 0.08 / num_images)
        values = (levels + drawn).ravel()
        codes, names = np.divmod(np.arange(values.size), seeds)
        theirs = rng.binomial(NUM_IMAGES, np.clip(0.92 + rng.normal(0, 0.006) + rng.normal(0, split_sd), 0, 1))
        mean = float(values.mean())
        of_one = mean * (1 - mean)
        ratio = 1 / (folds - 1) if folds else 0.0
        ours = stats.mean_over_runs(values, codes, names, ratio, of_one / num_images)
        _, low, high = stats.predict_run(ours, of_one / NUM_IMAGES)
        outside += not low <= theirs / NUM_IMAGES <= high
    return outside / num_sets


def by_seeds_alone(num_sets: int, seeds: int, split_sd: float) -> float:
    """Return the same of an interval for one more seed on the same images and split, as it is often computed."""
    from scipy.stats import t

    rng, outside = np.random.default_rng(4), 0
    for _ in range(num_sets):
        level = 0.92 + rng.normal(0, split_sd) + rng.normal(0, 1) * np.sqrt(0.92 * 0.08 / NUM_IMAGES)
        values = level + rng.normal(0, 0.006, seeds)
        theirs = rng.binomial(NUM_IMAGES, 0.92 + rng.normal(0, 0.006) + rng.normal(0, split_sd)) / NUM_IMAGES
        half = t.ppf(0.975, seeds - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / seeds)
        outside += abs(theirs - values.mean()) > half
    return outside / num_sets


def overfits_on_noise(num_sets: int, epochs: int, rise: float = 0.0) -> float:
    """Return how many runs overfit whose training loss falls and whose validation loss swings about a level or line."""
    rng, found = np.random.default_rng(5), 0.0
    epoch = np.arange(1, epochs + 1)
    for _ in range(num_sets):
        val = 0.3 + rise * epoch / epochs + 0.05 * rng.normal(size=epochs)
        history = pd.DataFrame({"train_loss": 1 / epoch, "val_loss": val, "train_accuracy": 0.9, "val_accuracy": 0.9})
        found += curve_numbers(history, True, 0.6, STUDY)["overfits"]
    return found / num_sets


def consistent(
    num_sets: int, seeds: int, noise: tuple[float, float], between: tuple[float, float]
) -> tuple[float, float]:
    """Return how often the first of two families is called the more consistent one.

    By the variance between its models, and as it was done before: by the highest minus the lowest of each seed.

    Args:
        num_sets: number of times.
        seeds: number of seeds.
        noise: standard deviation over seeds of the models of either family.
        between: half the difference between the better and the worse two of its four models.
    """
    rng, said = np.random.default_rng(6), np.zeros(2)
    compared = Compared("accuracy", ("4", "5", "6", "7"), ("0", "1", "2", "3"), spread=True)
    for _ in range(num_sets):
        values = np.empty((8, seeds))
        for number in range(2):
            levels = 0.92 + between[number] * np.array([1, 1, -1, -1])
            values[4 * number : 4 * number + 4] = rng.normal(levels[:, None], noise[number], (4, seeds))
        runs = {str(row): list(_decided(values[row], rng)) for row in range(8)}
        effect = contrast_models(compared, runs, Observed()).effect
        ranges = np.array([np.ptp(_accuracies(runs, 4 * number), axis=0) for number in range(2)])
        plain = stats.mean_over_runs(np.subtract(*ranges), np.zeros(seeds), np.arange(seeds), 0.0, 0.0)
        said += effect.p_value(0.0, "less") <= LEVEL, plain.p_value(0.0, "less") <= LEVEL
    ours, by_ranges = said / num_sets
    return float(ours), float(by_ranges)


def _accuracies(runs: dict[str, list[RunNumbers]], first: int) -> np.ndarray:
    """Return the accuracies of four models, float [models, seeds]."""
    decided = [[run.decisions for run in runs[str(row)]] for row in range(first, first + 4)]
    return np.array([[(one.called == one.labels).mean() for one in of_row if one] for of_row in decided])


def _decided(accuracies: np.ndarray, rng: np.random.Generator) -> Iterator[RunNumbers]:
    """Yield runs with an accuracy each: most errors are on images that are hard for all, the others anywhere."""
    labels = np.arange(NUM_IMAGES) < POSITIVE * NUM_IMAGES
    patients = np.arange(NUM_IMAGES)
    hard = np.zeros(NUM_IMAGES, bool)
    hard[::20] = True
    for seed, accuracy in enumerate(accuracies):
        wrong = hard | (rng.random(NUM_IMAGES) < max(0.0, 1 - accuracy - hard.mean()))
        yield RunNumbers(seed, True, {}, Decisions(labels ^ wrong, labels, patients))


def lines(num_sets: int) -> Iterator[Line]:
    """Yield all lines of the table."""
    for seeds in (5, 10):
        for line in (*parts(num_sets, seeds), *family(num_sets // 10, seeds)):
            yield Line(f"{line.what}; {seeds} seeds", *line[1:])
    for split_sd in (0.0, 0.01):
        words = f"published value of an equal model outside, splits change {split_sd:g}"
        yield Line(f"{words}: one split", "5" if not split_sd else "more", published(num_sets, 10, split_sd, 0))
        yield Line(f"{words}: five folds", "5", published(num_sets, 10, split_sd, 5))
        yield Line(f"{words}: by seeds alone", "-", by_seeds_alone(num_sets, 10, split_sd))
    for epochs in (50, 60):
        yield Line(f"overfits on noise about a level, {epochs} epochs", "few", overfits_on_noise(num_sets, epochs))
    yield Line(
        "overfits where validation loss rises by 3 sd of its noise", "most", overfits_on_noise(num_sets, 50, 0.15)
    )
    equal, unequal = (0.004, 0.004), (0.004, 0.012)
    for noise in (equal, unequal):
        for between in (0.0, 0.01):
            words = f"two families of equal spread ({between:g}), seeds' sd {noise[0]:g} and {noise[1]:g}"
            ours, by_ranges = consistent(num_sets, 10, noise, (between, between))
            yield Line(f"{words}: the first called more consistent", "at most 5", ours)
            yield Line(f"{words}: the same by highest minus lowest", "-", by_ranges)
    yield Line("the first truly is (spread 0 against 0.02)", "much", consistent(num_sets, 10, equal, (0.0, 0.02))[0])


def main(num_sets: int) -> None:
    """Print the table, shares in %."""
    print("| what | nominal | seen, % |\n|---|---|---|")
    for line in lines(num_sets):
        print(f"| {line.what} | {line.nominal} | {100 * line.share:.1f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

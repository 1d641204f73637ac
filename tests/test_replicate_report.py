"""Splits, folds and seeds are replicates of a configuration; images, sizes and ways of splitting are not.

What the report says is computed here from the files of the runs, with numpy alone.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from cxr_runner import load_runs, stats
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import Collected, Predictions, SplitLogits, Withheld
from cxr_runner.report.collected_runs import RunSplit
from cxr_runner.report.compare.comparison import DataSetComparison, compare
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.subgroup_metrics import compare_subgroups
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from split_trees import Images, Maker, Split, make_images, make_splits
from test_withholding import NAME, naming

TREE = Path(__file__).parent / "tree_42a7ee7"
METRICS = ("accuracy", "f1", "auroc")
CNN = {"model": "cnn"}
IMAGES = make_images(160)
Values = NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("quick_pictures")


def collected(root: Path) -> Collected:
    return collect(root, load_study(), Reporter())


def compared(root: Path) -> DataSetComparison:
    (one,) = compare(collected(root))
    return one


def comparison(root: Path) -> Comparison:
    (one,) = compared(root).comparisons
    return one


def standings(root: Path) -> dict[str, Standing]:
    return {one.label: one for one in comparison(root).standings}


# The same from the files


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run say."""

    name: str
    fingerprint: str
    seed: int
    num_train: int
    num_val: int
    test: pd.DataFrame


def run_files(root: Path) -> Iterator[RunFiles]:
    for path in sorted(root.glob("runs/*/seed=*")):
        data = json.loads((path / "data.json").read_text())
        config = yaml.safe_load((path / "config.yaml").read_text())
        table = pd.read_csv(path / "predictions.csv", keep_default_na=False)
        split = table["split"] == "test"
        num_train = sum(data["counts"]["train"].values())
        name = config["name"] or config["model"]["name"]
        yield RunFiles(name, data["fingerprint"], config["seed"], num_train, int((~split).sum()), table[split])


def measure(metric: str, logits: Values, labels: NDArray[np.int64], weights: Values) -> Values:
    """Return a metric for weights [images, replicates] by its definition."""
    truth, called = labels == 1, logits > 0
    with np.errstate(invalid="ignore"):  # nan where a class is not drawn
        return _measure(metric, logits, truth, called, weights)


def _measure(
    metric: str, logits: Values, truth: NDArray[np.bool_], called: NDArray[np.bool_], weights: Values
) -> Values:
    if metric == "accuracy":
        return (called == truth) @ weights / weights.sum(axis=0)
    if metric == "f1":
        tp, wrong = (called & truth) @ weights, (called != truth) @ weights
        return 2 * tp / (2 * tp + wrong)
    gaps = np.sign(logits[truth][:, None] - logits[~truth]) / 2 + 0.5
    positive, negative = weights[truth], weights[~truth]
    return np.asarray(((gaps.T @ positive) * negative).sum(axis=0) / (positive.sum(axis=0) * negative.sum(axis=0)))


def by_hand(
    runs: Sequence[RunFiles], metric: str, draw: Callable[[int], Values], minus: Sequence[RunFiles] | None = None
) -> stats.Estimate:
    """Return the mean of a metric over runs, or of its difference to other runs on the same splits and seeds.

    Args:
        runs: all runs of a configuration.
        metric: one of METRICS.
        draw: returns how often each of so many patients, in the order of their names, is drawn in each replicate.
        minus: all runs of another configuration.
    """
    every = [*runs, *(minus or ())]
    patients = sorted({patient for run in every for patient in run.test["patient"]})
    drawn = draw(len(patients))
    weights = pd.DataFrame(drawn, index=patients)
    measured: list[dict[tuple[str, int], tuple[float, Values]]] = []
    for some in (runs, minus or ()):
        measured.append({})
        for run in some:
            logits, labels = run.test["logit"].to_numpy(), run.test["label"].to_numpy()
            value = measure(metric, logits, labels, np.ones((len(labels), 1)))[0]
            drawn_values = measure(metric, logits, labels, weights.loc[run.test["patient"]].to_numpy())
            measured[-1][run.fingerprint, run.seed] = value, drawn_values
    first, second = measured
    keys = [key for key in first if minus is None or key in second]
    values = np.array([first[key][0] - (second[key][0] if minus else 0) for key in keys])
    draws = np.array([first[key][1] - (second[key][1] if minus else 0) for key in keys])
    splits = sorted({key[0] for key in keys})
    codes = np.array([splits.index(key[0]) for key in keys])
    of_split = [np.nanvar(draws[codes == code].mean(axis=0)) for code in range(len(splits))]
    taken = [run for run in runs if (run.fingerprint, run.seed) in keys]
    sizes = {run.fingerprint: (len(run.test), run.num_val, run.num_train) for run in taken}
    tested = {tuple(sorted(run.test["name"])) for run in taken}
    held = sum(val if len(tested) == 1 else test for test, val, _ in sizes.values())
    ratio = held / sum(train for _, _, train in sizes.values()) if len(sizes) > 1 else 0.0
    seeds, bounds = [key[1] for key in keys], (-1.0 if minus else 0.0, 1.0)
    return stats.mean_over_runs(values, codes, seeds, ratio, float(np.mean(of_split)), len(tested) == 1, bounds=bounds)


def same_draws(num_patients: int) -> Values:
    """Draw as the report does, whole patients; that these are drawn together is tested with the statistics."""
    return stats.resample(num_patients)


def other_draws(num_patients: int) -> Values:
    rng = np.random.default_rng(77)
    return rng.multinomial(num_patients, np.full(num_patients, 1 / num_patients), 2000).T.astype(float)


def assert_equal(one: stats.Estimate, other: stats.Estimate, rel: float = 1e-9) -> None:
    for figure in ("mean", "low", "high", "error"):
        assert getattr(one, figure) == pytest.approx(getattr(other, figure), rel=rel, abs=1e-12), figure
    assert (one.num_runs, one.num_splits, one.num_seeds) == (other.num_runs, other.num_splits, other.num_seeds)
    for figures in ("spread", "shares", "doubled"):
        for source in stats.replicates.SOURCES:
            values = [getattr(getattr(estimate, figures), source) for estimate in (one, other)]
            assert values[0] == (None if values[1] is None else pytest.approx(values[1], rel=rel, abs=1e-9)), source


def assert_by_hand(root: Path) -> None:
    """Assert that all means and differences of two configurations are those of their files."""
    files: dict[str, list[RunFiles]] = {}
    for run in run_files(root):
        files.setdefault(run.name, []).append(run)
    first, second = comparison(root).standings
    runs, others = (files[one.runs[0].name] for one in (first, second))
    # All test images of all configurations are drawn from, so that both see the same replicates.
    for metric in METRICS:
        assert_equal(first.estimates[metric], by_hand(runs, metric, same_draws))
        assert_equal(second.estimates[metric], by_hand(others, metric, same_draws))
        assert_equal(second.differences[metric], by_hand(others, metric, same_draws, runs))


# Replicates


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations on 5 folds x 2 repeats x 3 seeds."""
    root = tmp_path_factory.mktemp("grid")
    splits = make_splits(IMAGES, 5, 2)
    Maker(root, IMAGES, splits).write()
    Maker(root, IMAGES, splits, CNN, tag=1, gain=1.4).write()
    return root


def test_folds_repeats_and_seeds_are_one_configuration_in_one_row_below_one_heading(grid: Path, tmp_path: Path) -> None:
    for path in grid.glob("runs/linear-*"):
        shutil.copytree(path, tmp_path / "runs" / path.name)
    write_report(tmp_path, tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert html.count('<section id="data') == 1
    tables = {name: pd.read_csv(tmp_path / "report" / "tables" / f"{name}.csv") for name in ("comparison", "runs")}
    configurations = pd.read_csv(tmp_path / "report" / "tables" / "configurations.csv")
    (row,), (summary,) = tables["comparison"].to_dict("records"), configurations.to_dict("records")
    assert (row["num_runs"], row["num_splits"], row["num_seeds"]) == (30, 10, 3)
    assert (summary["num_runs"], summary["num_splits"], summary["num_seeds"]) == (30, 10, 3)
    assert "5 folds × 2 repeats × 3 seeds" in (tmp_path / "report" / "tables" / "comparison.md").read_text("utf-8")
    assert "5 folds × 2 repeats × 3 seeds" in html
    runs = tables["runs"]
    assert sorted(zip(runs["split_seed"], runs["fold"], runs["seed"], strict=True)) == [
        (split, fold, seed) for split in range(2) for fold in range(5) for seed in range(3)
    ]
    estimate = by_hand([run for run in run_files(grid) if run.name == "linear"], "accuracy", same_draws)
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx(
        (estimate.mean, estimate.low, estimate.high)
    )
    assert not (tmp_path / "report" / "claims.md").exists()  # which are those of a study that nobody has asked for


def test_means_intervals_and_differences_are_those_of_the_files(grid: Path) -> None:
    assert_by_hand(grid)


def test_a_bootstrap_with_other_draws_gives_nearly_the_same_intervals(grid: Path) -> None:
    runs = {name: [run for run in run_files(grid) if run.name == name] for name in ("linear", "cnn")}
    first, second = comparison(grid).standings
    for metric in METRICS:
        mine = by_hand(runs["cnn"], metric, other_draws, runs["linear"])
        assert second.differences[metric].mean == pytest.approx(mine.mean)
        assert second.differences[metric].error == pytest.approx(mine.error, rel=0.08)
        mine = by_hand(runs["linear"], metric, other_draws)
        assert first.estimates[metric].spread.images == pytest.approx(mine.spread.images, rel=0.08)


def test_the_held_ratio_is_that_of_test_to_training_images(grid: Path) -> None:
    by_split = {run.fingerprint: run for run in run_files(grid)}.values()
    assert sum(len(run.test) for run in by_split) == 2 * len(IMAGES.names)  # each is tested once a repeat
    (runs,) = collected(grid).data_sets
    for name in runs.predictions.configurations:
        resampled = Resampling(runs.predictions).metric(name, "accuracy")
        ratio = sum(len(run.test) for run in by_split) / sum(run.num_train for run in by_split)
        assert resampled.held_ratio == pytest.approx(ratio)
        assert 0.25 < ratio < 0.35  # 1 to 4, and val taken from the 4
        assert not resampled.shared_test


def test_of_one_split_the_interval_is_that_over_seeds_and_images(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, make_splits(IMAGES, None)).write(range(4))
    (one,) = comparison(tmp_path).standings
    runs = list(run_files(tmp_path))
    for metric in METRICS:
        labels, patients = runs[0].test["label"].to_numpy(), runs[0].test["patient"]
        weights = stats.resample(len(labels), patients.tolist())
        logits = [run.test["logit"].to_numpy() for run in runs]
        values = [measure(metric, one, labels, np.ones((len(labels), 1)))[0] for one in logits]
        expected = stats.mean_over_seeds(
            np.array(values), np.stack([measure(metric, one, labels, weights) for one in logits])
        )
        estimate = one.estimates[metric]
        assert (estimate.mean, estimate.low, estimate.high) == pytest.approx(expected[:3])
        assert (estimate.num_splits, estimate.shares.splits) == (1, None)


def test_one_seed_on_several_splits_has_an_interval_and_a_single_run_none(tmp_path: Path) -> None:
    Maker(tmp_path / "folds", IMAGES, make_splits(IMAGES)).write([3])
    Maker(tmp_path / "single", IMAGES, make_splits(IMAGES, None)).write([3])
    (one,), (single,) = (comparison(tmp_path / name).standings for name in ("folds", "single"))
    assert one.estimates["accuracy"].low < one.mean("accuracy") < one.estimates["accuracy"].high
    assert one.estimates["accuracy"].shares.seeds is None
    assert np.isnan(single.estimates["accuracy"].low)


def test_runs_may_be_missing(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 5, 2)
    Maker(tmp_path, IMAGES, splits).write(skip=lambda split, seed: split.fold == 1 and seed > 0)
    Maker(tmp_path, IMAGES, splits[:7], CNN, tag=1).write(range(1, 4))
    first, second = comparison(tmp_path).standings
    assert (len(first.runs), len(second.runs)) == (26, 21)
    assert second.differences["f1"].num_runs == 5 * 2  # four folds of the first repeat and one of the second
    assert_by_hand(tmp_path)
    write_report(tmp_path, tmp_path / "report")
    said = (tmp_path / "report" / "tables" / "comparison.md").read_text("utf-8")
    assert "5 folds × 2 repeats, 3 seeds, 26 runs" in said
    assert "7 splits of 5 folds × 2 repeats × 3 seeds" in said


def test_without_common_splits_and_seeds_there_is_no_difference(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 4)
    Maker(tmp_path, IMAGES, splits[:2]).write()
    Maker(tmp_path, IMAGES, splits[2:], CNN).write()
    write_report(tmp_path, tmp_path / "report")
    first, second = comparison(tmp_path).standings
    assert (first.differences, second.differences) == ({}, {})
    assert "cannot be tested" in (tmp_path / "report" / "report.md").read_text("utf-8")
    pairs = pd.read_csv(tmp_path / "report" / "tables" / "pairs.csv")
    assert pairs["run_pairs"].tolist() == [0]
    assert pairs["accuracy_p"].isna().all()


def test_a_test_split_that_is_kept_is_shared_and_val_rotates(tmp_path: Path) -> None:
    images = make_images(160, given_test=True)
    splits = make_splits(images, 4, 2)
    Maker(tmp_path, images, splits).write()
    Maker(tmp_path, images, splits, CNN, tag=1).write()
    assert len({tuple(run.test["name"]) for run in run_files(tmp_path)}) == 1
    assert_by_hand(tmp_path)
    files = [run for run in run_files(tmp_path) if run.name == "linear"]
    by_images = by_hand(files, "accuracy", same_draws).spread.images
    estimate = standings(tmp_path)["linear"].estimates["accuracy"]
    assert estimate.spread.images == pytest.approx(by_images)
    assert by_images is not None
    assert estimate.error**2 > by_images**2  # more splits make it no smaller


# What is not a replicate


def test_sizes_are_compared_apart(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 3)
    for size in (64, 32):
        Maker(tmp_path, IMAGES, splits, image_size=size, gain=size / 40).write()
    large, small = compared(tmp_path).comparisons
    assert (large.image_size, small.image_size) == (64, 32)
    assert [len(one.standings) for one in (large, small)] == [1, 1]
    assert large.reference.mean("auroc") > small.reference.mean("auroc")
    write_report(tmp_path, tmp_path / "report")
    assert {"comparison_64px.csv", "comparison_32px.csv"} < {
        path.name for path in (tmp_path / "report" / "tables").iterdir()
    }
    assert (tmp_path / "report" / "index.html").read_text("utf-8").count('<section id="data') == 1


def test_other_images_stand_below_another_heading(tmp_path: Path) -> None:
    for tag in "ab":
        images = make_images(160, tag=tag)
        Maker(tmp_path, images, make_splits(images, 3)).write([0])
    one, other = compare(collected(tmp_path))
    assert [len(one.runs.runs), len(other.runs.runs)] == [3, 3]
    write_report(tmp_path, tmp_path / "report")
    assert (tmp_path / "report" / "index.html").read_text("utf-8").count('<section id="data') == 2


def test_another_way_of_splitting_is_another_configuration_of_the_same_images(tmp_path: Path) -> None:
    splits = {
        "5 folds": make_splits(IMAGES, 5),
        "3 folds": make_splits(IMAGES, 3),
        "one split": make_splits(IMAGES, None),
        "at random": make_splits(IMAGES, 5, strategy="random"),
        "val": make_splits(IMAGES, 5, val_share=0.25),
    }
    for some in splits.values():
        Maker(tmp_path, IMAGES, some).write([0])
    labels = {label: len(one.runs) for label, one in standings(tmp_path).items()}
    assert len(labels) == 5
    assert sorted(labels.values()) == [1, 3, 5, 5, 5]
    assert sum("3 folds" in label for label in labels) == 1
    assert sum("one split" in label for label in labels) == 1
    assert sum("split at random" in label for label in labels) == 1
    assert sum("val share 0.25" in label for label in labels) == 1


def test_whether_splits_share_test_images_is_asked_of_those_that_both_have() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 2).astype(np.int64)

    def logits(seed: int, test: slice) -> SplitLogits:
        rows = np.arange(60)[test]
        val, drawn = rng.normal(size=(3, 10)), 2 * labels[rows] - 1 + rng.normal(size=(3, len(rows)))
        collapsed = np.zeros(3, bool)
        split = RunSplit(seed, None, None, f"split {seed}")
        return SplitLogits(split, 40, (0, 1, 2), collapsed, labels[:10], val, rows, drawn)

    kept = [[logits(seed, slice(0, 40)) for seed in range(3)] for _ in range(2)]
    apart = logits(9, slice(20, 60))  # as it was split before test images were kept
    names = tuple(str(number) for number in range(60))
    found = {}
    for case, splits in (("only", kept[0]), ("more", [*kept[0], apart])):
        configurations = {"first": tuple(splits), "second": tuple(kept[1])}
        resampling = Resampling(Predictions(names, labels, None, configurations, {}))
        for pair in (("first", "second"), ("second", "first")):
            found[case, pair] = resampling.differences(*pair)["accuracy"].error
    assert found["only", ("first", "second")] > 0
    assert list(found.values()) == pytest.approx([found["only", ("first", "second")]] * 4)


# Runs from before


def test_a_tree_from_before_has_a_report(tmp_path: Path) -> None:
    shutil.copytree(TREE / "outputs", tmp_path / "outputs")
    write_report(tmp_path / "outputs", tmp_path / "report")
    before = load_runs(TREE / "outputs")
    table = pd.concat([pd.read_csv(path) for path in sorted((tmp_path / "report" / "tables").glob("comparison*.csv"))])
    assert table["num_runs"].sum() == len(before) == 3
    assert not len(pd.read_csv(tmp_path / "report" / "tables" / "left_out.csv"))
    assert before["fold"].isna().all()
    assert (before["split_seed"] == 0).all()


@pytest.mark.parametrize("old_seed", [0, 9])
def test_runs_from_before_fingerprints_of_the_source_are_joined_by_that_of_the_splits(
    tmp_path: Path, old_seed: int
) -> None:
    splits = make_splits(IMAGES, None, 3)
    maker = Maker(tmp_path, IMAGES, splits)
    maker.write(range(1, 4))
    replace(maker, splits=splits[:1], old=True).write([old_seed])
    one = comparison(tmp_path)
    assert [(len(standing.runs), standing.num_splits) for standing in one.standings] == [(10, 3)]


def test_runs_from_before_alone_are_one_configuration_a_split(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, None, 2)
    Maker(tmp_path, IMAGES, splits, old=True).write()
    first, second = compare(collected(tmp_path))
    assert [len(one.runs.runs) for one in (first, second)] == [3, 3]


def test_patients_that_newer_runs_noted_are_resampled_though_older_runs_did_not(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, None)
    maker = Maker(tmp_path, IMAGES, splits)
    replace(maker, old=True).write([0])
    for path in tmp_path.glob("runs/*/seed=0/predictions.csv"):  # older runs have no column of patients
        pd.read_csv(path).drop(columns="patient").to_csv(path, index=False)
    maker.write([1, 2])
    assert comparison(tmp_path).unit == "patients"


# What else is made of several splits


def test_with_names_hidden_no_file_names_an_image_or_a_patient_of_any_fold(tmp_path: Path) -> None:
    images = replace(
        make_images(160, name=f"{NAME}{{}}.png", tag="n"),
        columns={"view": tuple("AP" if number % 2 else "PA" for number in range(160))},
    )
    images = replace(images, patients=tuple(f"{NAME}{patient}" for patient in images.patients))
    for tag, settings in enumerate(({}, CNN, {"loss.pos_weight": 0.5})):
        Maker(tmp_path, images, make_splits(images, 3, 2), settings, tag=tag, noise=2.0).write(range(2))
    write_report(tmp_path, tmp_path / "plain")
    assert {"index.html", "report.md", "mistakes.csv"} <= naming(tmp_path / "plain")
    for withheld in (Withheld(names=True), Withheld(names=True, images=True)):
        write_report(tmp_path, tmp_path / "hidden", withheld=withheld)
        assert naming(tmp_path / "hidden") == set()
    for name in ("comparison", "pairs", "weight", "quality", "subgroups"):
        for path in (tmp_path / "plain" / "tables").glob(f"{name}*.csv"):
            assert path.read_bytes() == (tmp_path / "hidden" / "tables" / path.name).read_bytes()


def test_subgroups_are_of_the_pooled_test_images_of_all_folds(tmp_path: Path) -> None:
    columns = {"view": tuple("AP" if number % 3 else "PA" for number in range(len(IMAGES.names)))}
    images: Images = replace(IMAGES, columns=columns)

    def lacks(split: Split, seed: int) -> bool:
        return seed == 2 and split.seed == 1 and split.fold == 2

    Maker(tmp_path, images, make_splits(images, 4, 2)).write(
        skip=lacks, collapsed=lambda split, seed: seed == 0 and split.seed == 0 and split.fold == 3
    )
    (runs,) = collected(tmp_path).data_sets
    result = compare_subgroups(runs)
    assert result is not None
    entry = result.metrics.set_index("value").loc["AP"]
    assert entry["num_images"] == columns["view"].count("AP")
    assert (entry["num_runs"], entry["num_collapsed"], entry["num_used"]) == (23, 1, 4)  # of 6 repeats and seeds
    pooled: dict[tuple[int, int], list[pd.DataFrame]] = {}
    for path in tmp_path.glob("runs/*/seed=*"):
        split = json.loads((path / "data.json").read_text())["split"]
        table = pd.read_csv(path / "predictions.csv")
        pooled.setdefault((split["seed"], int(path.name[5:])), []).append(table[table["split"] == "test"])
    values = []
    for key, tables in pooled.items():
        if key not in ((0, 0), (1, 2)):  # one fold collapsed, one is missing
            whole = pd.concat(tables)
            assert sorted(whole["name"]) == sorted(images.names)
            inside = whole[(whole["view"] == "AP") & (whole["label"] == 1)]
            values.append((inside["logit"] > 0).mean())
    assert entry["sensitivity"] == pytest.approx(np.mean(values))


def test_mistakes_are_shares_of_the_runs_that_were_tested_on_an_image(grid: Path) -> None:
    mistakes = comparison(grid).mistakes
    assert mistakes is not None
    names = compared(grid).runs.predictions.names
    row = mistakes.configurations.index(standings(grid)["CNN"].name)
    tables = [run.test for run in run_files(grid) if run.name == "cnn"]
    whole = pd.concat(tables)
    wrong = ((whole["logit"] > 0) != (whole["label"] == 1)).groupby(whole["name"]).mean()
    assert mistakes.wrong[row] == pytest.approx(wrong.loc[list(names)].to_numpy())
    assert mistakes.logits[row] == pytest.approx(whole.groupby("name")["logit"].mean().loc[list(names)].to_numpy())

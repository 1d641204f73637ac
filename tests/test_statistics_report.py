"""How uncertain the figures of the report are: intervals, pairs, the class weight, what logits are worth.

References are numpy by hand, scipy and scikit-learn; of one split, ``stats.mean_over_seeds``.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

import cxr_runner.__init__
from cxr_runner import stats
from cxr_runner.base.progress import Reporter
from cxr_runner.plots.style import save_figure
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import DataSetRuns, Predictions, SplitLogits
from cxr_runner.report.compare.comparison import DataSetComparison, compare
from cxr_runner.report.compare.sized_comparison import Comparison
from cxr_runner.report.compare.standings import Standing
from cxr_runner.report.compare.uncertainty import pairs as pairs_module
from cxr_runner.report.compare.uncertainty.pairs import pair_table
from cxr_runner.report.compare.uncertainty.resampling import Resampling
from cxr_runner.report.compare.uncertainty.weighting import weight_pairs
from cxr_runner.report.render.comparison_section import ComparisonSection, comparison_section
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from split_trees import Maker, make_images, make_splits
from study_trees import STUDIED, write_study

ROWS = ["0", "14", "20", "21", "23", "24"]
IMAGES = make_images(120)

pytestmark = pytest.mark.usefixtures("quick_pictures")


class Read:
    """What a tree of one data set comes to."""

    def __init__(self, root: Path) -> None:
        self.whole: DataSetComparison
        (self.whole,) = compare(collect(root, load_study(), Reporter()))
        self.runs: DataSetRuns = self.whole.runs
        self.predictions: Predictions = self.runs.predictions
        self.comparison: Comparison
        (self.comparison,) = self.whole.comparisons
        self.rows: dict[str | None, Standing] = {one.row: one for one in self.comparison.standings}
        self.labels: dict[str, Standing] = {one.label: one for one in self.comparison.standings}

    @property
    def section(self) -> ComparisonSection:
        return comparison_section(self.comparison, self.whole, "")

    def split(self, row: str) -> SplitLogits:
        """Return the logits of a row, which has one split."""
        (split,) = self.predictions.configurations[self.rows[row].name]
        return split

    def named(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """Return a table with ids of rows for names of configurations, indexed by some columns."""
        ids = {one.name: row for row, one in self.rows.items()}
        return table.replace(ids).set_index(list(columns))


def run_file(root: Path, row: str, seed: int, name: str) -> Path:
    (path,) = root.glob(f"runs/*_{row.zfill(2)}-*/seed={seed}/{name}")
    return path


def collapse(root: Path, row: str, seed: int) -> None:
    """Turn a finished run into one that has collapsed."""
    path = run_file(root, row, seed, "metrics.json")
    path.write_text(path.read_text().replace('"collapsed": false', '"collapsed": true'))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of six rows; the class weight shifts their logits and does nothing else."""
    root = tmp_path_factory.mktemp("tree")
    write_study(root, rows=ROWS, names="patient{}.png")
    return root


@pytest.fixture(scope="module")
def result(tree: Path) -> Read:
    return Read(tree)


def correct(split: SplitLogits, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((split.test > 0) == (labels[split.test_rows] == 1))


def test_predictions_are_those_of_the_files_by_configuration_split_and_seed(tree: Path, result: Read) -> None:
    assert set(result.rows) == set(ROWS)
    table = pd.read_csv(run_file(tree, "23", 1, "predictions.csv"))
    split = result.split("23")
    assert split.seeds == (0, 1, 2)
    assert split.num_train == 1102 + 2975
    assert split.test[1].tolist() == table["logit"][table["split"] == "test"].tolist()
    assert split.val[1].tolist() == table["logit"][table["split"] == "val"].tolist()
    assert split.val_labels.tolist() == table["label"][table["split"] == "val"].tolist()
    names = [result.predictions.names[row] for row in split.test_rows]
    assert names == table["name"][table["split"] == "test"].tolist()
    assert len(result.predictions.patients or ()) == 80
    assert len(set(result.predictions.patients or ())) == 40


def test_of_one_split_intervals_and_differences_are_those_over_seeds_and_images(result: Read) -> None:
    labels, patients = result.predictions.labels, result.predictions.patients
    weights = stats.resample(len(labels), patients)

    def measured(row: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        right = correct(result.split(row), labels)
        return right.mean(axis=1), right @ weights / weights.sum(axis=0)

    (values, replicates), (others, other_replicates) = measured("20"), measured("23")
    estimate = result.rows["20"].estimates["accuracy"]
    expected = stats.mean_over_seeds(values, replicates)
    assert (estimate.mean, estimate.low, estimate.high, estimate.p) == pytest.approx(tuple(expected))
    pairs = result.named(result.comparison.pairs, "first", "second")
    key = ("20", "23") if ("20", "23") in pairs.index else ("23", "20")
    sign = 1 if key[0] == "20" else -1
    expected = stats.mean_over_seeds(sign * (values - others), sign * (replicates - other_replicates))
    entry = pairs.loc[key]
    assert [entry[f"accuracy_{name}"] for name in ("difference", "low", "high", "p")] == pytest.approx(list(expected))


def test_differences_are_to_the_reference_and_corrected_for_their_number(result: Read) -> None:
    first, *others = result.comparison.standings
    assert first.differences == {}
    for metric in ("accuracy", "f1", "auroc"):
        p_values = [one.differences[metric].p for one in others]
        assert [one.adjusted[metric] for one in others] == pytest.approx(list(stats.holm(p_values)))
    pairs = result.comparison.pairs
    assert pairs is not None
    to_first = pairs[pairs["first"] == first.name].set_index("second")
    for one in others:
        assert one.differences["f1"].mean == pytest.approx(-to_first.loc[one.name, "f1_difference"])
        assert one.differences["f1"].p == pytest.approx(to_first.loc[one.name, "f1_p"])


# Pairs


def mcnemar_by_hand(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int, float]:
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return one, other, scipy.stats.binomtest(one, one + other).pvalue if one + other else 1.0


def delong_by_hand(first: NDArray[np.float64], second: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the p value by structural components, as in the paper."""
    psi = [np.sign(one[labels == 1][:, None] - one[labels == 0]) / 2 + 0.5 for one in (first, second)]
    aucs = [one.mean() for one in psi]
    of_positive, of_negative = (np.cov([one.mean(axis=axis) for one in psi]) for axis in (1, 0))
    covariance = of_positive / psi[0].shape[0] + of_negative / psi[0].shape[1]
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert aucs == pytest.approx([roc_auc_score(labels, one) for one in (first, second)])
    return float(2 * scipy.stats.norm.sf(abs(aucs[0] - aucs[1]) / np.sqrt(variance)))


def test_runs_are_compared_one_by_one_on_the_same_split_with_the_same_seed(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 3)
    Maker(tmp_path, IMAGES, splits, gain=0.4).write(range(3))
    Maker(tmp_path, IMAGES, splits, {"model": "cnn"}, gain=1.5, tag=1).write(range(1, 5))
    result = Read(tmp_path)
    first, second = result.comparison.standings
    assert result.comparison.pairs is not None
    (entry,) = result.comparison.pairs.to_dict("records")
    assert (entry["first"], entry["second"]) == (first.name, second.name)
    labels, tests = result.predictions.labels, []
    for one, other in zip(*(result.predictions.configurations[each.name] for each in (first, second)), strict=True):
        assert one.split == other.split
        truth = labels[one.test_rows]
        for seed in (1, 2):
            logits, others = one.test[one.seeds.index(seed)], other.test[other.seeds.index(seed)]
            decided = mcnemar_by_hand((logits > 0) == (truth == 1), (others > 0) == (truth == 1))
            tests.append((*decided, delong_by_hand(logits, others, truth)))
    table = np.array(tests)
    assert entry["run_pairs"] == len(table) == 6
    assert (entry["only_first"], entry["only_second"]) == pytest.approx(tuple(table[:, :2].mean(axis=0)))
    below = (table[:, 2:] < 0.05).sum(axis=0)
    assert (entry["mcnemar_below"], entry["delong_below"]) == tuple(below)
    assert below.max() > 0


def test_pairs_are_all_and_corrected_for_their_number(result: Read) -> None:
    pairs = result.comparison.pairs
    assert pairs is not None
    assert len({frozenset(pair) for pair in zip(pairs["first"], pairs["second"], strict=True)}) == 15
    for metric in ("accuracy", "f1", "auroc"):
        assert pairs[f"{metric}_holm"].tolist() == pytest.approx(list(stats.holm(pairs[f"{metric}_p"])))
    of_figure = result.named(result.whole.pairs[20], "first", "second")
    assert list(of_figure.index) == [
        ("20", "21"),
        ("20", "24"),
        ("20", "23"),
        ("21", "24"),
        ("21", "23"),
        ("24", "23"),
    ]
    assert of_figure["accuracy_holm"].tolist() == pytest.approx(list(stats.holm(of_figure["accuracy_p"])))


def test_of_very_many_pairs_of_runs_every_so_many_is_compared(result: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "_MOST_RUN_PAIRS", 2)
    names = [one.name for one in result.comparison.standings[:2]]
    table = pair_table(Resampling(result.predictions), names)
    assert table is not None
    assert table["run_pairs"].tolist() == [2]  # of 3
    assert pair_table(Resampling(result.predictions), names[:1]) is None


# The class weight


def test_a_weight_that_only_shifts_logits_is_gone_at_matched_thresholds_and_with_the_shift_undone(result: Read) -> None:
    weights = result.named(result.comparison.weights, "weighted", "rule")
    assert weights.loc[("23", "zero"), "weighted_sensitivity"] < weights.loc[("23", "zero"), "unweighted_sensitivity"]
    assert weights.loc[("23", "zero"), "weighted_specificity"] > weights.loc[("23", "zero"), "unweighted_specificity"]
    for rule in ("matched", "undone"):
        entry = weights.loc[("23", rule)]
        assert entry["accuracy_low"] < 0 < entry["accuracy_high"]
        assert entry["weighted_specificity"] == pytest.approx(entry["unweighted_specificity"], abs=0.06)
    assert ("24", "matched") in weights.index
    assert ("24", "undone") not in weights.index  # behind a last ReLU
    for _, group in weights.groupby("rule"):
        assert group["accuracy_holm"].tolist() == pytest.approx(list(stats.holm(group["accuracy_p"])))


def test_matching_never_asks_a_relu_for_less_than_it_can_give(result: Read) -> None:
    entry = result.named(result.comparison.weights, "weighted", "rule").loc[("24", "matched")]
    assert entry["weighted_specificity"] == pytest.approx(entry["unweighted_specificity"], abs=0.06)


def test_pairs_of_the_class_weight_are_all_configurations_that_differ_in_nothing_else(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=[0], names="patient{}.png")
    result = Read(tmp_path)
    ids = {one.name: row for row, one in result.rows.items()}
    runs = {one.name: one.runs[0] for one in result.comparison.standings}
    expected = [("0", "14"), ("5", "15"), ("11", "16"), ("20", "23"), ("21", "24"), ("22", "25")]
    expected += [("20b", "23b"), ("21b", "24b"), ("22b", "25b")]
    assert sorted((ids[one], ids[other]) for one, other in weight_pairs(runs)) == sorted(expected)


def test_what_was_trained_at_another_size_is_in_no_pair_and_no_comparison_of_the_weight(tmp_path: Path) -> None:
    for row, size, mark in (("20", 64, "a"), ("23", 32, "b")):
        data = STUDIED | {"fingerprint": mark * 16}
        write_study(tmp_path / row, rows=[row], data=data, image_size=size, names="patient{}.png")
    (compared,) = compare(collect(tmp_path, load_study(), Reporter()))
    assert [one.weights for one in compared.comparisons] == [None, None]
    assert [len(one.standings) for one in compared.comparisons] == [1, 1]
    assert dict(compared.pairs) == {}


def test_the_class_weight_is_compared_over_folds(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 3)
    Maker(tmp_path, IMAGES, splits).write(range(2))
    shift = float(np.log(0.4))
    Maker(tmp_path, IMAGES, splits, {"loss.pos_weight": 0.4}, shift=shift).write(range(2))
    result = Read(tmp_path)
    assert result.comparison.weights is not None
    weights = result.comparison.weights.set_index("rule")
    before, after = (
        np.mean([
            ((logits > 0) == (result.predictions.labels[one.test_rows] == 1)).mean()
            for one in result.predictions.configurations[standing.name]
            for logits in one.test
        ])
        for standing in (result.labels["unweighted"], result.labels["weight 0.4"])
    )  # fmt: skip
    entry = weights.loc["zero"]
    assert (entry["unweighted_accuracy"], entry["weighted_accuracy"]) == pytest.approx((before, after))
    assert entry["accuracy_difference"] == pytest.approx(after - before)
    assert entry["accuracy_low"] < after - before < entry["accuracy_high"]
    entry = weights.loc["undone"]  # the shift was all that the weight did
    assert (entry["accuracy_difference"], entry["f1_difference"]) == pytest.approx((0, 0), abs=1e-9)


# What logits are worth


def test_undoing_the_shift_mends_the_calibration(result: Read) -> None:
    quality = result.named(result.comparison.quality, "configuration")
    assert quality.loc["23", "ece_undone"] < quality.loc["23", "ece"] - 0.03
    assert quality.loc["23", "brier_undone"] < quality.loc["23", "brier"]
    assert np.isnan(quality.loc[["20", "24"], "ece_undone"].astype(float)).all()
    assert (quality["sensitivity_at_90"] >= quality["sensitivity_at_95"]).all()


def test_what_logits_are_worth_is_what_scikit_learn_says_averaged_over_folds_and_seeds(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, make_splits(IMAGES, 3)).write(
        range(2), collapsed=lambda split, seed: split.fold == 1 and seed == 1
    )
    result = Read(tmp_path)
    (entry,) = result.comparison.quality.to_dict("records")
    (splits,) = result.predictions.configurations.values()
    used = [
        (result.predictions.labels[one.test_rows], logits)
        for one in splits
        for logits, collapsed in zip(one.test, one.collapsed, strict=True)
        if not collapsed
    ]
    assert entry["num_runs"] == len(used) == 5
    expected = {"auroc": roc_auc_score, "auprc": average_precision_score}
    for name, function in expected.items():
        assert entry[name] == pytest.approx(np.mean([function(truth, logits) for truth, logits in used]))
    probabilities = [(truth, 1 / (1 + np.exp(-logits))) for truth, logits in used]
    assert entry["brier"] == pytest.approx(np.mean([brier_score_loss(*pair) for pair in probabilities]))
    (ways,) = result.comparison.reliability.values()
    assert ways["as trained"].counts.sum() == sum(len(truth) for truth, _ in used)


# Runs that say nothing


def test_collapsed_runs_count_in_the_mean_of_all_and_the_mean_of_the_others_stands_beside(
    tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    collapse(tmp_path, "20", 1)
    runs = cxr_runner.load_runs(tmp_path)
    runs = runs[runs["row"] == "20"]
    entry = cxr_runner.comparison_table(tmp_path, 20).set_index(["row", "metric"]).loc[("20", "f1")]
    assert entry["mean"] == pytest.approx(runs["f1"][~runs["collapsed"]].mean())
    assert entry["all_mean"] == pytest.approx(runs["f1"].mean())
    assert (entry["num_seeds"], entry["num_collapsed"]) == (3, 1)
    result = Read(tmp_path)
    assert result.split("20").seeds == (0, 1, 2)
    assert result.split("20").collapsed.tolist() == [False, True, False]
    one = result.rows["20"]
    assert one.estimates["f1"].num_runs == 3
    assert (one.mean("f1"), one.mean("f1", collapsed=False)) == pytest.approx((entry["all_mean"], entry["mean"]))
    data = result.section.tables[0].data.set_index("row").loc["20"]
    assert (data["f1"], data["f1_not_collapsed"]) == pytest.approx((entry["all_mean"], entry["mean"]))
    assert data["num_collapsed"] == 1
    (shown,) = (row for row in result.section.rows if row.name == one.name)
    assert shown.runs == "3 seeds, 1 collapsed"
    assert shown.cells[0].note == f"{one.mean('accuracy', collapsed=False):.3f} not collapsed"
    assert any("20: " in said and "1 collapsed" in said for said in result.section.sentences)


def test_one_sided_runs_are_counted_and_said(tmp_path: Path) -> None:
    Maker(tmp_path, IMAGES, make_splits(IMAGES, 2), {"model": "cnn"}, tag=1).write(range(2))
    for shift, seed in ((50.0, 0), (-50.0, 1), (50.0, 2)):
        Maker(tmp_path, IMAGES, make_splits(IMAGES, 2), shift=shift).write([seed])
    Maker(tmp_path, IMAGES, make_splits(IMAGES, 2), shift=50.0).write([3], collapsed=lambda split, seed: True)
    result = Read(tmp_path)
    one = result.labels["linear"]
    assert (one.one_sided, one.num_collapsed) == ((4, 2), 2)
    data = result.section.tables[0].data.set_index("configuration").loc["linear"]
    assert (data["num_all_positive"], data["num_all_negative"], data["num_collapsed"]) == (4, 2, 2)
    assert result.labels["CNN"].one_sided == (0, 0)
    said = (
        "Runs that say nothing of their model: linear: 2 folds × 4 seeds, 2 collapsed, 4 all positive, 2 all negative."
    )
    assert said in result.section.sentences


def test_a_row_whose_runs_have_all_collapsed_is_said_to_have(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    for seed in range(3):
        collapse(tmp_path, "20", seed)
    write_report(tmp_path, tmp_path / "report")
    for name in ("index.html", "report.md"):
        assert "all collapsed" in (tmp_path / "report" / name).read_text("utf-8")
    entry = cxr_runner.comparison_table(tmp_path, 20).set_index(["row", "metric"]).loc[("20", "accuracy")]
    assert np.isnan(entry["mean"])
    assert np.isnan(entry["wilson_low"])
    assert entry["inside"] is pd.NA
    tables = tmp_path / "report" / "tables"
    compared = pd.read_csv(tables / "comparison.csv", dtype={"row": str}).set_index("row").loc["20"]
    assert compared["num_collapsed"] == compared["num_runs"] == 3
    assert np.isnan(compared["accuracy_not_collapsed"])
    result = Read(tmp_path)
    for table in (result.comparison.quality["configuration"], result.comparison.weights["unweighted"]):  # type: ignore[index]
        assert result.rows["20"].name not in set(table)


# Runs whose predictions are of no use


def test_predictions_that_cannot_be_used_are_said_and_do_not_count(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    run_file(tmp_path, "0", 0, "predictions.csv").unlink()
    for row, old, new in (("14", "patient7", "patient8"), ("20", ",1,", ",0,"), ("21", "logit", "x")):
        path = run_file(tmp_path, row, 2, "predictions.csv")
        path.write_text(path.read_text().replace(old, new))
    path = run_file(tmp_path, "23", 0, "predictions.csv")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    result = Read(tmp_path)
    assert [len(result.split(row).seeds) for row in ROWS] == [2, 2, 2, 2, 2, 3]
    assert [result.rows[row].estimates["accuracy"].num_runs for row in ROWS] == [2, 2, 2, 2, 2, 3]
    assert [len(result.rows[row].runs) for row in ROWS] == [3] * 6
    assert len(result.predictions.problems) == 5
    said = "Without usable predictions, and so in no interval and no test: 5 runs, e.g. runs/table1_00"
    assert any(sentence.startswith(said) for sentence in result.section.sentences)


def test_without_predictions_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["5", "20"], seeds=[0])
    write_report(tmp_path, tmp_path / "report")
    assert "Without usable predictions" in (tmp_path / "report" / "report.md").read_text()
    for name in ("pairs", "quality", "weight", "mistakes"):
        assert not (tmp_path / "report" / "tables" / f"{name}.csv").exists()
    table = pd.read_csv(tmp_path / "report" / "tables" / "comparison.csv")
    assert table["accuracy"].notna().all()
    assert table["accuracy_low"].isna().all()


def test_a_configuration_without_predictions_has_its_mean_and_no_interval(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 3)
    Maker(tmp_path, IMAGES, splits).write(range(2))
    Maker(tmp_path, IMAGES, splits, {"model": "cnn"}, tag=1, predictions=False).write(range(2))
    Maker(tmp_path, IMAGES, splits, {"epochs": 30}, tag=2).write(range(2))
    result = Read(tmp_path)
    one, others = result.labels["CNN, 10 epochs"], result.labels["linear, 30 epochs"]
    assert (one.estimates, one.differences) == ({}, {})
    assert np.isfinite(one.mean("accuracy"))
    assert others.differences["accuracy"].num_runs == 6
    assert others.adjusted["accuracy"] == pytest.approx(others.differences["accuracy"].p)  # it was tested alone
    said = "Without usable predictions, and so in no interval and no test: 6 runs, e.g. runs/cnn-"
    assert any(sentence.startswith(said) for sentence in result.section.sentences)
    write_report(tmp_path, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "tables" / "comparison.csv").set_index("configuration")
    assert np.isnan(table.loc["CNN, 10 epochs", "accuracy_low"])
    assert table.loc["linear, 30 epochs", "accuracy_low"] < table.loc["linear, 30 epochs", "accuracy"]


def test_a_reference_without_predictions_leaves_no_differences(tmp_path: Path) -> None:
    splits = make_splits(IMAGES, 2)
    Maker(tmp_path, IMAGES, splits, predictions=False).write(range(2))
    Maker(tmp_path, IMAGES, splits, {"model": "cnn"}, tag=1).write(range(2))
    result = Read(tmp_path)
    assert result.comparison.reference.label == "linear"
    assert all(one.differences == {} for one in result.comparison.standings)
    assert any("cannot be tested" in said for said in result.section.sentences)
    write_report(tmp_path, tmp_path / "report")


# What is resampled


def test_images_are_resampled_where_names_do_not_tell_patients(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"], names="image{}.png")
    result = Read(tmp_path)
    assert result.predictions.patients is None
    assert result.comparison.unit == "images"
    assert any("images are resampled" in said for said in result.section.sentences)


@pytest.mark.parametrize("known", [True, False])
def test_patients_are_those_that_runs_noted_whatever_the_names_tell(tmp_path: Path, known: bool) -> None:
    write_study(tmp_path, rows=["20"], names="patient{}.png")
    for path in tmp_path.glob("runs/*/*/predictions.csv"):
        table = pd.read_csv(path)
        patients = [f"{number // 8:03}" for number in range(len(table))]
        table.insert(2, "patient", patients if known else [*patients[:-1], ""])
        table.to_csv(path, index=False)
    result = Read(tmp_path)
    expected = tuple(f"{number // 8:03}" for number in range(80, 160)) if known else None
    assert result.predictions.patients == expected
    assert any("are of 10 patients" in said for said in result.section.sentences) == known


def test_one_seed_is_compared_without_an_interval(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20", "23"], seeds=[4], names="patient{}.png")
    result = Read(tmp_path)
    for one in result.rows.values():
        assert np.isnan(one.estimates["accuracy"].low)
    pairs, weights = result.comparison.pairs, result.comparison.weights
    assert pairs is not None
    assert weights is not None
    assert pairs["run_pairs"].tolist() == [1]
    assert pairs["accuracy_p"].isna().all()
    assert weights["accuracy_p"].isna().all()
    assert any(said.startswith("Whether configurations differ cannot be tested") for said in result.section.sentences)
    for table in result.section.all_tables:
        assert "nan" not in table.markdown()


# Files


def test_the_page_has_every_table_with_its_files_and_is_the_same_every_time(tree: Path, tmp_path: Path) -> None:
    for out in ("one", "other"):
        write_report(tree, tmp_path / out)
    names = ("comparison", "sources", "pairs", "weight", "quality", "mistakes", "pair", "pairs20")
    page = (tmp_path / "one" / "index.html").read_text("utf-8")
    for name in names:
        files = [tmp_path / "one" / "tables" / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
        assert all(file.read_bytes() == (tmp_path / "other" / "tables" / file.name).read_bytes() for file in files)
        assert f'href="tables/{name}.csv"' in page
    assert page == (tmp_path / "other" / "index.html").read_text("utf-8")
    for picture in ("forest", "reliability", "confusion"):
        assert f'id="{picture}"' in page


def test_the_sources_table_is_that_of_the_estimates(result: Read) -> None:
    table = result.section.tables[1].data
    assert len(table) == 3 * len(ROWS)
    for entry in table.to_dict("records"):
        (one,) = (each for each in result.comparison.standings if each.name == entry["name"])
        estimate = one.estimates[entry["metric"]]
        assert entry["sd_images"] == pytest.approx(estimate.spread.images)
        assert entry["share_seeds"] + entry["share_images"] == pytest.approx(1)
        assert entry["half_width"] == pytest.approx(estimate.half_width)
        assert entry["worth_more_of"] == estimate.worth_more_of


def test_reliability_diagrams_are_drawn_the_same_every_time(result: Read, tmp_path: Path) -> None:
    (picture,) = (one for one in result.section.pictures if one.name == "reliability")
    assert picture.draw is not None
    for name in ("one", "other"):
        save_figure(picture.draw(), tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for ending in ("png", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"other.{ending}").read_bytes()
    assert re.search(r"23: [^;]*: 0\.\d{3}", picture.alt)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metrics.json", r'"pos_weight": [\w.]+', '"pos_weight": "abc"'),
        ("metrics.json", r'"pos_weight": [\w.]+', '"pos_weight": -1'),
        ("config.yaml", '"lr": 0.0001', '"lr": 1' + 400 * "0"),
        ("predictions.csv", r"patient1\.png", ""),
        ("predictions.csv", r"patient(\d+)\.png", r"\1"),
    ],
)
def test_values_that_make_no_sense_stop_no_report(tree: Path, tmp_path: Path, name: str, old: str, new: str) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    path = run_file(tmp_path, "0", 0, name)  # the first run, with which all others are compared
    changed = re.sub(old, new, path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    write_report(tmp_path, tmp_path / "report")
    assert (tmp_path / "report" / "claims.md").exists()
    assert (tmp_path / "report" / "tables" / "comparison.csv").exists()


def test_a_published_value_is_compared_with_one_more_run(tree: Path) -> None:
    entry = cxr_runner.comparison_table(tree, 20).set_index(["row", "metric"]).loc[("20", "f1")]
    tables = cxr_runner.load_runs(tree)
    counts = tables[tables["row"] == "20"][["tp", "fp", "fn", "tn"]].mean().to_dict()
    by_seeds = entry["sd"] ** 2 * (1 + 1 / 3)
    by_images = stats.image_variance("f1", counts) * (1 + sum(counts.values()) / 582)  # ours, and the study's
    error, freedom = stats.added_error([(by_seeds, 2), (by_images, np.inf)])
    assert entry["next_high"] - entry["mean"] == pytest.approx(scipy.stats.t.ppf(0.975, freedom) * error)
    assert entry["high"] - entry["mean"] == pytest.approx(scipy.stats.t.ppf(0.975, 2) * entry["sd"] / np.sqrt(3))
    assert entry["inside"] == (entry["next_low"] - 0.005 <= entry["published"] <= entry["next_high"] + 0.005)

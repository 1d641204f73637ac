"""The section of the report that says how uncertain its figures are."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from cxr_runner.report.compare.uncertainty.measure import measure_uncertainty
from cxr_runner.report.render.uncertainty_section import UncertaintySection, uncertainty_section

import cxr_runner.__init__
from cxr_runner import stats
from cxr_runner.base.progress import Reporter
from cxr_runner.plots.style import save_figure
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.collected import Predictions
from cxr_runner.report.compare.uncertainty.weighting import weight_pairs
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from study_trees import write_study

ROWS = ["0", "14", "20", "21", "23", "24"]

pytestmark = pytest.mark.usefixtures("quick_pictures")


def read(root: Path) -> tuple[Predictions, UncertaintySection]:
    (runs,) = collect(root, load_study(), Reporter()).data_sets
    return runs.predictions, uncertainty_section(runs, measure_uncertainty(runs), "")


def tables(root: Path) -> dict[str, pd.DataFrame]:
    return {table.name: table.data for table in read(root)[1].tables}


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


def test_predictions_are_those_of_the_files_by_row_and_seed(tree: Path) -> None:
    predictions, _ = read(tree)
    assert list(predictions.rows) == ROWS
    table = pd.read_csv(run_file(tree, "23", 1, "predictions.csv"))
    result = predictions.rows["23"]
    assert result.seeds == (0, 1, 2)
    assert result.test[1].tolist() == table["logit"][table["split"] == "test"].tolist()
    assert result.val[1].tolist() == table["logit"][table["split"] == "val"].tolist()
    assert len(predictions.patients or ()) == 80
    assert len(set(predictions.patients or ())) == 40


def test_intervals_are_those_of_the_seeds_and_of_the_median_run(tree: Path) -> None:
    predictions, _ = read(tree)
    entry = tables(tree)["certainty"].set_index(["row", "metric"]).loc[("20", "accuracy")]
    values = stats.accuracy(predictions.rows["20"].test > 0, predictions.test_labels)
    assert (entry["mean"], entry["sd"]) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert (entry["seeds_low"], entry["seeds_high"]) == pytest.approx(stats.t_interval(values)[1:])
    assert entry["median_run"] == np.median(values)
    wilson = stats.wilson(round(np.median(values) * 80), 80)
    assert (entry["images_low"], entry["images_high"]) == pytest.approx(wilson[1:])
    assert entry["both_low"] < entry["mean"] < entry["both_high"]


def test_pairs_are_compared_on_the_same_images_and_corrected_for_their_number(tree: Path) -> None:
    predictions, _ = read(tree)
    pairs = tables(tree)["pairs20"].set_index(["first", "second"])
    assert list(pairs.index) == [("20", "21"), ("20", "24"), ("20", "23"), ("21", "24"), ("21", "23"), ("24", "23")]
    entry = pairs.loc[("20", "23")]
    correct = {row: (result.test > 0) == (predictions.test_labels == 1) for row, result in predictions.rows.items()}
    assert entry["accuracy_difference"] == pytest.approx(correct["20"].mean() - correct["23"].mean())
    one, other = (
        predictions.rows[row].seeds.index(entry[f"{at}_seed"]) for row, at in (("20", "first"), ("23", "second"))
    )
    result = stats.mcnemar_exact(correct["20"][one], correct["23"][other])
    assert (entry["only_first"], entry["only_second"], entry["mcnemar_p"]) == result
    result = stats.delong(predictions.rows["20"].test[one], predictions.rows["23"].test[other], predictions.test_labels)
    assert (entry["auroc_difference"], entry["auroc_p"]) == pytest.approx((result.difference, result.p))
    for test in ("accuracy", "mcnemar", "auroc"):
        assert pairs[f"{test}_holm"].tolist() == pytest.approx(list(stats.holm(pairs[f"{test}_p"])))


def test_a_weight_that_only_shifts_logits_is_gone_at_matched_thresholds_and_with_the_shift_undone(tree: Path) -> None:
    weights = tables(tree)["weight"].set_index(["weighted", "rule"])
    assert weights.loc[("23", "zero"), "weighted_sensitivity"] < weights.loc[("23", "zero"), "unweighted_sensitivity"]
    assert weights.loc[("23", "zero"), "weighted_specificity"] > weights.loc[("23", "zero"), "unweighted_specificity"]
    for rule in ("matched", "undone"):
        entry = weights.loc[("23", rule)]
        assert entry["accuracy_low"] < 0 < entry["accuracy_high"]
        assert entry["weighted_specificity"] == pytest.approx(entry["unweighted_specificity"], abs=0.06)
    assert ("24", "matched") in weights.index
    assert ("24", "undone") not in weights.index  # behind a last ReLU


def test_matching_never_asks_a_relu_for_less_than_it_can_give(tree: Path) -> None:
    entry = tables(tree)["weight"].set_index(["weighted", "rule"]).loc[("24", "matched")]
    assert entry["weighted_specificity"] == pytest.approx(entry["unweighted_specificity"], abs=0.06)


def test_pairs_of_the_class_weight_are_all_rows_that_differ_in_nothing_else() -> None:
    result = [(first.id, second.id) for first, second in weight_pairs(load_study())]
    expected = [("0", "14"), ("5", "15"), ("11", "16"), ("20", "23"), ("21", "24"), ("22", "25")]
    assert result == [*expected, ("20b", "23b"), ("21b", "24b"), ("22b", "25b")]


def test_undoing_the_shift_mends_the_calibration(tree: Path) -> None:
    quality = tables(tree)["quality"].set_index("row")
    assert quality.loc["23", "ece_undone"] < quality.loc["23", "ece"] - 0.03
    assert quality.loc["23", "brier_undone"] < quality.loc["23", "brier"]
    assert np.isnan(quality.loc[["20", "24"], "ece_undone"]).all()
    assert (quality["sensitivity_at_90"] >= quality["sensitivity_at_95"]).all()


def test_collapsed_runs_count_in_the_mean_of_all_alone(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    collapse(tmp_path, "20", 1)
    runs = cxr_runner.load_runs(tmp_path)
    runs = runs[runs["row"] == "20"]
    entry = cxr_runner.comparison_table(tmp_path, 20).set_index(["row", "metric"]).loc[("20", "f1")]
    assert entry["mean"] == pytest.approx(runs["f1"][~runs["collapsed"]].mean())
    assert entry["all_mean"] == pytest.approx(runs["f1"].mean())
    assert (entry["num_seeds"], entry["num_collapsed"]) == (3, 1)
    assert read(tmp_path)[0].rows["20"].seeds == (0, 2)
    certain = tables(tmp_path)["certainty"].set_index(["row", "metric"]).loc[("20", "f1")]
    assert (certain["num_alive"], certain["all_mean"]) == (2, pytest.approx(runs["f1"].mean()))


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
    assert "20" not in set(pd.read_csv(tmp_path / "report" / "tables" / "certainty.csv", dtype=str)["row"])


def test_predictions_that_cannot_be_used_are_said_and_do_not_count(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    run_file(tmp_path, "0", 0, "predictions.csv").unlink()
    for row, old, new in (("14", "patient7", "patient8"), ("20", ",1,", ",0,"), ("21", "logit", "x")):
        path = run_file(tmp_path, row, 2, "predictions.csv")
        path.write_text(path.read_text().replace(old, new))
    path = run_file(tmp_path, "23", 0, "predictions.csv")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    predictions, statistics = read(tmp_path)
    assert [len(result.seeds) for result in predictions.rows.values()] == [2, 2, 2, 2, 2, 3]
    assert len(predictions.problems) == 5
    assert "Without usable predictions, and so not among these: 5 runs, e.g. runs/table1_00" in statistics.sentences[1]


def test_without_predictions_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["5"], seeds=[0])
    write_report(tmp_path, tmp_path / "report")
    assert "Without usable predictions" in (tmp_path / "report" / "report.md").read_text()
    assert not (tmp_path / "report" / "tables" / "certainty.csv").exists()


def test_images_are_resampled_where_names_do_not_tell_patients(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"], names="image{}.png")
    predictions, statistics = read(tmp_path)
    assert predictions.patients is None
    assert "images are resampled" in statistics.sentences[0]


@pytest.mark.parametrize("known", [True, False])
def test_patients_are_those_that_runs_noted_whatever_the_names_tell(tmp_path: Path, known: bool) -> None:
    write_study(tmp_path, rows=["20"], names="patient{}.png")
    for path in tmp_path.glob("runs/*/*/predictions.csv"):
        table = pd.read_csv(path)
        patients = [f"{number // 8:03}" for number in range(len(table))]
        table.insert(2, "patient", patients if known else [*patients[:-1], ""])
        table.to_csv(path, index=False)
    predictions, section = read(tmp_path)
    assert predictions.patients == (tuple(f"{number // 8:03}" for number in range(80, 160)) if known else None)
    assert ("are of 10 patients" in section.sentences[0]) == known


def test_one_seed_is_compared_without_an_interval_over_seeds(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20", "23"], seeds=[4], names="patient{}.png")
    result = tables(tmp_path)
    entry = result["certainty"].iloc[0]
    assert np.isnan(entry["seeds_low"])
    assert np.isnan(entry["both_low"])
    assert result["pairs20"]["first_seed"].tolist() == [4]
    assert result["pairs20"]["accuracy_p"].isna().all()
    assert result["weight"]["accuracy_p"].isna().all()
    sentences = " ".join(read(tmp_path)[1].sentences)
    assert sentences.count("a single seed shows no spread") == 2


def test_pairs_that_could_be_tested_are_told_from_all_pairs_of_the_table(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "runs", tmp_path / "runs")
    assert "would change: 4 of the 6 pairs (" in read(tmp_path)[1].sentences[1]
    for seed in (0, 1):
        collapse(tmp_path, "20", seed)
        collapse(tmp_path, "23", seed)
    said = " ".join(read(tmp_path)[1].sentences)
    assert "of the 1 pair whose models both have several of the same seeds without collapse" in said
    assert "McNemar's test tells" in said
    assert "of 6 pairs" in said
    assert "of the 2 models that have several seeds without collapse, with the weight and without," in said


def test_the_page_has_every_table_with_its_files_and_is_the_same_every_time(tree: Path, tmp_path: Path) -> None:
    for out in ("one", "other"):
        write_report(tree, tmp_path / out)
    for name in ("certainty", "pairs20", "weight", "quality"):
        files = [tmp_path / "one" / "tables" / f"{name}.{ending}" for ending in ("csv", "md", "tex")]
        assert all(file.read_bytes() == (tmp_path / "other" / "tables" / file.name).read_bytes() for file in files)
    page = (tmp_path / "one" / "index.html").read_text("utf-8")
    assert "How uncertain the figures are" in page
    assert page == (tmp_path / "other" / "index.html").read_text("utf-8")
    assert 'id="reliability"' in page


def test_reliability_diagrams_are_drawn_the_same_every_time(tree: Path, tmp_path: Path) -> None:
    (picture,) = read(tree)[1].pictures
    assert picture.draw is not None
    for name in ("one", "other"):
        save_figure(picture.draw(), tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for ending in ("png", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"other.{ending}").read_bytes()
    assert "model 23, undone: 0.128" in picture.alt


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


def test_a_published_value_is_compared_with_one_more_run(tree: Path) -> None:
    entry = cxr_runner.comparison_table(tree, 20).set_index(["row", "metric"]).loc[("20", "f1")]
    half = scipy.stats.t.ppf(0.975, 2) * entry["sd"]
    assert entry["next_high"] - entry["mean"] == pytest.approx(half * np.sqrt(1 + 1 / 3))
    assert entry["high"] - entry["mean"] == pytest.approx(half / np.sqrt(3))
    assert entry["inside"] == (entry["next_low"] - 0.005 <= entry["published"] <= entry["next_high"] + 0.005)

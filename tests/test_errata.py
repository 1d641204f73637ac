"""The study's numbers compared with each other."""

import pytest
from scipy.stats import binomtest

from cxr_runner.plots.ranks import plot_ranks
from cxr_runner.study import load_study
from cxr_runner.study.claims_in_print import claim_table
from cxr_runner.study.consequences import consequences
from cxr_runner.study.errata import accuracy_table, recovered_correct, recoveries, recovery_table
from cxr_runner.study.misprints import check_table, num_statements, slip_table
from cxr_runner.study.recovery import Counts

STUDY = load_study()
CORRECT = {
    "20": 542,
    "21": 542,
    "22": 538,
    "23": 532,
    "24": 540,
    "25": 527,
    "20b": 539,
    "21b": 538,
    "22b": 543,
    "23b": 529,
    "24b": 539,
    "25b": 542,
}


def test_every_row_has_exactly_one_pooled_accuracy_and_row_20s_is_the_printed_matrix() -> None:
    assert {row.id: recovered_correct(row.id, STUDY) for row in STUDY.published_rows()} == CORRECT
    printed = STUDY.confusion
    possible = [solution.counts for solution in recoveries(STUDY)[printed.row]]
    assert Counts(printed.tp, printed.fp, printed.fn, printed.tn) in possible
    assert {counts.correct for counts in possible} == {printed.tp + printed.tn} == {542}


def test_which_published_accuracies_can_be_shares_of_the_test_images() -> None:
    table = accuracy_table(STUDY).set_index("row")
    assert table.index[~table["is_share"]].tolist() == ["20", "21", "22", "25b"]
    assert table.index[table["allowed"]].tolist() == ["24", "25", "24b"]
    assert table["f1_allowed"].all()
    intervals = {row: (round(low, 1), round(high, 1)) for row, low, high in table[["lowest", "highest"]].itertuples()}
    assert intervals["20"] == intervals["20b"] == (92.1, 93.3)
    assert intervals["22b"] == (93.0, 94.0)
    assert intervals["23b"] == (90.4, 91.6)


def test_the_recovered_ranking_puts_a_cnn_first() -> None:
    table = recovery_table(STUDY).set_index("row")
    assert table["recovered_rank"].sort_values().index[0] == "22b"
    assert table.loc["22b", ["published_rank", "recovered_rank"]].tolist() == [6, 1]
    assert table.loc[["20", "21", "25b"], "recovered_rank"].tolist() == [2, 2, 2]
    assert (table["pooled"] == 100 * table["correct"] / 582).all()
    interval = binomtest(542, 582).proportion_ci(method="wilson")
    assert table.loc["20", "wilson_low"] == pytest.approx(100 * interval.low)
    assert [f"{table.loc['20', end]:.1f}" for end in ("wilson_low", "wilson_high")] == ["90.8", "94.9"]
    assert table.loc["21", ["tp", "fp", "fn", "tn"]].tolist() == ["404", "33", "7", "138"]
    assert table.loc["20", "tp"] == "399-400"
    assert table["last_errors"].tolist() == ["0", "0", "2", "1", "0", "1", "1", "0", "1", "1", "0", "1"]


def test_model_numbers_that_do_not_fit_the_tables_are_found_with_what_was_meant() -> None:
    slips = {
        (source, model): meant for source, model, meant in slip_table(STUDY)[["place", "model", "meant"]].to_numpy()
    }
    assert slips == {
        ("section 2.3", "19"): "",
        ("Fig. 11", "5"): "8",
        ("Fig. 11", "8"): "5",
        ("Fig. 14", "0"): "14",
        ("Fig. 14", "14"): "0",
        ("Fig. 15", "5"): "15",
        ("Fig. 15", "15"): "5",
        ("Fig. 16", "11"): "16",
        ("Fig. 16", "19"): "11",
        ("section 3.2 (Adam)", "19"): "",
        ("Fig. 17", "19"): "17 (but for weighted)",
        ("section 3.3 (best performance)", "22"): "24",
    }
    described = slip_table(STUDY).set_index(["place", "model"]).loc[("section 3.3 (best performance)", "22")]
    assert described["says"] == "family linear_relu, weighted yes"
    assert described["table_says"] == "family cnn, weighted no"
    assert num_statements(STUDY) > len(slips)


def test_of_the_printed_numbers_only_the_accuracy_of_model_20_does_not_follow_until_batches_are_averaged() -> None:
    table = check_table(STUDY)
    wrong = table[~table["fits"]]
    assert wrong["quantity"].tolist() == ["accuracy of model 20"]
    assert wrong["computed"].tolist() == pytest.approx([93.127], abs=1e-3)
    mean = table[table["quantity"] == "mean over batches of model 20"]
    assert mean["computed"].tolist() == pytest.approx([100 * (536 / 32 + 1) / 19])
    assert mean["fits"].all()
    assert eval(mean["computation"].item().split(": ")[1].replace("·", "*")) * 100 == pytest.approx(
        mean["computed"].item()
    )


def test_claims_that_compare_models_are_compared_with_published_and_recovered_values() -> None:
    table = claim_table(STUDY).set_index(["claim", "metric"])
    kept = {index: (row["published"], row["recovered"], row["parts"]) for index, row in table.iterrows()}
    assert kept["best_three", "accuracy"] == (9, 9, 9)
    assert kept["batch_64_no_better", "accuracy"] == (3, 4, 6)
    assert kept["batch_64_linear_worst", "accuracy"] == (8, 6, 8)
    assert kept["relu_beats_cnn", "accuracy"] == (4, 2, 4)
    assert kept["weight_lowers_metrics", "f1"][0] == 2
    assert kept["batch_64_relu_above_93", "accuracy"] == (2, 0, 2)
    assert kept["batch_64_spares_relu", "accuracy"] == (2, 2, 2)
    assert kept["all_above_90", "accuracy"] == (12, 12, 12)
    assert kept["relu_most_consistent", "accuracy"] == (2, 2, 2)
    assert table.loc[("batch_64_relu_above_93", "accuracy"), "recovered_exceptions"] == "21b (538); 24b (539)"
    assert (538 / 582, 539 / 582) == pytest.approx((0.924, 0.926), abs=5e-4)
    assert table.loc[("relu_beats_cnn", "accuracy"), "recovered_exceptions"] == (
        "21b (538) against 22b (543); 24b (539) against 25b (542)"
    )


def test_the_consequences_name_the_figures_that_the_tables_hold() -> None:
    sentences = consequences(STUDY)
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in sentences)
    text = " ".join(sentences)
    for figure in (
        "4 are no share of 582",
        "9 are impossible",
        "model 22b (CNN, 10 filters 3x3, batches of 64) leads with 543 of 582",
        "models 20 and 21, have 542",
        "91.0 to 95.1 %",
        "3,840 instead of 6,400 steps",
        f"Of {num_statements(STUDY)} statements",
        "by the recovered counts of correct images 0 of 2 parts hold, but not 21b (538), nor 24b (539)",
    ):
        assert figure in text
    (kept,) = (sentence for sentence in sentences if "alike, these hold" in sentence)
    assert "All models reach an accuracy above 90 %" in kept
    assert "Linear+ReLU is the most consistent of the three" in kept
    assert "still above 93 %" not in kept


def test_the_picture_shows_every_model_on_both_sides() -> None:
    table = recovery_table(STUDY)
    slopes, intervals = plot_ranks(table, STUDY).axes
    texts = [text.get_text() for text in slopes.texts]
    for entry in table.to_dict("records"):
        assert f"{entry['published_rank']}.   model {entry['row']}   {entry['published']:.1f} %" in texts
        assert sum(text.startswith(f"{entry['recovered_rank']}.   model {entry['row']}: ") for text in texts) == 1
    drawn = {float(line.get_xdata()[0]) for line in intervals.lines if len(line.get_xdata()) == 1}
    assert {*table["pooled"], *table["published"]} == drawn

"""The errata as people read them, and as programs do."""

import re

import pandas as pd
import pytest

from cxr_runner.base.tables import Table
from cxr_runner.report.render.errata_tables import (
    compared_claims,
    misnamed_models,
    possible_accuracies,
    printed_numbers,
    recovered_ranks,
)
from cxr_runner.study import load_study
from cxr_runner.study.claims_in_print import claim_table
from cxr_runner.study.errata import accuracy_table, recovery_table
from cxr_runner.study.misprints import check_table, slip_table

STUDY = load_study()
TABLES = {
    "recovery": (recovered_ranks(recovery_table(STUDY)), recovery_table),
    "accuracy": (possible_accuracies(STUDY), accuracy_table),
    "claims": (compared_claims(STUDY), claim_table),
    "slips": (misnamed_models(STUDY), slip_table),
    "checks": (printed_numbers(STUDY), check_table),
}


def shown(name: str) -> pd.DataFrame:
    table: Table = TABLES[name][0]
    return table.shown.set_index(table.shown.columns[0])


@pytest.mark.parametrize("name", TABLES)
def test_people_read_words_and_programs_the_columns_of_the_study(name: str) -> None:
    table, compute = TABLES[name]
    pd.testing.assert_frame_equal(table.data, compute(STUDY))
    text = table.markdown()
    assert not re.search(r"\w_\w|\de[+-]\d|\d-\d|\b(num|lr|f1|sgd|family)\b", text)
    assert len(table.rows) == len(table.data)


def test_percents_have_the_one_digit_of_the_published_ones_and_say_what_they_are() -> None:
    row = shown("recovery").loc["22: CNN, 10 filters 3x3"]
    assert row[["published, %", "recovered, %", "Wilson, %"]].tolist() == ["91.3", "92.4", "90.0 to 94.3"]
    assert (row["correct of 582"], row["errors in the last 6"], row["TP"]) == ("538", "2", "390 to 392")
    row = shown("accuracy").loc["20: Linear, 2 layers, 10 units"]
    assert row.tolist() == [
        *("93.4", "544 (93.5 %)", "no", "92.1 to 93.3", "no"),
        *("0.95", "0.945 to 0.954", "yes"),
    ]


def test_printed_numbers_are_shown_as_printed_and_computed_to_one_digit_more() -> None:
    table = printed_numbers(STUDY).shown.set_index("number")[["computed", "printed"]]
    assert table.loc["inputs of the linear model"].tolist() == ["409,600", "409,600"]
    assert table.loc["batches of test"].tolist() == ["19", "19"]
    assert table.loc["F1 of model 20"].tolist() == ["0.952", "0.95"]
    assert table.loc["accuracy of model 20"].tolist() == ["93.13 %", "93.4 %"]
    assert table.loc["accuracy of always saying pneumonia, about"].tolist() == ["70.6 %", "70 %"]


def test_slips_are_told_in_words() -> None:
    slips = misnamed_models(STUDY).rows
    assert ["section 2.3", "model 19", "learning rate 0.01", "learning rate 0.0001", ""] in slips
    assert ["Fig. 11", "model 5", "5 units", "10 units", "model 8"] in slips
    said, has = "Linear, 2 layers, no class weight", "CNN, 1 layer, class weight"
    assert ["Fig. 17", "model 19", said, has, "model 17, but for the class weight"] in slips


def test_claims_are_quoted_and_counted_in_parts() -> None:
    claims = compared_claims(STUDY).shown
    counts = claims[claims["claim"] == "Linear+ReLU outperforms the CNN."].iloc[0]
    assert (counts["hold as published"], counts["hold as recovered"]) == ("4 of 4", "2 of 4")
    assert counts["do not, as recovered"] == "21b (538) against 22b (543); 24b (539) against 25b (542)"
    assert claims["hold as recovered"][claims["metric"] == "F1"].eq("unknown").all()

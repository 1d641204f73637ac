"""Splits, duplicates and patients."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_runner.base.errors import UserError
from cxr_runner.data.splits import find_duplicates, split_by_patient, split_randomly


def _sizes(assigned):
    return [int((assigned == split).sum()) for split in ("train", "val", "test")]


def test_the_study_sizes_come_out_exactly():
    labels = np.array([0] * 1579 + [1] * 4245)
    assigned = split_randomly(labels, seed=0)
    assert _sizes(assigned) == [4077, 1165, 582]
    shares = [labels[assigned == split].mean() for split in ("train", "val", "test")]
    assert shares == pytest.approx([labels.mean()] * 3, abs=0.001)


@given(st.integers(10, 60), st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_every_image_is_in_one_split_and_classes_keep_their_shares(negatives, positives, seed):
    labels = np.array([0] * negatives + [1] * positives)
    assigned = split_randomly(labels, seed)
    assert sum(_sizes(assigned)) == len(labels)
    for split, fraction in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        for label, count in ((0, negatives), (1, positives)):
            assert abs(((assigned == split) & (labels == label)).sum() - fraction * count) < 2


@given(st.integers(10, 60), st.integers(10, 60), st.integers(0, 100))
def test_a_class_of_ten_images_is_in_every_split(negatives, positives, seed):
    labels = np.array([0] * negatives + [1] * positives)
    assigned = split_randomly(labels, seed)
    assert {(split, label) for split, label in zip(assigned, labels, strict=True)} == {
        (split, label) for split in ("train", "val", "test") for label in (0, 1)
    }


def test_the_seed_decides_the_split():
    labels = np.array([0] * 30 + [1] * 70)
    assert (split_randomly(labels, 1) == split_randomly(labels, 1)).all()
    assert (split_randomly(labels, 1) != split_randomly(labels, 2)).any()


@given(st.lists(st.integers(1, 6), min_size=30, max_size=80), st.integers(0, 1000))
def test_no_patient_is_in_two_splits(images_per_patient, seed):
    patients = np.repeat([f"p{k}" for k in range(len(images_per_patient))], images_per_patient)
    labels = np.repeat(np.arange(len(images_per_patient)) % 4 > 0, images_per_patient).astype(int)
    assigned = split_by_patient(labels, patients.tolist(), seed)
    table = pd.DataFrame({"patient": patients, "split": assigned})
    assert (table.groupby("patient")["split"].nunique() == 1).all()
    assert np.array(_sizes(assigned)) / len(labels) == pytest.approx([0.7, 0.2, 0.1], abs=0.1)


def test_patient_splits_balance_classes():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 8, 900)
    patients = np.repeat(np.arange(900).astype(str), sizes)
    labels = np.repeat((np.arange(900) % 10 < 7).astype(int), sizes)
    assigned = split_by_patient(labels, patients.tolist(), 0)
    for split in ("train", "val", "test"):
        assert labels[assigned == split].mean() == pytest.approx(labels.mean(), abs=0.02)


def _table(rows):
    table = pd.DataFrame(rows, columns=["name", "label", "split", "pixels"])
    return table.assign(digest="")


def test_one_of_each_group_of_equal_images_is_kept():
    table = _table([("a", 1, "", "x"), ("b", 1, "", "y"), ("c", 1, "", "x"), ("d", 1, "", "x")])
    assert find_duplicates(table).to_dict("records") == [
        {"name": "c", "same_as": "a"},
        {"name": "d", "same_as": "a"},
    ]


def test_the_copy_outside_the_test_split_goes():
    table = _table([("a", 1, "train", "x"), ("b", 1, "val", "x"), ("c", 1, "test", "x"), ("d", 0, "train", "z")])
    assert find_duplicates(table)["name"].tolist() == ["a", "b"]


def test_no_duplicates_is_an_empty_table():
    assert find_duplicates(_table([("a", 1, "", "x"), ("b", 0, "", "y")])).empty


def test_equal_images_with_different_labels_are_an_error():
    with pytest.raises(UserError, match=r"both classes: b = a"):
        find_duplicates(_table([("a", 1, "", "x"), ("b", 0, "", "x")]))


def test_equal_images_with_different_labels_are_all_dropped_on_demand():
    table = _table([("a", 1, "", "x"), ("b", 0, "", "x"), ("c", 1, "", "y"), ("d", 1, "", "y")])
    assert find_duplicates(table, drop_conflicts=True)["name"].tolist() == ["a", "b", "d"]


@given(st.lists(st.integers(0, 1), min_size=12, max_size=40), st.integers(0, 99), st.integers(1, 4))
def test_every_split_has_both_classes_where_there_are_three_patients_of_each(labels, seed, images):
    labels = np.array([0, 1] * 3 + labels).repeat(images)
    patients = [str(i) for i in np.arange(len(labels)) // images]
    assigned = split_by_patient(labels, patients, seed)
    for split in ("train", "val", "test"):
        assert set(labels[assigned == split]) == {0, 1}
    assert all(len(set(assigned[np.array(patients) == patient])) == 1 for patient in set(patients))


def test_of_many_equal_images_with_different_labels_five_are_named_and_the_others_counted():
    kinds = (("a", 1), ("b", 0))
    images = [(f"{kind}{number}", label, "", f"{number}") for number in range(30) for kind, label in kinds]
    with pytest.raises(
        UserError, match=r"both classes: b0 = a0, .*, b4 = a4 and 25 more; drop_conflicts leaves all of them out$"
    ):
        find_duplicates(_table(images))

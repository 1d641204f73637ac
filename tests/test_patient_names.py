"""Patients read from names: patterns that are known, patterns that are given, and strangers."""

import pytest

from cxr_runner.base.errors import UserError
from cxr_runner.data.patients import find_patients


def read(names: list[str], pattern: str | None = None) -> tuple[str, ...]:
    return find_patients(names, [""] * len(names), pattern).keys


@pytest.mark.parametrize(
    ("name", "patient", "coarser"),
    [
        ("PNEUMONIA/person12_bacteria_46.jpeg", "person12_bacteria", "person12"),
        ("PNEUMONIA/person12_virus_47_jpeg.rf.3fffcf9c.jpg", "person12_virus", "person12"),
        ("NORMAL/IM-0003-0001_jpeg.rf.3fffcf9c33575f8f.jpg", "IM-0003", "IM-0003"),
        ("NORMAL/NORMAL2-IM-0003-0001.jpeg", "NORMAL2-IM-0003", "NORMAL2-IM-0003"),
        ("train/PNEUMONIA/BACTERIA-1008087-0001.jpeg", "BACTERIA-1008087", "1008087"),
        ("images/00000013_002.png", "00000013", None),
        ("train/patient00001/study1/view1_frontal.jpg", "patient00001", None),
        ("files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg", "p10000032", None),
    ],
)
def test_names_of_public_data_sets_are_known(name: str, patient: str, coarser: str | None) -> None:
    assert read([name]) == (patient,)
    twin = (
        name.replace("bacteria", "x") if "bacteria" in name else name.replace("virus", "x").replace("BACTERIA", "VIRUS")
    )
    patients = find_patients([name, twin], ["", ""], None)
    if coarser not in (None, patient):
        assert patients.coarser == (coarser, coarser)
        assert (patients.key, patients.coarser_key) == ("number and kind", "number alone")
    else:
        assert patients.coarser == ()


def test_a_pattern_may_name_its_group_and_reads_folders_too() -> None:
    assert read(["a/scan-7-left.png"], r"scan-(?P<patient>\d+)-(left|right)") == ("7",)
    assert read(["a/scan-7-left.png"], r"scan-(\d+)") == ("7",)
    assert read(["sick/p7/1.png", "sick/p8/1.png"], r"/(p\d)/") == ("p7", "p8")
    assert read(["sick/12_1.png"], r"^(\d+)_") == ("12",)  # the name of the file alone, where the path has no match


@pytest.mark.parametrize(
    ("pattern", "message"), [(r"zebra", "2 of 2"), (r"p(atient)?\d*x", "matches no patient"), (r"\d*", "2 of 2")]
)
def test_patterns_that_fit_too_few_names_leave_patients_unknown(pattern: str, message: str) -> None:
    patients = find_patients(["patient.png", "other.png"], ["", ""], pattern)
    assert set(patients.keys) == {""}
    assert message in patients.problem
    assert f"data.patient_pattern={pattern}" in patients.problem


def test_a_stranger_among_many_is_his_own_patient_and_is_counted() -> None:
    names = [f"NORMAL/0000000{i}_000.png" for i in range(4)] + ["NORMAL/somebody.png"]
    patients = find_patients(names, [""] * 5, None)
    assert patients.strangers == 1
    assert patients.keys[-1] == "NORMAL/somebody.png"
    assert "1 image of nobody known" in patients.said()


def test_names_of_two_known_data_sets_are_both_read() -> None:
    names = [f"a/0000000{i}_000.png" for i in range(5)] + [f"b/person{i}_virus_1.jpeg" for i in range(5)]
    assert find_patients(names, [""] * 10, None).strangers == 0


def test_names_that_make_one_patient_of_all_images_tell_none() -> None:
    assert (
        "fit no known data set" in find_patients([f"IM-0001-{n:04d}.png" for n in range(40)], [""] * 40, None).problem
    )
    assert (
        "fit no known data set" in find_patients([f"20190304_{n:03d}.png" for n in range(40)], [""] * 40, None).problem
    )


def test_names_of_no_known_data_set_leave_patients_unknown() -> None:
    patients = find_patients(["a/1.png", "b/2.png"], ["", ""], None)
    assert "fit no known data set" in patients.problem
    assert patients.said() == ""


def test_what_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.patient_pattern=\(: not a regular expression"):
        read(["a.png"], "(")

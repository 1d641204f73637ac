"""The patient of an image, from its source to the predictions: as the source knows it, else as the name tells."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Answer
from cxr_runner.artifacts.rundir import read_run
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data import dataset as datasets
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.sources import Listing, Record, Source
from cxr_runner.data.sources.phantom.source import PhantomSource
from cxr_runner.data.store import open_store

TINY = ("data.num_images=40", "data.image_size=16")
TREE = Path(__file__).parent / "tree_42a7ee7"


class WardSource(PhantomSource):
    """Phantoms from a source that knows the patients of some images: those of every second patient."""

    def signature(self) -> str:
        return f"ward-{super().signature()}"

    def scan(self) -> Listing:
        listing = super().scan()
        known = [f"{number // 2:03}" if number % 4 < 2 else None for number in range(len(listing.records))]
        records = (replace(record, patient=patient) for record, patient in zip(listing.records, known, strict=True))
        return Listing(tuple(records), listing.class_names)


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    source = WardSource(num_images=40)
    monkeypatch.setattr(datasets, "open_source", lambda config: source)
    return source


def opened(*overrides: str) -> Dataset:
    return open_dataset(compose([*TINY, *overrides])[0].data, Reporter())


def test_the_text_of_a_record_is_that_which_old_signatures_were_made_of() -> None:
    records = (Record("NORMAL/a.png", 0, None), Record("b.png", 1, "val", "007"))
    assert repr(Listing(records, ("NORMAL", "PNEUMONIA"))) == (
        "Listing(records=(Record(name='NORMAL/a.png', label=0, split=None), Record(name='b.png', label=1, "
        "split='val')), class_names=('NORMAL', 'PNEUMONIA'))"
    )


def test_a_name_tells_the_patient_where_the_source_does_not() -> None:
    table = opened().table
    assert (table["patient"] == table["name"].str.extract(r"(patient\d+)")[0]).all()


@pytest.mark.usefixtures("ward")
def test_what_the_source_knows_comes_before_what_the_name_tells() -> None:
    table = opened().table
    assert table["patient"].tolist()[:4] == ["000", "000", "patient0000", "patient0000"]
    for split in ("train", "val", "test"):
        assert opened().patients(split) == table["patient"][table["split"] == split].tolist()


@pytest.mark.usefixtures("ward")
def test_splits_by_patient_follow_the_source() -> None:
    table = opened("data.split.strategy=patient").table
    assert (table.groupby("patient")["split"].nunique() == 1).all()
    assert table["patient"].str.fullmatch(r"\d+").sum() == 20


def test_where_nothing_tells_the_patient_there_is_none(ward: Source) -> None:
    dataset = opened("data.patient_pattern=zebra")
    patients = dataset.table["patient"].tolist()
    assert patients[:2] == ["000", "000"]
    assert patients[2:4] == dataset.table["name"].tolist()[2:4]  # each his own
    assert dataset.known_patients.strangers == 20


def test_patients_that_do_not_decide_the_splits_leave_the_fingerprint_as_it_is() -> None:
    assert opened("data.patient_pattern=zebra").fingerprint == opened().fingerprint


def test_a_pattern_that_is_no_expression_is_refused_whatever_the_strategy() -> None:
    with pytest.raises(UserError, match=r"data.patient_pattern=\(: not a regular expression"):
        opened("data.patient_pattern=(")


def test_a_store_keeps_patients_and_one_from_before_has_none(ward: Source, tmp_path: Path) -> None:
    for _ in range(2):  # as built, and as read
        patients = open_store(ward, 16, tmp_path, Reporter()).table["patient"].tolist()
        assert patients[:4] == ["000", "000", "", ""]
    shutil.copytree(TREE / "cache", tmp_path / "old")
    old = open_store(PhantomSource(num_images=60), 16, tmp_path / "old", Reporter())
    assert set(old.table["patient"]) == {""}
    assert old.images.tobytes() == open_store(PhantomSource(num_images=60), 16, tmp_path, Reporter()).images.tobytes()


@pytest.mark.usefixtures("ward")
def test_predictions_name_the_patient(cxr_run: Callable[..., Answer], elsewhere: Path) -> None:
    assert cxr_run(*TINY, "epochs=1", "progress=none").code == 0
    (path,) = elsewhere.rglob("predictions.csv")
    predictions = read_run(path.parent).predictions()
    assert list(predictions) == ["split", "name", "patient", "label", "logit", "probability"]
    dataset = opened()
    assert predictions["patient"].tolist() == dataset.patients("val") + dataset.patients("test")
    assert predictions["patient"].str.fullmatch(r"\d{3}").any()
    for old in TREE.rglob("seed=*"):
        assert "patient" not in read_run(old).predictions()

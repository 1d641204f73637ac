"""Folders as users have them: splits by any usual name, classes chosen or merged, and what is refused by name."""

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.sources.names import split_of
from odd_sets import CLASSES, both, drawn, plant, save


@pytest.fixture(autouse=True)
def cache(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))


def opened(root: Path, *overrides: str) -> Dataset:
    config = compose(["data=folder", f"data.root={root}", "data.image_size=16", *overrides])[0].data
    return open_dataset(config, Reporter())


def refusal(root: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        opened(root, *overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def sizes(dataset: Dataset) -> dict[str, int]:
    return {split: len(dataset.rows(split)) for split in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        *((name, "train") for name in ("train", "training", "training_set", "Train_Images", "TRAIN", "train data")),
        *((name, "val") for name in ("val", "valid", "validate", "validation", "dev", "Validation-Set", "valset")),
        *((name, "test") for name in ("test", "testing", "test_set", "Test Images")),
        *((name, None) for name in ("trained", "tests", "contest", "normal", "value", "device", "train2", "")),
    ],
)
def test_split_folders_are_known_by_any_usual_name(folder: str, split: str | None) -> None:
    assert split_of(folder) == split


def test_train_and_test_sets_are_no_two_classes(tmp_path: Path) -> None:
    plant(tmp_path, ["training_set", "test_set"])
    message = refusal(tmp_path)
    assert "test_set, training_set: named as splits are, but images lie directly in them" in message


@pytest.mark.parametrize("outer", ["", "chest_xray/", "chest_xray/chest_xray/"])
def test_doubled_folders_and_folders_around_the_splits_are_looked_into(tmp_path: Path, outer: str) -> None:
    plant(tmp_path, [f"{outer}{folder}" for folder in both("train", "validate", "test")], each=3)
    assert sizes(opened(tmp_path)) == {"train": 6, "val": 6, "test": 6}


def test_doubled_class_folders_are_no_different_sub_folders(tmp_path: Path) -> None:
    plant(tmp_path, [f"{name}/{name}" for name in CLASSES], each=12)
    assert len(opened(tmp_path).table) == 24


def test_split_folders_inside_of_class_folders_are_splits(tmp_path: Path) -> None:
    plant(tmp_path, [f"{name}/{split}" for name in CLASSES for split in ("train", "val", "test")], each=4)
    dataset = opened(tmp_path)
    assert sizes(dataset) == {"train": 8, "val": 8, "test": 8}
    assert all("/test/" in name for name in dataset.names("test"))
    assert dataset.labels("test").tolist() == [0] * 4 + [1] * 4
    plant(tmp_path, ["NORMAL"], each=1)
    assert "images of NORMAL lie both inside and outside split folders" in refusal(tmp_path)


def test_what_may_be_a_split_or_a_class_is_refused_by_name(tmp_path: Path) -> None:
    plant(tmp_path, ["train/NORMAL", "train/validation"], each=3)
    assert "validation in train may be a split or a class; rename it" in refusal(tmp_path)


def test_names_in_either_composition_of_unicode_are_one(tmp_path: Path) -> None:
    for number, (split, form) in enumerate((("train", "NFC"), ("val", "NFD"), ("test", "NFC"))):
        names = (unicodedata.normalize(form, "Neumonía"), "NORMAL")
        plant(tmp_path, [f"{split}/{name}" for name in names], each=4, first=10_000 * number)
    dataset = opened(tmp_path, f"data.positive={unicodedata.normalize('NFD', 'neumonía')}")
    assert sizes(dataset) == {"train": 8, "val": 8, "test": 8}
    assert set(dataset.labels("val")) == {0, 1}


class TestTrainAndTestWithoutVal:
    def test_val_is_cut_from_train_and_test_stays(self, tmp_path: Path) -> None:
        plant(tmp_path, both("train", "test"))
        dataset = opened(tmp_path)
        assert sizes(dataset) == {"train": 35, "val": 5, "test": 40}
        assert all(name.startswith("test/") for name in dataset.names("test"))
        assert set(dataset.labels("val")) == {0, 1}
        assert any("val is 12.5% of what is not test, at random" in note for note in dataset.notes)
        assert sizes(opened(tmp_path, "data.split.val_share=0.5")) == {"train": 20, "val": 20, "test": 40}

    def test_patients_stay_apart_where_they_are_known(self, tmp_path: Path) -> None:
        for number in range(3):  # three images of each patient
            plant(tmp_path, both("train"), name=f"person{{n}}_virus_{number}.png", first=10_000 * number)
        plant(tmp_path, both("test"), name="person9{n}_virus_1.png", first=50_000)
        dataset = opened(tmp_path)
        assert not set(dataset.patients("train")) & set(dataset.patients("val"))
        assert any("patients apart" in note for note in dataset.notes)

    def test_dissolving_given_splits_is_said_and_the_test_split_can_be_kept(self, tmp_path: Path) -> None:
        plant(tmp_path, both("train", "test"))
        dissolved = opened(tmp_path, "data.split.strategy=random")
        assert sizes(dissolved) == {"train": 56, "val": 16, "test": 8}
        assert any("train 40, test 40) are dissolved; data.split.keep_test=true" in note for note in dissolved.notes)
        kept = opened(tmp_path, "data.split.strategy=random", "data.split.keep_test=true")
        assert kept.names("test") == opened(tmp_path).names("test")

    def test_nobody_is_told_of_given_splits_who_did_not_ask_for_them(self, tmp_path: Path) -> None:
        plant(tmp_path, both("train", "val"))
        message = refusal(tmp_path)
        assert "given" not in message
        assert "the data bring train and val only" in message
        assert "data.split.strategy=given" in refusal(tmp_path, "data.split.strategy=given")

    def test_a_test_split_that_is_not_there_cannot_be_kept(self, tmp_path: Path) -> None:
        plant(tmp_path, CLASSES)
        message = refusal(tmp_path, "data.split.keep_test=true")
        assert message == "data.split.keep_test=true: the data bring no test split"


class TestThreeClasses:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return plant(tmp_path, ["BACTERIA", "NORMAL", "VIRUS"], each=12)

    def test_without_a_choice_the_keys_are_named(self, root: Path) -> None:
        assert "choose with data.positive, data.negative and data.ignore" in refusal(root)
        assert "data.negative=null: say which are negative" in refusal(root, "data.positive=VIRUS")

    @pytest.mark.parametrize(
        ("overrides", "names", "counts"),
        [
            (["data.positive=[BACTERIA,VIRUS]"], ("NORMAL", "BACTERIA+VIRUS"), [12, 24]),
            (["data.positive=[bacteria, virus]", "data.negative=NORMAL"], ("NORMAL", "BACTERIA+VIRUS"), [12, 24]),
            (["data.positive=VIRUS", "data.negative=BACTERIA"], ("BACTERIA", "VIRUS"), [12, 12]),
            (["data.positive=VIRUS", "data.ignore=NORMAL"], ("BACTERIA", "VIRUS"), [12, 12]),
            (["data.positive=VIRUS", "data.ignore=[NORMAL]"], ("BACTERIA", "VIRUS"), [12, 12]),
        ],
    )
    def test_classes_are_chosen_or_merged(
        self, root: Path, overrides: list[str], names: tuple[str, str], counts: list[int]
    ) -> None:
        dataset = opened(root, *overrides)
        assert dataset.class_names == names
        assert [int((dataset.table["label"] == label).sum()) for label in (0, 1)] == counts
        left_out = sum(one["files"] for one in dataset.inventory["passed_over"])
        assert left_out == 36 - sum(counts)

    def test_a_class_that_looks_like_a_list_is_a_class(self, tmp_path: Path) -> None:
        plant(tmp_path, ["[a,b]", "NORMAL"], each=12)
        assert opened(tmp_path, "data.positive=[a,b]").class_names == ("NORMAL", "[a,b]")

    @pytest.mark.parametrize(
        ("override", "said"),
        [
            ("data.positive=VIRSU", "there is no VIRSU, valid are BACTERIA, NORMAL, VIRUS; did you mean VIRUS?"),
            ("data.ignore=nothing", "there is no nothing"),
        ],
    )
    def test_unknown_names_are_answered_with_the_nearest(self, root: Path, override: str, said: str) -> None:
        message = refusal(root, override)
        assert message.startswith(override.split("=")[0])
        assert said in message

    def test_one_class_cannot_be_both(self, root: Path) -> None:
        message = refusal(root, "data.positive=[VIRUS,NORMAL]", "data.negative=NORMAL")
        assert "NORMAL is in data.negative too" in message


class TestWhatLiesBesideTheImages:
    def test_masks_are_refused_and_can_be_left_out(self, tmp_path: Path) -> None:
        plant(tmp_path, [f"{name}/{kind}" for name in CLASSES for kind in ("images", "masks")], each=12)
        message = refusal(tmp_path)
        assert "NORMAL/masks/0000.png is a mask and no X-ray, by its name" in message
        assert message.endswith("data.ignore=masks")
        dataset = opened(tmp_path, "data.ignore=masks")
        assert len(dataset.table) == 24
        assert all("/images/" in name for name in dataset.table["name"])

    @pytest.mark.parametrize("masks", ["lung masks", "infection_masks", "Segmentation"])
    def test_masks_are_known_by_words(self, tmp_path: Path, masks: str) -> None:
        plant(tmp_path, [f"{name}/{kind}" for name in CLASSES for kind in ("images", masks)], each=3)
        assert f"data.ignore={masks}" in refusal(tmp_path)

    def test_masks_are_known_by_the_names_of_files(self, tmp_path: Path) -> None:
        plant(tmp_path, CLASSES, each=12)
        save(tmp_path / "NORMAL" / "0001_mask.png", drawn(1))
        assert "NORMAL/0001_mask.png is a mask" in refusal(tmp_path)

    def test_other_images_beside_the_splits_are_no_copy(self, tmp_path: Path) -> None:
        plant(tmp_path, both("train", "val", "test"), each=4)
        plant(tmp_path, [f"hospitalB/{folder}" for folder in both("train", "test")], each=4, first=90_000)
        assert "move away hospitalB" in refusal(tmp_path)

    def test_splits_that_lie_deeper_are_not_pooled(self, tmp_path: Path) -> None:
        plant(tmp_path, [f"{name}/here/{split}" for name in CLASSES for split in ("train", "test")], each=4)
        assert "may be a split, but lies too deep to be read as one" in refusal(tmp_path)

    def test_splits_under_other_names_are_no_classes(self, tmp_path: Path) -> None:
        plant(tmp_path, ["images_train", "images_test"], each=12)
        assert "images_test, images_train look like splits and not like classes" in refusal(tmp_path)

    def test_a_table_beside_three_classes_is_no_reason(self, tmp_path: Path) -> None:
        plant(tmp_path, ["BACTERIA", "NORMAL", "VIRUS"], each=3)
        (tmp_path / "info.csv").write_text("a,b\n")
        assert "two classes with images are needed, found 3" in refusal(tmp_path)

    def test_classes_with_different_sub_folders_are_refused_with_the_way_out(self, tmp_path: Path) -> None:
        plant(tmp_path, ["NORMAL", "PNEUMONIA/ap", "PNEUMONIA/pa"], each=12)
        message = refusal(tmp_path)
        assert "NORMAL has images outside sub-folders, PNEUMONIA has ap, pa" in message
        assert len(opened(tmp_path, "data.subfolders=any").table) == 36
        assert len(opened(tmp_path / ".", "data.subfolders=any", "data.ignore=pa").table) == 24

    def test_folders_of_patients_are_no_different_sub_folders(self, tmp_path: Path) -> None:
        plant(tmp_path, [f"{name}/patient{number}/study1" for number, name in enumerate(CLASSES * 6)], each=2)
        assert len(opened(tmp_path).table) == 24

    def test_a_table_of_labels_is_named_and_no_folder_beside_it_is_a_class(self, tmp_path: Path) -> None:
        plant(tmp_path, ["images", "docs"], each=4)
        (tmp_path / "metadata.csv").write_text("name,label\n")
        message = refusal(tmp_path)
        assert "metadata.csv is a table of labels beside images (images lie in docs, images)" in message
        assert f"data=table data.file={tmp_path / 'metadata.csv'} data.root={tmp_path} reads it" in message
        plant(tmp_path / "real", CLASSES, each=12)
        (tmp_path / "real" / "metadata.csv").write_text("name,label\n")
        assert len(opened(tmp_path / "real").table) == 24

    @pytest.mark.usefixtures("without_dicom")
    def test_images_in_formats_that_are_not_read_are_no_small_matter(self, tmp_path: Path) -> None:
        plant(tmp_path, CLASSES, each=12)
        for number in range(2):
            (tmp_path / "NORMAL" / f"{number}.dcm").write_bytes(bytes(128) + b"DICM")
            (tmp_path / "NORMAL" / f"{number}").write_bytes(bytes(128) + b"DICM")
        message = refusal(tmp_path)
        assert message.startswith("data.allow_unused=0.05: 4 of 28 files that look like images would be passed over")
        assert "2 no suffix, 2 .dcm" in message
        dataset = opened(tmp_path, "data.allow_unused=0.2")
        assert Counter({one["suffix"]: one["files"] for one in dataset.inventory["passed_over"]}) == {".dcm": 2, "": 2}


def test_every_split_gets_both_classes_where_that_can_be(tmp_path: Path) -> None:
    plant(tmp_path, ["NORMAL"], each=30)
    plant(tmp_path, ["PNEUMONIA"], each=3)
    for seed in range(5):
        dataset = opened(tmp_path, f"data.split.seed={seed}")
        assert [int(dataset.labels(split).sum()) for split in ("train", "val", "test")] == [1, 1, 1]


def test_suffixes_of_a_camera_and_none_at_all_are_read(tmp_path: Path) -> None:
    plant(tmp_path, CLASSES, each=12)
    for number, name in enumerate(("a.JFIF", "b.Jpeg", "c.pjpeg", "without")):
        save(tmp_path / "NORMAL" / name, drawn(50 + number), format="JPEG")
    dataset = opened(tmp_path)
    assert len(dataset.table) == 28
    assert dataset.inventory["passed_over"] == []


def test_identical_images_in_both_classes_can_be_left_out(tmp_path: Path) -> None:
    plant(tmp_path, CLASSES, each=12)
    copied = (tmp_path / "NORMAL" / "0003.png").read_bytes()
    (tmp_path / "PNEUMONIA" / "copy.png").write_bytes(copied)
    assert "drop_conflicts leaves all of them out" in refusal(tmp_path)
    dataset = opened(tmp_path, "data.duplicates=drop_conflicts")
    assert len(dataset.table) == 23
    assert sorted(dataset.duplicates["name"]) == ["NORMAL/0003.png", "PNEUMONIA/copy.png"]


def test_the_fingerprint_of_the_source_says_whether_images_are_the_same(tmp_path: Path) -> None:
    plant(tmp_path / "one", CLASSES, each=12)
    plant(tmp_path / "two", CLASSES, each=12, name="other{n}.png")
    one, two = opened(tmp_path / "one"), opened(tmp_path / "two")
    split, smaller = (opened(tmp_path / "one", override) for override in ("data.split.seed=1", "data.image_size=8"))
    assert one.fingerprints["source"] == two.fingerprints["source"] == smaller.fingerprints["source"]
    assert one.fingerprints["split"] != split.fingerprints["split"] != two.fingerprints["split"]
    assert (one.fingerprints["size"], smaller.fingerprints["size"]) == (16, 8)
    assert len({one.fingerprint, two.fingerprint, split.fingerprint, smaller.fingerprint}) == 4
    (tmp_path / "one" / "NORMAL" / "0000.png").unlink()
    assert opened(tmp_path / "one").fingerprints["source"] != one.fingerprints["source"]


def test_a_run_says_of_its_data_what_it_read_and_what_it_passed_over(tmp_path: Path, cxr_run: object) -> None:
    plant(tmp_path, both("train", "test"))
    (tmp_path / "notes.txt").write_text("x")
    answer: Answer = cxr_run(  # type: ignore[operator]
        "data=folder", f"data.root={tmp_path}", "data.image_size=16", "epochs=1", "progress=lines"
    )
    assert answer.code == 0
    (line,) = (line for line in answer.out.splitlines() if line.startswith("data: ") and "fingerprint" in line)
    assert "PNG (L), 48x48; passed over 1 .txt (no image)" in line
    assert "data: val is 12.5% of what is not test" in answer.out

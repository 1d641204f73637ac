"""Tables of labels beside images: miniatures with the headers of real ones, and what is refused in one line."""

import gzip
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset
from odd_sets import drawn, save

ADULTS = Path(os.environ.get("CXR_DATA", Path(__file__).parents[2] / "shared" / "data" / "kermany-224")).parent
ADULTS /= "nih-adults-224"
IMAGES = (".png", ".jpg")
TINY = ("data.image_size=16",)


@pytest.fixture(autouse=True)
def cache(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))


def draw(root: Path, names: Sequence[str]) -> None:
    for seed, name in enumerate(names):
        save(root / name, drawn(seed, seed % 2, 16))


def opened(root: Path, table: str | Path, *overrides: str, data: str = "table") -> Dataset:
    """Open images below ``root/images`` with a table, given as text or as a path."""
    if isinstance(table, str):
        (root / "labels.csv").write_text(table, "utf-8")
        table = root / "labels.csv"
    arguments = [f"data={data}", f"data.file={table}", f"data.root={root / 'images'}", *TINY, *overrides]
    return open_dataset(compose(arguments)[0].data, Reporter())


def refusal(root: Path, table: str | Path, *overrides: str, data: str = "table") -> str:
    with pytest.raises(UserError) as error:
        opened(root, table, *overrides, data=data)
    assert "\n" not in str(error.value)
    return str(error.value)


def labels(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.table["name"], dataset.table["label"].astype(int), strict=True))


def left_out(dataset: Dataset) -> dict[str, int]:
    rows = {one["reason"]: one["rows"] for one in dataset.inventory["rows"]}
    return rows | {one["reason"]: one["files"] for one in dataset.inventory["passed_over"] if one["suffix"] in IMAGES}


def simple(number: int = 24, header: str = "name,label") -> str:
    rows = [f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'}" for n in range(number)]
    return "\n".join([header, *rows]) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    draw(tmp_path / "images", [f"{n:03d}.png" for n in range(24)])
    return tmp_path


class TestNIH:
    HEADER = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )

    @pytest.fixture
    def table(self, tmp_path: Path) -> str:
        lines = [self.HEADER]
        kinds = ("No Finding", "Pneumonia", "Infiltration|Pneumonia", "Effusion")
        for patient in range(16):
            for follow in range(2):
                view, age = ("AP", "PA")[patient % 2], f"{10 + 4 * patient:03d}Y"
                finding = kinds[patient % 4]
                name = f"{patient:08d}_{follow:03d}.png"
                lines.append(f"{name},{finding},{follow},{patient:05d},{age},M,{view},2048,2500,0.168,0.168,")
        draw(tmp_path / "images" / "images_001", [line.split(",")[0] for line in lines[1:20]])
        draw(tmp_path / "images" / "images_002", [line.split(",")[0] for line in lines[20:]])
        return "\n".join(lines) + "\n"

    def test_findings_patients_views_and_ages_are_read(self, tmp_path: Path, table: str) -> None:
        dataset = opened(
            tmp_path, table, "data.subgroups=[view,age,Patient Gender]", "data.duplicates=keep", data="nih"
        )
        assert dataset.class_names == ("No Finding", "Pneumonia")
        assert len(dataset.table) == 24
        assert left_out(dataset)["a label that is in neither class"] == 8
        assert left_out(dataset)["of no row that is taken"] == 8
        assert set(dataset.table["patient"]) == {f"{patient:05d}" for patient in range(16) if patient % 4 != 3}
        assert (dataset.table.groupby("patient")["split"].nunique() == 1).all()
        assert any("split by patient" in note for note in dataset.notes)
        first = dataset.subgroups.iloc[0].to_dict()
        assert first == {"view": "AP", "age": "010Y", "Patient Gender": "M"}
        assert "Wang" in dataset.about.citation

    def test_a_label_among_others_counts_or_not(self, tmp_path: Path, table: str) -> None:
        alone = opened(tmp_path, table, "data.label_match=equals", "data.duplicates=keep", data="nih")
        assert sum(labels(alone).values()) == 8
        others = opened(tmp_path, table, "data.negative=*", "data.duplicates=keep", data="nih")
        assert others.class_names == ("not Pneumonia", "Pneumonia")
        assert [sum(labels(others).values()), len(others.table)] == [16, 32]

    def test_rows_can_be_filtered(self, tmp_path: Path, table: str) -> None:
        filtered = opened(
            tmp_path,
            table,
            "data.where=view in (PA) and age >= 18",
            "data.negative=*",
            "data.duplicates=keep",
            data="nih",
        )
        assert left_out(filtered)["not as data.where"] == 18
        assert len(filtered.table) == 14
        assert "no such column, did you mean View Position?" in refusal(
            tmp_path, table, 'data.where="View Positon" = PA', data="nih"
        )
        assert "data.where=view in: cannot be read" in refusal(tmp_path, table, "data.where=view in", data="nih")
        assert "fits none of 32 rows" in refusal(tmp_path, table, "data.where=age > 200", data="nih")

    def test_the_official_lists_are_the_splits(self, tmp_path: Path, table: str) -> None:
        names = [line.split(",")[0] for line in table.splitlines()[1:]]
        (tmp_path / "train_val_list.txt").write_text("\n".join(names[:20]))
        (tmp_path / "test_list.txt").write_text("\n".join(names[20:]))
        lists = [
            f"data.split_files.{split}={tmp_path / name}"
            for split, name in (("train", "train_val_list.txt"), ("test", "test_list.txt"))
        ]
        dataset = opened(tmp_path, table, *lists, "data.negative=*", "data.duplicates=keep", data="nih")
        assert [Path(name).name for name in dataset.names("test")] == names[20:]
        assert len(dataset.rows("val")) > 0
        assert not set(dataset.patients("train")) & set(dataset.patients("val"))
        wrong = [*lists[:1], f"data.split_files.test={tmp_path / 'train_val_list.txt'}"]
        assert "names images of another list too" in refusal(tmp_path, table, *wrong, data="nih")


class TestRSNA:
    def test_rows_of_boxes_become_one_image_and_patients_that_group_nothing_are_warned_about(
        self, tmp_path: Path
    ) -> None:
        lines = ["patientId,x,y,width,height,Target"]
        for number in range(24):
            key = f"{number:08x}-4b2e-41a5-9c0d-0123456789ab"
            boxes = 2 if number % 3 == 0 else 1
            for box in range(boxes):
                place = f"{box}.0,1.0,2.0,3.0" if number % 3 == 0 else ",,,"
                lines.append(f"{key},{place},{int(number % 3 == 0)}")
        draw(
            tmp_path / "images",
            [f"{line.split(',')[0]}.png" for line in dict.fromkeys(lines[1:]) if not line.count("1.0,1.0")],
        )
        dataset = opened(tmp_path, "\n".join(lines), "data.patient_column=patientId", data="rsna")
        assert dataset.class_names == ("Target=0", "Target=1")
        assert (len(dataset.table), sum(labels(dataset).values())) == (24, 8)
        assert any("every patient has one image" in warning for warning in dataset.checks.warnings())

    def test_three_classes_of_detailed_labels_are_chosen_from(self, tmp_path: Path) -> None:
        classes = ["Normal", "No Lung Opacity / Not Normal", "Lung Opacity"]
        lines = ["patientId,class", *(f"{n:04d},{classes[n % 3]}" for n in range(36))]
        draw(tmp_path / "images", [f"{n:04d}.png" for n in range(36)])
        table = "\n".join(lines)
        chosen = ["data.image_column=patientId", "data.positive=Lung Opacity"]
        assert "say which labels of class are negative" in refusal(tmp_path, table, *chosen)
        dataset = opened(tmp_path, table, *chosen, "data.negative=Normal")
        assert (len(dataset.table), left_out(dataset)["a label that is in neither class"]) == (24, 12)
        merged = opened(tmp_path, table, *chosen, "data.negative=[Normal,No Lung Opacity / Not Normal]")
        assert len(merged.table) == 36


class TestCheXpert:
    @pytest.fixture
    def table(self, tmp_path: Path) -> str:
        lines = ["Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia,Pneumothorax"]
        values = ("1.0", "0.0", "-1.0", "")
        for patient in range(24):
            path = f"train/patient{patient:05d}/study1/view1_frontal.jpg"
            lines.append(f"CheXpert-v1.0-small/{path},Male,{20 + patient},Frontal,AP,,{values[patient % 4]},")
        draw(tmp_path / "images", [line.split(",")[0].removeprefix("CheXpert-v1.0-small/") for line in lines[1:]])
        return "\n".join(lines)

    def test_uncertain_labels_have_to_be_decided(self, tmp_path: Path, table: str) -> None:
        assert "6 rows have -1 in Pneumonia, which is uncertain" in refusal(tmp_path, table, data="chexpert")
        sizes = {
            choice: labels(opened(tmp_path, table, f"data.uncertain={choice}", data="chexpert"))
            for choice in ("positive", "negative", "drop")
        }
        assert {choice: (len(one), sum(one.values())) for choice, one in sizes.items()} == {
            "positive": (18, 12),
            "negative": (18, 6),
            "drop": (12, 6),
        }
        filled = opened(tmp_path, table, "data.uncertain=drop", "data.empty=negative", data="chexpert")
        assert (len(filled.table), sum(labels(filled).values())) == (18, 6)
        assert left_out(filled) == {"uncertain label": 6, "of no row that is taken": 6}

    def test_patients_are_known_from_folders(self, tmp_path: Path, table: str) -> None:
        dataset = opened(tmp_path, table, "data.uncertain=drop", "data.subgroups=view", data="chexpert")
        assert set(dataset.table["patient"]) <= {f"patient{number:05d}" for number in range(24)}
        assert set(dataset.subgroups["view"]) == {"AP"}

    def test_a_part_of_the_set_is_not_taken_for_another_part(self, tmp_path: Path, table: str) -> None:
        for patient in range(1, 24):  # every other file has the same name in another folder
            (tmp_path / "images" / "train" / f"patient{patient:05d}" / "study1" / "view1_frontal.jpg").unlink()
        message = refusal(tmp_path, table, "data.uncertain=drop", data="chexpert")
        assert "23 of 24 rows name no image below data.root" in message


def test_covid_findings_are_paths_and_other_modalities_are_left_out(tmp_path: Path) -> None:
    lines = ["patientid,offset,sex,age,finding,RT_PCR_positive,survival,view,modality,date,location,filename,doi,notes"]
    findings = ["Pneumonia/Viral/COVID-19", "Pneumonia", "No Finding", "Tuberculosis"]
    for n in range(24):
        modality = "CT" if n >= 20 else "X-ray"
        note = '"a note, with comma"' if n % 2 else ""
        lines.append(
            f"{n // 2},0,F,{30 + n},{findings[n % 4]},,,PA,{modality},2020,\u00cele-de-France,{n:02d}.jpg,,{note}"
        )
    draw(tmp_path / "images", [f"{n:02d}.jpg" for n in range(20)])
    (tmp_path / "metadata.csv").write_bytes("\n".join(lines).encode("latin-1"))
    dataset = opened(tmp_path, tmp_path / "metadata.csv", "data.subgroups=[sex,view]", data="covid_chestxray")
    assert dataset.class_names == ("No Finding", "Pneumonia")
    assert (len(dataset.table), sum(labels(dataset).values())) == (15, 10)
    assert left_out(dataset) == {
        "not as data.where": 4,
        "a label that is in neither class": 5,
        "of no row that is taken": 5,
    }
    assert set(dataset.subgroups["sex"]) == {"F"}


def test_seventeen_readers_are_one_label(tmp_path: Path) -> None:
    lines = ["image_id,rad_id,class_name"]
    for image in range(24):
        votes = 3 if image % 2 == 0 else 0 if image % 4 == 1 else 2
        for reader in range(3):
            lines.append(f"{image:032x},R{8 + reader},{'Pneumonia' if reader < votes else 'No finding'}")
    draw(tmp_path / "images", [f"{image:032x}.png" for image in range(24)])
    table, chosen = "\n".join(lines), ["data.label_column=class_name", "data.image_column=image_id"]
    message = refusal(tmp_path, table, *chosen)
    assert message == ("data.rows=refuse: 18 are rows that contradict each other; valid are any, all and majority")
    positives = {
        rule: sum(labels(opened(tmp_path, table, *chosen, f"data.rows={rule}")).values())
        for rule in ("any", "all", "majority")
    }
    assert positives == {"any": 18, "all": 12, "majority": 18}


class TestFormats:
    def write(self, path: Path, kind: str) -> Path:
        text, file = simple(), path / f"labels{kind}"
        rows = [line.split(",") for line in text.splitlines()[1:]]
        frame = pd.DataFrame(rows, columns=["name", "label"])
        if kind in (".csv", ".txt"):
            file.write_text(text)
        elif kind == ".tsv":
            file.write_text(text.replace(",", "\t"))
        elif kind == ".csv.gz":
            file.write_bytes(gzip.compress(text.encode()))
        elif kind == ".csv.zip":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("labels.csv", text)
                archive.writestr("__MACOSX/._labels.csv", "x")
        elif kind == ".parquet":
            frame.to_parquet(file)
        else:
            file.write_text("\n".join(json.dumps(record) for record in frame.to_dict("records")))
        return file

    @pytest.mark.parametrize("kind", [".csv", ".txt", ".tsv", ".csv.gz", ".csv.zip", ".parquet", ".jsonl"])
    def test_each_kind_of_file_gives_the_same_labels(self, root: Path, kind: str) -> None:
        dataset = opened(root, self.write(root, kind))
        assert labels(dataset) == {f"{n:03d}.png": n % 2 for n in range(24)}
        assert any("data.label_column=label" in one for one in _remarks(dataset))

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: "\ufeff" + text.replace("\n", "\r\n"),
            lambda text: text.replace(",", ";"),
            lambda text: text.replace("\n", ",,\n"),
            lambda text: text.replace(".png", ""),
            lambda text: text.replace("0", "/data/old place/0", 1).replace("\n0", "\n/data/old place/0"),
            lambda text: text.replace("\n0", "\nC:\\pictures\\0"),
            lambda text: text.replace(".png", ".jpeg"),
            lambda text: text.replace("name", "File Name").replace("label", "FINDING_LABELS"),
        ],
    )
    def test_tables_as_people_have_them_are_read(self, root: Path, change: Callable[[str], str]) -> None:
        assert labels(opened(root, change(simple()))) == {f"{n:03d}.png": n % 2 for n in range(24)}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"name,label\n1.png,a,b\n", "row 2 has 3 values for 2 columns"),
            (b"PK\x03\x04", "is damaged"),
        ],
    )
    def test_what_is_no_table_is_refused(self, root: Path, content: bytes, said: str) -> None:
        path = root / ("labels.zip" if content.startswith(b"PK") else "labels.csv")
        path.write_bytes(content)
        assert said in refusal(root, path)

    def test_a_table_that_is_not_there_is_one_line(self, root: Path) -> None:
        assert "data.file=" in refusal(root, root / "none.csv")
        os.mkfifo(root / "pipe.csv")
        assert "cannot be read (is not a regular file)" in refusal(root, root / "pipe.csv")
        (root / "labels.docx").write_bytes(b"x")
        assert "valid are .csv" in refusal(root, root / "labels.docx")


def _remarks(dataset: Dataset) -> list[str]:
    return list(dataset.notes)


class TestMistakes:
    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            (["data.label_column=lable"], "data.label_column=lable: no such column, did you mean label?"),
            (["data.positive=Pneumonai"], "did you mean Pneumonia?"),
            (["data.subgroups=[view]"], "data.subgroups=view: the data have no column view"),
            (["data.subgroups=[label]"], "data.subgroups=label: is a column of predictions.csv already"),
            (["data.split_column=label"], "holds Normal, Pneumonia, which names no split"),
            (["data.positive=Pneumonia", "data.negative=Pneumonia"], "is in data.negative too"),
        ],
    )
    def test_each_mistake_names_key_and_what_is_valid(self, root: Path, overrides: list[str], said: str) -> None:
        assert said in refusal(root, simple(), *overrides)

    def test_a_table_of_another_set_is_refused(self, root: Path) -> None:
        foreign = simple().replace("0", "9")
        assert "24 of 24 rows name no image below data.root" in refusal(root, foreign, "data.image_column=name")

    def test_a_table_without_a_usual_header_asks_for_the_column(self, root: Path) -> None:
        assert "data.label_column=null: say which column holds the labels" in refusal(root, simple(header="name,x"))

    def test_rows_without_a_file_and_files_without_a_row_are_counted(self, root: Path) -> None:
        table = simple(20) + "900.png,Normal\n"
        message = refusal(root, table)
        assert message.startswith(
            "data.allow_unused=0.05: of 24 files that look like images, 4 are in no row of the table"
        )
        dataset = opened(root, table, "data.allow_unused=0.2")
        assert left_out(dataset) == {"no such image below data.root": 1, "of no row that is taken": 4}

    def test_patients_with_spreadsheet_decimals_and_leading_zeros_stay_text(self, root: Path) -> None:
        rows = [f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'},{n // 4}.0" for n in range(23)]
        table = "\n".join(["name,label,patient", *rows, "023.png,Pneumonia,0017"])
        dataset = opened(root, table)
        assert set(dataset.table["patient"]) == {"0", "1", "2", "3", "4", "5", "0017"}

    def test_given_splits_of_a_column_are_kept(self, root: Path) -> None:
        rows = [
            f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'},{('train', 'VALIDATION', 'Test')[n // 2 % 3]}"
            for n in range(24)
        ]
        dataset = opened(root, "\n".join(["name,label,split", *rows]))
        assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [8, 8, 8]


class TestWhatWouldGoWrongInSilence:
    def test_ignored_labels_are_left_out_beside_all_others(self, root: Path) -> None:
        rows = [f"{n:03d}.png,{('VIRUS', 'BACTERIA', 'Normal')[n % 3]}" for n in range(24)]
        table = "\n".join(["name,label", *rows])
        dataset = opened(root, table, "data.positive=VIRUS", "data.negative=*", "data.ignore=BACTERIA")
        assert (len(dataset.table), sum(labels(dataset).values())) == (16, 8)
        assert left_out(dataset)["a label that is in neither class"] == 8

    def test_labels_of_several_findings_need_a_separator(self, root: Path) -> None:
        findings = ("Mass|Pneumonia", "Normal", "Pneumonia", "Normal")
        table = "\n".join(["name,label", *(f"{n:03d}.png,{findings[n % 4]}" for n in range(24))])
        message = refusal(root, table, "data.positive=Pneumonia", "data.negative=*")
        assert message.startswith("data.label_separator=null: 6 rows hold Pneumonia among other labels of label")
        alone = opened(root, table, "data.positive=Pneumonia", "data.negative=*", "data.label_match=equals")
        assert sum(labels(alone).values()) == 6
        joined = opened(root, table, "data.positive=Pneumonia", "data.negative=*", "data.label_separator=|")
        assert sum(labels(joined).values()) == 12

    def test_a_quote_that_is_not_closed_is_said(self, root: Path) -> None:
        rows = [f"{n:03d}.png,{chr(34) if n in (4, 5) else ''},{'Pneumonia' if n % 2 else 'Normal'}" for n in range(24)]
        rows[5] = '005.png,x",Pneumonia'
        message = any(
            "run over several lines" in note for note in opened(root, "\n".join(["name,note,label", *rows])).notes
        )
        assert message
        assert "unexpected end of data" in refusal(root, "\n".join(["name,note,label", *rows[:5]]))

    def test_a_column_of_splits_is_known_by_its_values(self, root: Path) -> None:
        rows = [f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'},{'TEST' if n > 15 else 'TRAIN'}" for n in range(24)]
        dataset = opened(root, "\n".join(["name,label,Dataset_type", *rows]))
        assert len(dataset.rows("test")) == 8
        assert any("data.split_column=Dataset_type" in note for note in dataset.notes)

    def test_votes_for_another_label_are_votes(self, tmp_path: Path) -> None:
        lines = ["image_id,label"]
        for image in range(24):
            votes = ["Pneumonia", *["Edema"] * 4] if image % 4 == 0 else ["Pneumonia" if image % 2 else "Normal"] * 5
            lines += [f"{image:03d},{vote}" for vote in votes]
        draw(tmp_path / "images", [f"{image:03d}.png" for image in range(24)])
        chosen = ["data.positive=Pneumonia", "data.negative=Normal"]
        assert "rows that contradict each other" in refusal(tmp_path, "\n".join(lines), *chosen)
        for rule, number in (("majority", 18), ("all", 18), ("any", 24)):
            assert len(opened(tmp_path, "\n".join(lines), *chosen, f"data.rows={rule}").table) == number

    def test_nobody_is_no_patient(self, root: Path) -> None:
        rows = [f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'},{'NA' if n % 4 else n}" for n in range(24)]
        dataset = opened(root, "\n".join(["name,label,patient", *rows]), "data.split.strategy=random")
        assert dataset.known_patients.strangers == 18
        assert "NA" not in set(dataset.table["patient"])

    def test_a_name_in_several_folders_is_not_found_by_itself(self, root: Path) -> None:
        rows = [f"{part}/{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'}" for part in ("a", "b") for n in range(24)]
        assert "48 of 48 rows name no image" in refusal(
            root, "\n".join(["name,label", *rows]), "data.image_column=name"
        )

    def test_two_files_of_one_name_are_named(self, root: Path) -> None:
        draw(root / "images" / "other", ["003.png"])
        message = refusal(root, simple())
        assert message.startswith(f"data.root={root / 'images'}: 003.png may be 003.png or other/003.png")

    def test_masks_below_the_root_are_refused(self, root: Path) -> None:
        draw(root / "images" / "lung masks", ["003.png"])
        assert "lung masks/003.png is a mask and no X-ray" in refusal(root, simple())

    def test_lists_that_name_few_images_are_refused(self, root: Path) -> None:
        (root / "train.txt").write_text("\n".join(f"{n:03d}" for n in range(24)))
        (root / "test.txt").write_text("\n".join(f"9{n:03d}" for n in range(24)))
        lists = [f"data.split_files.{split}={root / split}.txt" for split in ("train", "test")]
        assert "24 of its 24 lines name no image below data.root" in refusal(root, simple(), *lists)

    def test_labels_in_other_cases_are_one_label(self, root: Path) -> None:
        table = simple().replace("001.png,Pneumonia", "001.png,PNEUMONIA").replace("002.png,Normal", "002.png,normal")
        assert sum(labels(opened(root, table, "data.positive=pneumonia")).values()) == 12

    def test_an_empty_separator_is_refused(self, root: Path) -> None:
        assert refusal(root, simple(), "data.label_separator=") == "data.label_separator=: must not be empty"


def test_a_run_on_a_table_keeps_subgroups_beside_predictions(root: Path, cxr_run: Any) -> None:
    rows = [f"{n:03d}.png,{'Pneumonia' if n % 2 else 'Normal'},p{n // 2},{'AP' if n % 3 else 'PA'}" for n in range(24)]
    (root / "labels.csv").write_text("\n".join(["name,label,patient,View Position", *rows]))
    answer: Answer = cxr_run(
        "data=table",
        f"data.file={root / 'labels.csv'}",
        f"data.root={root / 'images'}",
        *TINY,
        "epochs=1",
        "data.subgroups=view",
    )
    assert (answer.code, answer.err) == (0, "")
    (path,) = Path("outputs").rglob("predictions.csv")
    predictions = pd.read_csv(path)
    assert list(predictions)[-2:] == ["probability", "view"]
    assert set(predictions["view"]) <= {"AP", "PA"}
    expected = {row.split(",")[0]: row.split(",")[3] for row in rows}
    assert dict(zip(predictions["name"], predictions["view"], strict=True)).items() <= expected.items()


@pytest.mark.long
def test_the_adults_of_another_hospital_are_what_was_counted_independently() -> None:
    if not ADULTS.is_dir():
        pytest.skip(f"NO REAL IMAGES in {ADULTS}: they lie beside the folder that CXR_DATA names")
    table, images = ADULTS / "Data_Entry_subset.csv", ADULTS / "images"
    arguments = [
        "data=nih",
        f"data.file={table}",
        f"data.root={images}",
        "data.image_size=64",
        "data.subgroups=[view,sex,age]",
    ]
    dataset = open_dataset(compose(arguments)[0].data, Reporter())
    whole = open_dataset(compose([*arguments, "data.duplicates=keep"])[0].data, Reporter())
    assert (len(whole.table), len(dataset.table)) == (1000, 999)
    both = whole.table.groupby("patient")["label"].nunique()
    assert (len(both), int((both > 1).sum())) == (682, 21)
    views = whole.subgroups.assign(label=whole.table["label"])
    shares = {label: (part["view"] == "AP").mean() for label, part in views.groupby("label")}
    assert shares == pytest.approx({0: 0.68, 1: 0.45}, abs=0.005)

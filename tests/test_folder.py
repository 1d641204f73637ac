"""Trees of folders as users have them: every layout that is read, and the one line said of every other."""

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.data.extras import AS_IN_FILE, DicomOptions
from cxr_runner.data.sources import Source, walk
from cxr_runner.data.sources.folder import FolderOptions, FolderSource
from cxr_runner.data.sources.layout import LAYOUTS

REAL = Path(os.environ.get("CXR_DATA", Path(__file__).parents[2] / "shared" / "data" / "kermany-224"))
ANY = FolderOptions(subfolders="any")
SPLIT_TREE = [f"{split}/{name}/1.png" for split in ("train", "val", "test") for name in ("NORMAL", "PNEUMONIA")]


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plant(root: Path, *names: str) -> Path:
    """Write a small image under each name, a folder where the name ends with a slash."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(Image.new("L", (2, 2), 7), "PNG"))
    return root


def listed(source: Source) -> list[tuple[str, int, str | None]]:
    return [(record.name, record.label, record.split) for record in source.scan().records]


def error_of(root: Path, **options: object) -> str:
    with pytest.raises(UserError) as error:
        FolderSource(root, FolderOptions(**options)).scan()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_class_folders_alone_give_no_splits(tmp_path: Path) -> None:
    source = FolderSource(plant(tmp_path, "PNEUMONIA/b.png", "NORMAL/c.png", "PNEUMONIA/a.png"))
    assert listed(source) == [("NORMAL/c.png", 0, None), ("PNEUMONIA/a.png", 1, None), ("PNEUMONIA/b.png", 1, None)]
    assert source.scan().class_names == ("NORMAL", "PNEUMONIA")


def test_split_folders_give_splits_whatever_their_spelling(tmp_path: Path) -> None:
    names = [f"{split}/{name}/1.png" for split in ("TRAIN", "Validation", "test") for name in ("no", "pneumonia")]
    source = FolderSource(plant(tmp_path, *names))
    assert {record.name.split("/")[0]: record.split for record in source.scan().records} == {
        "TRAIN": "train",
        "Validation": "val",
        "test": "test",
    }
    assert [record.label for record in source.scan().records] == [0, 1] * 3


@pytest.mark.parametrize("folder", ["val", "valid", "VALIDATION", "Dev"])
def test_each_name_of_the_validation_split_is_known(tmp_path: Path, folder: str) -> None:
    source = FolderSource(plant(tmp_path, f"{folder}/NORMAL/1.png", f"{folder}/PNEUMONIA/1.png"))
    assert {record.split for record in source.scan().records} == {"val"}


def test_a_class_spelled_in_two_cases_is_one_class_as_first_spelled(tmp_path: Path) -> None:
    plant(tmp_path, "train/Pneumonia/1.png", "train/Normal/1.png", "test/PNEUMONIA/1.png", "test/normal/1.png")
    source = FolderSource(tmp_path)
    assert source.scan().class_names == ("normal", "PNEUMONIA")
    assert [record.label for record in source.scan().records] == [1, 0, 0, 1]


def test_images_below_nested_folders_belong_to_the_class_above(tmp_path: Path) -> None:
    plant(tmp_path, "train/NORMAL/clinic a/2019/1.png", "train/PNEUMONIA/bacteria/1.png", "train/PNEUMONIA/virus/1.png")
    assert "NORMAL has clinic a/#, PNEUMONIA has bacteria, virus" in error_of(tmp_path)
    assert listed(FolderSource(tmp_path, ANY)) == [
        ("train/NORMAL/clinic a/2019/1.png", 0, "train"),
        ("train/PNEUMONIA/bacteria/1.png", 1, "train"),
        ("train/PNEUMONIA/virus/1.png", 1, "train"),
    ]


@pytest.mark.usefixtures("without_dicom")
def test_suffixes_count_in_any_case_and_all_else_is_passed_over(tmp_path: Path) -> None:
    images = ["a.jpg", "b.JPEG", "c.jpe", "d.Png", "e.TIF", "f.tiff", "g.bmp", "h.WebP", "i.JFIF", "without", "1.2.840"]
    images.sort()
    others = ["Thumbs.db", ".DS_Store", "desktop.ini", "._a.jpg", "labels.csv", "notes.txt", "x.json", "y.md"]
    others += ["scan.dcm", "z.gif", ".cache/a.png", "__MACOSX/a.png", "@eaDir/a.jpg"]
    plant(tmp_path, "PNEUMONIA/1.png", *(f"NORMAL/{name}" for name in images + others))
    plant(tmp_path, "preview.png", ".git/NORMAL/1.png", "__MACOSX/train/NORMAL/1.png", "docs/readme.txt")
    refused = error_of(tmp_path)
    assert refused.startswith("data.allow_unused=0.05: 3 of 15 files that look like images would be passed over")
    assert "1 .dcm, 1 .gif, 1 .png, preview.png outside class folders" in refused
    source = FolderSource(tmp_path, FolderOptions(allow_unused=0.2))
    assert [name for name, _, _ in listed(source)] == [*(f"NORMAL/{name}" for name in images), "PNEUMONIA/1.png"]
    assert {(one.what, one.reason, one.number) for one in source.passed_over()} == {
        (".dcm", "in a format that is not read", 1),
        (".gif", "in a format that is not read", 1),
        (".png", "outside class folders", 1),
        (".csv", "a table", 1),
        *((suffix, "no image", 1) for suffix in (".db", ".ini", ".json", ".md")),
        (".txt", "no image", 2),
    }


def test_a_second_copy_of_the_tree_beside_the_splits_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, *SPLIT_TREE, *(f"chest_xray/{name}" for name in SPLIT_TREE))
    assert sorted(name for name, _, _ in listed(FolderSource(tmp_path))) == sorted(SPLIT_TREE)


def test_links_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    elsewhere = plant(tmp_path / "elsewhere", "1.png")
    root = plant(tmp_path / "root", "NORMAL/1.png", "PNEUMONIA/1.png")
    (root / "NORMAL" / "more").symlink_to(elsewhere)
    (root / "NORMAL" / "up").symlink_to(root)
    (elsewhere / "self").symlink_to(elsewhere)
    names = [name for name, _, _ in listed(FolderSource(root, ANY))]
    assert names == ["NORMAL/1.png", "NORMAL/more/1.png", "PNEUMONIA/1.png"]


def test_a_folder_that_many_links_lead_to_counts_once(tmp_path: Path) -> None:
    root = plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png", *(f"NORMAL/{number}/a.png" for number in range(12)))
    for number in range(12):  # every folder leads to every other: 12! paths, none of them with a folder twice
        for other in range(12):
            (root / "NORMAL" / f"{number}" / f"to {other}").symlink_to(root / "NORMAL" / f"{other}")
    names = [name for name, _, _ in listed(FolderSource(root, ANY))]
    assert names == sorted(["NORMAL/1.png", *(f"NORMAL/{number}/a.png" for number in range(12)), "PNEUMONIA/1.png"])


@pytest.mark.parametrize("reverse", [False, True])
def test_of_several_paths_to_a_folder_the_one_with_the_fewest_links_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    elsewhere = plant(tmp_path / "elsewhere", "a.png", "inner/b.png")
    root = plant(tmp_path / "root", "NORMAL/z/1.png", "PNEUMONIA/1.png")
    (root / "NORMAL" / "a").symlink_to(root / "NORMAL" / "z")
    (root / "NORMAL" / "x").symlink_to(elsewhere)
    (root / "NORMAL" / "y").symlink_to(elsewhere)
    (root / "NORMAL" / "w").symlink_to(elsewhere / "inner")
    (elsewhere / "first").symlink_to(elsewhere / "inner")
    scandir = os.scandir

    class Ordered:
        def __init__(self, path: Path) -> None:
            self.entries = sorted(scandir(path), key=lambda entry: entry.name, reverse=reverse)

        def __enter__(self) -> list[os.DirEntry]:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", Ordered)
    names = [name for name, _, _ in listed(FolderSource(root, ANY))]
    assert names == ["NORMAL/w/b.png", "NORMAL/x/a.png", "NORMAL/z/1.png", "PNEUMONIA/1.png"]


def test_classes_that_are_links_are_read_as_folders_are(tmp_path: Path) -> None:
    plant(tmp_path / "elsewhere", "healthy/1.png", "healthy/deep/2.png", "sick/3.png")
    root = plant(tmp_path / "root", "train/")
    (root / "train" / "NORMAL").symlink_to(tmp_path / "elsewhere" / "healthy")
    (root / "train" / "PNEUMONIA").symlink_to(tmp_path / "elsewhere" / "sick")
    (root / "train" / "PNEUMONIA" / "4.png").symlink_to(tmp_path / "elsewhere" / "healthy" / "1.png")
    names = [name for name, _, _ in listed(FolderSource(root, ANY))]
    assert names == [
        "train/NORMAL/1.png",
        "train/NORMAL/deep/2.png",
        "train/PNEUMONIA/3.png",
        "train/PNEUMONIA/4.png",
    ]


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_folder_that_links_place_in_both_classes_is_refused(tmp_path: Path, top: str) -> None:
    root = plant(tmp_path, f"{top}NORMAL/1.png", f"{top}PNEUMONIA/1.png", f"{top}PNEUMONIA/2.png")
    (root / top / "PNEUMONIA" / "up").symlink_to(root)
    (root / top / "PNEUMONIA" / "again").symlink_to(root / top / "PNEUMONIA")
    assert len(FolderSource(root).scan().records) == 3
    (root / top / "NORMAL" / "more").symlink_to(root / top / "PNEUMONIA")
    message = error_of(root)
    assert f"{top}PNEUMONIA/ and {top}NORMAL/more/ are one folder, which lies in two classes" in message


def test_a_root_that_leads_to_half_a_disk_is_given_up_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST_ENTRIES", 20)
    plant(tmp_path, *(f"NORMAL/{number}.png" for number in range(17)), "PNEUMONIA/1.png")
    assert len(FolderSource(tmp_path, ANY).scan().records) == 18
    plant(tmp_path, "notes.txt")
    message = error_of(tmp_path)
    assert message.startswith(f"data.root={tmp_path}: leads to more than 20 files and folders; name a folder")


@pytest.mark.skipif(not Path("/proc/self/root").exists(), reason="this system has no /proc")
def test_a_folder_of_the_system_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_ENTRIES", 20_000)
    assert error_of(Path("/proc/self")).startswith("data.root=/proc/self: ")


def test_a_dangling_link_is_listed_and_fails_on_loading(tmp_path: Path) -> None:
    plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png")
    (tmp_path / "NORMAL" / "2.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "NORMAL" / "3.png").symlink_to(tmp_path / "NORMAL" / "3.png")
    source = FolderSource(tmp_path)
    assert [name for name, _, _ in listed(source)][:3] == ["NORMAL/1.png", "NORMAL/2.png", "NORMAL/3.png"]
    with pytest.raises(BadImageError, match="cannot be read: No such file"):
        source.load(1)


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, *SPLIT_TREE, *(f"train/NORMAL/{number}.png" for number in range(20)))
    before = FolderSource(tmp_path)

    class Reversed:
        def __init__(self, path: Path) -> None:
            self.entries = sorted(scandir(path), key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry]:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    before.scan()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", Reversed)
    after = FolderSource(tmp_path)
    assert after.scan() == before.scan()
    assert after.signature() == before.signature()


def test_the_positive_class_may_be_named_in_any_case(tmp_path: Path) -> None:
    plant(tmp_path, "Cats/1.png", "Dogs/1.png")
    assert FolderSource(tmp_path, FolderOptions(positive="cats")).scan().class_names == ("Dogs", "Cats")
    assert [label for _, label, _ in listed(FolderSource(tmp_path, FolderOptions(positive="cats")))] == [1, 0]
    plant(tmp_path / "study", "NORMAL/1.png", "PNEUMONIA/1.png")
    assert FolderSource(tmp_path / "study", FolderOptions(positive="Normal")).scan().class_names == (
        "PNEUMONIA",
        "NORMAL",
    )


def test_loading_gives_grey_and_the_digest_of_the_file(tmp_path: Path) -> None:
    plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png")
    (tmp_path / "NORMAL" / "1.png").write_bytes(encode(Image.new("RGB", (3, 2), (255, 0, 0)), "BMP"))
    source = FolderSource(tmp_path)
    image = source.load(0)
    np.testing.assert_array_equal(image.decoded.values, np.full((2, 3), 76))
    assert image.digest == hashlib.sha256((tmp_path / "NORMAL" / "1.png").read_bytes()).hexdigest()


def test_about_is_the_folder_unless_the_user_says_more(tmp_path: Path) -> None:
    assert FolderSource(tmp_path / "my scans").about.title == "my scans"
    about = FolderSource(tmp_path, title="Clinic A", citation="Doe 2020").about
    assert (about.title, about.citation, about.synthetic) == ("Clinic A", "Doe 2020", False)


def test_the_signature_differs_whenever_an_image_or_its_label_may(tmp_path: Path) -> None:
    root = plant(tmp_path, "NORMAL/1.png", "NORMAL/2.png", "PNEUMONIA/1.png")
    seen = [FolderSource(root).signature()]
    assert FolderSource(root, FolderOptions(positive="pneumonia"), title="t").signature() == seen[0]
    seen.append(FolderSource(root, FolderOptions(positive="NORMAL")).signature())
    os.utime(root / "NORMAL" / "1.png", ns=(1, 1))
    seen.append(FolderSource(root).signature())
    (root / "NORMAL" / "1.png").write_bytes(b"longer" * 99)
    os.utime(root / "NORMAL" / "1.png", ns=(1, 1))
    seen.append(FolderSource(root).signature())
    (root / "NORMAL" / "2.png").rename(root / "NORMAL" / "3.png")
    seen.append(FolderSource(root).signature())
    (root / "NORMAL" / "3.png").unlink()
    seen.append(FolderSource(root).signature())
    assert len(set(seen)) == len(seen)


def test_the_signature_moves_with_the_tree(tmp_path: Path) -> None:
    root = plant(tmp_path / "here", "NORMAL/1.png", "PNEUMONIA/1.png")
    before = FolderSource(root).signature()
    root.rename(tmp_path / "there")
    assert FolderSource(tmp_path / "there").signature() == before


def test_the_tree_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FolderSource(plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png"))
    source.signature()
    monkeypatch.setattr(os, "scandir", lambda _: pytest.fail("walked again"))
    assert len(source.scan().records) == 2
    assert source.load(1).decoded.values.shape == (2, 2)


SAMPLE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
JPEG = encode(SAMPLE, "JPEG")
ODD: dict[str, tuple[bytes, str | tuple[int, int]]] = {
    "01 plain.jpg": (JPEG, (40, 30)),
    "02 empty.jpg": (b"", "the file is empty"),
    "03 truncated.jpg": (JPEG[: len(JPEG) // 2], "image file is truncated"),
    "04 text.png": (b"not an image", "not a readable"),
    "05 jpeg called png.png": (JPEG, (40, 30)),
    "06 gif called jpg.jpg": (encode(SAMPLE, "GIF"), "not a readable"),
    "07 pdf.tif": (b"%PDF-1.4", "not a readable"),
    "08 float.tif": (encode(Image.new("F", (3, 3)), "TIFF"), "floating-point"),
    "09 deep.tif": (encode(Image.new("I", (3, 3), 70_000), "TIFF"), "outside 0 to 65535"),
    "10 sixteen.png": (encode(Image.new("I;16", (4, 3)), "PNG"), (3, 4)),
    "11 palette.bmp": (encode(SAMPLE.convert("P"), "BMP"), (40, 30)),
    "12 cmyk.jpg": (encode(SAMPLE.convert("CMYK"), "JPEG"), (40, 30)),
    "13 opacity.webp": (encode(SAMPLE.convert("RGBA"), "WEBP"), (40, 30)),
    "14 one bit.tiff": (encode(SAMPLE.convert("1"), "TIFF", compression="group4"), (40, 30)),
    "15 one pixel.png": (encode(Image.new("L", (1, 1)), "PNG"), (1, 1)),
    "16 trailing.jpg": (JPEG + b"trailing bytes", (40, 30)),
    "17 zeros.jpg": (bytes(4096), "not a readable"),
    "18 damaged.png": (encode(SAMPLE, "PNG")[:900] + bytes(3000), "cannot be decoded"),
    "19 progressive.JPE": (encode(SAMPLE, "JPEG", progressive=True), (40, 30)),
    "20 ünï cödé 肺.png": (encode(SAMPLE, "PNG"), (40, 30)),
}


def test_of_twenty_odd_files_the_good_decode_and_the_bad_say_why(tmp_path: Path) -> None:
    plant(tmp_path, "PNEUMONIA/1.png", "NORMAL/")
    for name, (data, _) in ODD.items():
        (tmp_path / "NORMAL" / name).write_bytes(data)
    source = FolderSource(tmp_path)
    assert len(ODD) == 20
    for index, (record, (name, (_, expected))) in enumerate(zip(source.scan().records, ODD.items(), strict=False)):
        assert record.name == f"NORMAL/{name}"
        if isinstance(expected, str):
            with pytest.raises(BadImageError, match=expected):
                source.load(index)
        else:
            assert source.load(index).decoded.values.shape == expected


def test_a_file_that_vanishes_or_is_forbidden_is_a_bad_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FolderSource(plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png"))
    source.scan()
    (tmp_path / "NORMAL" / "1.png").unlink()
    with pytest.raises(BadImageError, match="cannot be read: No such file"):
        source.load(0)

    def forbidden(path: Path, mode: str) -> BinaryIO:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(BadImageError, match=r"cannot be read: Permission denied$"):
        source.load(1)


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert error_of(gone).startswith(f"data.root={gone}: no such folder; give one laid out as DIR/<class>/*")
    file = plant(tmp_path, "a.png") / "a.png"
    assert error_of(file).startswith(f"data.root={file}: not a folder; give one laid out as DIR/<class>/*")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png")
    scandir = os.scandir

    def partly_forbidden(path: Path) -> object:
        if Path(path).name == "NORMAL":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", partly_forbidden)
    expected = f"data.root={tmp_path}: {tmp_path / 'NORMAL'} cannot be read: Permission denied"
    assert error_of(tmp_path) == expected


@pytest.mark.parametrize("names", [[], ["NORMAL/", "PNEUMONIA/"], ["a.png", "b.png"]])
def test_a_tree_without_images_in_class_folders_is_refused(tmp_path: Path, names: list[str]) -> None:
    message = error_of(plant(tmp_path, *names))
    assert message.startswith(f"data.root={tmp_path}: no images in class folders; it must be laid out as DIR/<class>/*")
    assert ".jpeg" in message


INSTALL = "pip install 'cxr-runner[dicom]' reads the {} DICOM files"


@pytest.mark.usefixtures("without_dicom")
def test_without_the_extra_every_refusal_that_dicom_files_may_cause_names_it(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, "NORMAL/1.dcm", "PNEUMONIA/1.DCM"))
    assert message == f"data.root={tmp_path}: holds DICOM files and no images; {INSTALL.format(2)}"
    (tmp_path / "NORMAL" / "1.2.840").write_bytes(bytes(128) + b"DICM")
    plant(tmp_path, "PNEUMONIA/1.png")
    assert error_of(tmp_path).endswith(f"needed, found 1 (PNEUMONIA); lay it out as {LAYOUTS}; {INSTALL.format(3)}")
    assert error_of(tmp_path, negative="NORMAL").endswith(INSTALL.format(3))
    plant(tmp_path, "NORMAL/1.png")
    assert error_of(tmp_path).startswith("data.allow_unused=0.05: 3 of 5 files that look like images")
    assert error_of(tmp_path).endswith(INSTALL.format(3))


def test_with_the_extra_dicom_files_are_images_by_ending_or_content(tmp_path: Path) -> None:
    plant(tmp_path, "NORMAL/1.dcm", "NORMAL/2.DICOM", "PNEUMONIA/1.png", "PNEUMONIA/DICOMDIR")
    for name in ("1.2.840.10008", "IM00001", "x.ima", "DICOMDIR"):
        (tmp_path / "PNEUMONIA" / name).write_bytes(bytes(128) + b"DICM")
    names = [name for name, _, _ in listed(FolderSource(tmp_path))]
    assert names == [
        *("NORMAL/1.dcm", "NORMAL/2.DICOM"),
        *(f"PNEUMONIA/{name}" for name in ("1.2.840.10008", "1.png", "IM00001", "x.ima")),
    ]


def test_what_is_made_of_dicom_files_names_a_store_only_where_there_are_some(tmp_path: Path) -> None:
    def signatures() -> int:
        asked = [AS_IN_FILE, DicomOptions("full"), DicomOptions(frame=2)]
        return len({FolderSource(tmp_path, FolderOptions(dicom=options)).signature() for options in asked})

    plant(tmp_path, "NORMAL/1.png", "PNEUMONIA/1.png")
    assert signatures() == 1
    plant(tmp_path, "PNEUMONIA/2.dcm")
    assert signatures() == 3


def test_another_salt_is_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "NORMAL/1.dcm", "PNEUMONIA/1.png")
    before = FolderSource(tmp_path).signature()
    assert FolderSource(tmp_path).signature() == before
    monkeypatch.setenv("CXR_SALT", "another salt of these tests")
    assert FolderSource(tmp_path).signature() != before


def test_one_class_is_refused_even_beside_an_empty_folder(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, "NORMAL/", "PNEUMONIA/1.png"))
    assert message.startswith(f"data.root={tmp_path}: two classes with images are needed, found 1 (PNEUMONIA)")


def test_three_classes_are_refused(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, "BACTERIA/1.png", "VIRUS/1.png", "NORMAL/1.png"))
    assert "two classes with images are needed, found 3 (BACTERIA, NORMAL, VIRUS)" in message
    assert "DIR/<split>/<class>/*" in message


def test_many_classes_are_not_all_listed(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, *(f"{letter}/1.png" for letter in "abcdefgh")))
    assert "found 8 (a, b, c, d, e and 3 more)" in message


def test_a_root_one_level_too_high_is_recognised(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, "xrays/NORMAL/1.png", "xrays/PNEUMONIA/1.png"))
    assert message.endswith(f"perhaps data.root={tmp_path / 'xrays'}")
    assert "perhaps" not in error_of(plant(tmp_path / "b", "train/NORMAL/a/1.png", "train/NORMAL/b/1.png"))
    assert "perhaps" not in error_of(plant(tmp_path / "c", "NORMAL/a/1.png", "NORMAL/a/2.png"))


def test_images_outside_the_split_folders_are_refused(tmp_path: Path) -> None:
    message = error_of(plant(tmp_path, *SPLIT_TREE, "NORMAL/1.png", "vall/NORMAL/1.png"))
    assert message.startswith(f"data.root={tmp_path}: images lie both inside and outside the split folders")
    assert message.endswith("test, train, val; move away NORMAL, vall")


def test_the_positive_class_is_asked_for_where_it_cannot_be_guessed(tmp_path: Path) -> None:
    plant(tmp_path, "sick/1.png", "healthy/1.png")
    expected = "data.positive=null: the class coded 1 must be one of healthy, sick"
    assert error_of(tmp_path) == expected
    assert error_of(tmp_path, positive="ill") == "data.positive=ill: there is no ill, valid are healthy, sick"


@pytest.mark.parametrize("name", ["two\nlines.png", "tab\t.png", os.fsdecode(b"latin-\xe9.png")])
def test_names_that_no_table_can_hold_are_listed(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "PNEUMONIA/1.png", f"NORMAL/{name}")
    message = error_of(tmp_path)
    shown = ascii(f"NORMAL/{name}")
    assert message == f"data.root={tmp_path}: names of images must be valid UTF-8 on one line; rename {shown}"


def test_the_real_images_are_listed_and_decoded() -> None:
    if not REAL.is_dir():
        pytest.skip(f"CXR_DATA: the real images are not at {REAL}")
    source = FolderSource(REAL)
    labels = [record.label for record in source.scan().records]
    assert (labels.count(0), labels.count(1)) == (1583, 4273)
    for index in range(0, len(labels), 600):
        image = source.load(index)
        assert image.decoded.values.shape == (224, 224)
        assert image.decoded.values.std() > 10


KINDS = r"_(bacteria|virus)_"
PNEUMONIAS = [f"person{number}_{kind}_1.png" for number in (1, 2) for kind in ("bacteria", "virus")]


def test_classes_may_stand_in_the_names_of_files(tmp_path: Path) -> None:
    source = FolderSource(plant(tmp_path, *PNEUMONIAS), FolderOptions("bacteria", class_pattern=KINDS))
    assert listed(source) == [(name, int("bacteria" in name), None) for name in PNEUMONIAS]
    assert source.scan().class_names == ("virus", "bacteria")
    other = FolderSource(tmp_path, FolderOptions("virus", class_pattern=KINDS))
    assert [label for _, label, _ in listed(other)] == [0, 1, 0, 1]
    assert source.signature() != other.signature()


def test_splits_are_those_of_folders_where_names_tell_classes(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{split}/PNEUMONIA/{name}" for split in ("Train", "test") for name in PNEUMONIAS))
    options = FolderOptions("bacteria", class_pattern=KINDS)
    assert [split for *_, split in listed(FolderSource(tmp_path, options))] == ["train"] * 4 + ["test"] * 4
    plant(tmp_path, PNEUMONIAS[0])
    assert error_of(tmp_path, positive="bacteria", class_pattern=KINDS).endswith(f"as {PNEUMONIAS[0]} does")


def test_images_whose_names_tell_no_class_are_counted_and_refused_where_they_are_many(tmp_path: Path) -> None:
    plant(tmp_path, *PNEUMONIAS, "NORMAL/IM-1.png")
    assert "1 of 5 files that look like images would be passed over (1 .png, NORMAL/IM-1.png without a match" in (
        error_of(tmp_path, positive="bacteria", class_pattern=KINDS)
    )
    allowed = FolderSource(tmp_path, FolderOptions("bacteria", class_pattern=KINDS, allow_unused=0.2))
    assert [(one.reason, one.number) for one in allowed.passed_over()] == [("without a match of data.class_pattern", 1)]
    ignored = FolderSource(tmp_path, FolderOptions("bacteria", class_pattern=KINDS, ignore="NORMAL"))
    assert len(listed(ignored)) == 4


@pytest.mark.parametrize(
    ("pattern", "positive", "why"),
    [
        ("_(bacteria", None, "not a regular expression (missing ), unterminated subpattern at position 1)"),
        ("_bacteria_", None, "needs a group (...) around what tells the class, as _(bacteria|virus)_ has"),
        ("_(fungus)_", None, "tells no class in the paths of 4 images; two classes are needed"),
        ("_(virus)_", "virus", "tells only virus in the paths of 4 images; two classes are needed"),
    ],
)
def test_a_pattern_that_tells_no_two_classes_is_refused(
    tmp_path: Path, pattern: str, positive: str | None, why: str
) -> None:
    plant(tmp_path, *PNEUMONIAS)
    assert error_of(tmp_path, class_pattern=pattern, positive=positive) == f"data.class_pattern={pattern}: {why}"


def test_which_class_is_positive_has_to_be_said_of_classes_in_names(tmp_path: Path) -> None:
    plant(tmp_path, *PNEUMONIAS)
    assert "data.positive=null: the class coded 1 must be one of bacteria, virus" in error_of(
        tmp_path, class_pattern=KINDS
    )
    with pytest.raises(UserError, match="valid are bacteria, virus; did you mean bacteria"):
        FolderSource(tmp_path, FolderOptions("bacteira", class_pattern=KINDS)).scan()

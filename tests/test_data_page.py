"""Every command of docs/data.md, on images as its row describes them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import Answer
from dicom_files import make
from odd_sets import CLASSES, both, drawn, plant, save, with_bits

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
ROWS = re.findall(r"^\| (?!my images)([^|]+?) \| `(cxr-run [^`]*)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)
NEEDED = r"data\.(positive|ignore|subfolders|on_bad|allow|dupl|rows|label_sep|image_col|label_col|uncertain|frame)"
KINDS = ("images", "masks")
SMALL = ("data.image_size=16", "epochs=1", "progress=lines", "plots=never")


def _partly_damaged(root: Path) -> None:
    plant(root, CLASSES)
    (root / "NORMAL" / "bad.png").write_bytes(b"no image")


def _partly_gif(root: Path) -> None:
    plant(root, CLASSES)
    for number in range(4):
        Image.fromarray(np.rint(drawn(number) * 255).astype(np.uint8)).save(root / "NORMAL" / f"{number}.gif")


def _conflicting(root: Path) -> None:
    plant(root, CLASSES)
    (root / "PNEUMONIA" / "copy.png").write_bytes((root / "NORMAL" / "0001.png").read_bytes())


def _patients_in_folders(root: Path) -> None:
    plant(root, [f"{name}/case{number}" for number in range(6) for name in CLASSES], each=3)


def _classes_in_names(root: Path) -> None:
    for label, kind in enumerate(("virus", "bacteria")):
        for number in range(20):
            save(root / f"p{number:03d}_{kind}_2.png", drawn(100 * label + number, label))


def _dark_twelve_bits(root: Path) -> None:
    for label, name in enumerate(CLASSES):
        for number in range(20):
            save(root / name / f"{number}.png", drawn(100 * label + number, label) / 4, 12)


def _dicom(root: Path, frames: int = 1) -> None:
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(20):
            values = np.rint(np.stack([drawn(100 * label + number + frame, label) for frame in range(frames)]) * 4095)
            told = {"PatientID": f"{label}{number // 2}", "ViewPosition": ("AP", "PA")[number % 2], "PatientSex": "F"}
            data = make((values if frames > 1 else values[0]).astype(int), **told)
            (root / name / f"{number}{'.dcm' if number % 2 else ''}").write_bytes(data)


# What the first words of a row describe.
SETS: dict[str, Callable[[Path], object]] = {
    "in two class folders, `XRAYS": lambda root: plant(root, CLASSES),
    "in two class folders, neither": lambda root: plant(root, ["normal", "sick"]),
    "in split folders": lambda root: plant(
        root, both("around/Training_Set", "around/validate", "around/Test Images"), 8
    ),
    "in class folders with split": lambda root: plant(
        root, [f"{n}/{s}" for n in CLASSES for s in ("train", "val", "test")], 8
    ),
    "in train and test alone": lambda root: plant(root, both("train", "test")),
    "in two class folders, and each": lambda root: plant(root, CLASSES),
    "already split, but": lambda root: plant(root, both("train", "val", "test"), 8, "person{n}_virus_1.png"),
    "already split, and all but": lambda root: plant(root, both("train", "val", "test"), 8),
    "of three classes": lambda root: plant(root, ["BACTERIA", "NORMAL", "VIRUS"]),
    "in one folder, and the class": _classes_in_names,
    "beside masks": lambda root: plant(
        root, [f"{n}/{kind}" for n in ("COVID", "NORMAL") for kind in ("images", "masks")]
    ),
    "in sub-folders that differ": lambda root: plant(root, ["NORMAL", "PNEUMONIA/ap", "PNEUMONIA/pa"]),
    "PNG or TIFF with 16 bits": lambda root: with_bits(root, (12, 12)),
    "of 12 bits": _dark_twelve_bits,
    "partly damaged": _partly_damaged,
    "partly in a format": _partly_gif,
    "named after patients": lambda root: plant(root, CLASSES, name="p{n:03d}_2.png"),
    "in folders of patients": _patients_in_folders,
    "named as those of Kermany": lambda root: plant(root, CLASSES, name="{n:08d}_000.png"),
    "the same ones in both": _conflicting,
    "DICOM files, with": _dicom,
    "DICOM files, and patients": _dicom,
    "DICOM files whose": _dicom,
    "DICOM files, and I compare": _dicom,
    "DICOM files of several": lambda root: _dicom(root, frames=2),
    "in folders with names in another": lambda root: plant(root, ["NORMAL", "肺炎"]),
}


TABLES: dict[str, Callable[[int], dict[str, object]]] = {
    "beside a table with a row an image": lambda n: {"path": f"{n:03d}.png", "label": _finding(n)},
    "beside a table whose columns have": lambda n: {"Scan": f"{n:03d}.png", "Seen by radiologist": _finding(n)},
    "beside a table with one column": lambda n: {
        "path": f"{n:03d}.png",
        "Pneumonia": ("1.0", "0.0", "-1.0", "")[n % 4],
    },
    "beside a table with several": lambda n: {
        "path": f"{n:03d}.png",
        "label": _finding(n, "No Finding", "Mass|Pneumonia"),
    },
    "beside a table, of which only": lambda n: {
        "path": f"{n:03d}.png",
        "label": _finding(n),
        "View Position": ("AP", "PA", "LL")[n // 2 % 3],
        "age": 10 + 2 * n,
        "sex": "FM"[n // 3 % 2],
    },
    "beside a table with a row for each": lambda n: {
        "path": f"{n // 3:03d}.png",
        "label": _finding(n // 3 + (n % 9 == 0)),
    },
    "beside a table of a larger": lambda n: {"path": f"{2 * n:03d}.png", "label": _finding(n)},
    "beside a table and lists": lambda n: {"path": f"{n:03d}.png", "label": _finding(n)},
    "those of NIH": lambda n: {
        "Image Index": f"{2 * n:03d}.png",
        "Finding Labels": _finding(n, "No Finding", "Effusion|Pneumonia"),
        "Patient ID": n // 2,
        "Patient Age": 50,
        "Patient Gender": "F",
        "View Position": "PA",
    },
}


def _arguments(command: str, folder: Path) -> list[str]:
    """Return the arguments of a command of the page, with the paths of this test."""
    paths = r"\b(XRAYS|TABLE\.csv|TRAIN\.txt|TEST\.txt)"
    typed = command.replace("\\|", "|")  # as Markdown has it in a table
    return shlex.split(re.sub(paths, lambda name: str(folder / name[0]), typed))[1:]


def _finding(number: int, negative: str = "normal", positive: str = "pneumonia") -> str:
    return positive if number % 2 else negative


def _table(row: Callable[[int], dict[str, object]]) -> Callable[[Path], None]:
    """Return what writes images, a table whose rows are made by number, and lists of its images."""

    def build(root: Path) -> None:
        table = pd.DataFrame([row(n) for n in range(48)])
        named = table.iloc[:, 0].unique().tolist()
        for n, name in enumerate(named):
            if int(name[:3]) < 48:  # some tables name images that are elsewhere
                save(root / name, drawn(n, n % 2, 16))
        table.to_csv(root.parent / "TABLE.csv", index=False)
        names = [f"{n:03d}" for n in range(48)]
        (root.parent / "TRAIN.txt").write_text("\n".join(names[:36]))
        (root.parent / "TEST.txt").write_text("\n".join(names[36:]))

    return build


SETS |= {words: _table(row) for words, row in TABLES.items()}


@pytest.mark.parametrize(("words", "command"), ROWS, ids=[words[:40] for words, _ in ROWS])
def test_each_command_reads_the_images_of_its_row(
    words: str, command: str, tmp_path: Path, cxr_run: Callable[..., Answer]
) -> None:
    (build,) = (build for begin, build in SETS.items() if words.startswith(begin))
    build(tmp_path / "XRAYS")
    arguments = _arguments(command, tmp_path)
    answer = cxr_run(*arguments, *SMALL)
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize(("words", "command"), ROWS, ids=[words[:40] for words, _ in ROWS])
def test_each_key_of_a_command_is_needed(
    words: str, command: str, tmp_path: Path, cxr_run: Callable[..., Answer]
) -> None:
    (build,) = (build for begin, build in SETS.items() if words.startswith(begin))
    needed = [
        one
        for one in shlex.split(command)
        if re.match(r"data\.(positive|ignore|subfolders|on_bad|allow|dupl|frame)", one)
    ]
    if not needed:
        pytest.skip("the row has no key without which the images are refused")
    build(tmp_path / "XRAYS")
    given = _arguments(command, tmp_path)
    answer = cxr_run(*(one for one in given if one not in needed), *SMALL)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1


def test_the_page_has_a_row_for_each_set() -> None:
    assert len(ROWS) >= 20
    assert {begin for begin in SETS if not any(words.startswith(begin) for words, _ in ROWS)} == set()

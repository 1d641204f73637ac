"""DICOM files from end to end: patients and subgroups reach the results, and nothing else of a header does."""

import json
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom import uid
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.artifacts.rundir import read_run
from cxr_runner.data.dicom import salt
from dicom_files import as_bytes, build
from odd_sets import CLASSES, drawn

SMALL = ("data.image_size=16", "epochs=1", "progress=lines", "data.split.strategy=patient")
GROUPS = (0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040, 0x2050, 0x4008)
NEEDED = {
    *("PixelData", "PhotometricInterpretation", "SpecificCharacterSet", "TransferSyntaxUID", "PatientSex"),
    *(
        "FileMetaInformationVersion",
        "NumberOfFrames",
        "WindowCenter",
        "WindowWidth",
        "RescaleSlope",
        "RescaleIntercept",
    ),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
}
PLANTED = {
    "PN": "Plantagenet^N{n:04d}^名前",
    "UI": "1.2.826.0.1.3680043.9.{n:04d}.7",
    "DA": "193711{day:02d}",
    "DT": "193711{day:02d}091713.55{n:04d}",
    "TM": "091713.55{n:04d}",
    "AS": "061Y",
    "UR": "http://plant.example/{n:04d}",
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "CS", "AE"), "PLANTED{n:04d}"),
}


def planted(number: int, label: int) -> Dataset:
    """Return an image with a text of its own in every element of text that the standard knows in these groups."""
    values = np.rint(drawn(100 * label + number, label) * 4095).astype(int)
    dataset = build(values, SpecificCharacterSet="ISO_IR 192", PatientSex="MF"[number % 2], ViewPosition="PA")
    texts = _texts(label * 50 + number // 2)
    for keyword, text in texts.items():
        if keyword not in ("ViewPosition", "Modality") or number % 4 == 0:
            target = dataset.file_meta if DICTIONARY[keyword][0] >> 16 == 2 else dataset
            setattr(target, keyword, text)
    nested = Dataset()
    nested.PatientName, nested.PatientID = "Plantagenet^Nested", "PLANTEDNESTED"
    for keyword in ("OtherPatientIDsSequence", "RequestAttributesSequence", "VOILUTSequence", "ModalityLUTSequence"):
        if keyword != "ModalityLUTSequence":
            setattr(dataset, keyword, Sequence([nested]))
    dataset.private_block(0x0099, "PLANTEDMAKER", create=True).add_new(1, "LO", "PLANTEDPRIVATE")
    return dataset


DICTIONARY = {
    keyword_for_tag(tag): (tag, entry[0])
    for tag, entry in DicomDictionary.items()
    if tag >> 16 in GROUPS and entry[0] in PLANTED and keyword_for_tag(tag) not in NEEDED and not entry[3]
}


def _texts(number: int) -> dict[str, str]:
    return {
        keyword: PLANTED[vr].format(n=number * 40 + place % 40, day=1 + place % 28)
        for place, (keyword, (_, vr)) in enumerate(DICTIONARY.items())
    }


SECRETS = (
    "Plantagenet",
    "名前",
    "\\u540d\\u524d",
    "PLANTED",
    "1.2.826.0.1.3680043.9.",
    "193711",
    "1937-11",
    "091713.55",
)
SECRETS += ("061Y", "plant.example", "planted", "1.2.826.0.1.36800")


def secrets_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in content]


def damaged(whole: bytes) -> dict[str, bytes]:
    """Return files that cannot be read, each of which holds what was planted where the error lies."""
    dataset = pydicom.dcmread(BytesIO(whole))
    files = {
        "cut": whole[: len(whole) // 2],
        "short": whole[:-100],
        "nopixels": whole[: whole.rfind(b"\xe0\x7f\x10\x00")],
    }
    for name, keyword, value in (
        ("photometric", "PhotometricInterpretation", "PLANTED RGB"),
        ("palette", "PhotometricInterpretation", "PALETTE COLOR"),
    ):
        changed = pydicom.dcmread(BytesIO(whole))
        setattr(changed, keyword, value)
        files[name] = as_bytes(changed)
    dataset.RescaleSlope, dataset.NumberOfFrames = "1.250000", "00000001"
    both = as_bytes(dataset)
    files["slope"] = both.replace(b"1.250000", b"PLANTED1")
    files["frames"] = both.replace(b"IS\x08\x0000000001", b"IS\x08\x00PLANTED1")  # the words of int() quote it
    assert secrets_in(files["frames"])
    assert both not in files.values()
    syntax = uid.ExplicitVRLittleEndian.encode()
    files["syntax"] = whole.replace(syntax, b"1.2.826.0.1.36800.9"[: len(syntax)])
    files["vr"] = whole.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00ZZ")
    files["charset"] = whole.replace(b"ISO_IR 192", b"PLANTED192")
    return files


def lay_out(root: Path) -> Path:
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(24):
            data = as_bytes(planted(number, label))
            assert secrets_in(data)
            (root / name / f"{number}{'.dcm' if number % 2 else ''}").write_bytes(data)
        for kind, content in damaged(data).items():
            (root / name / f"{kind}.dcm").write_bytes(content)
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user of whom there is nothing yet: with a cache and settings, and no salt."""
    folder = tmp_path / "home"
    for name, value in {"XDG_CONFIG_HOME": folder / "config", "CXR_CACHE": folder / "cache", "HOME": folder}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("CXR_SALT")
    yield folder
    salt._salt.cache_clear()


@pytest.fixture
def say(
    own_process: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Answer]:
    """Start a command inside this process, as in a new one; warnings and what is logged count as said."""

    def call(name: str, *arguments: str) -> Answer:
        salt._salt.cache_clear()
        caplog.clear()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            answer = call_inside(getattr(cli, name.removeprefix("cxr-")), [name, *arguments], monkeypatch, capsys)
        return Answer(answer.code, answer.out, answer.err + caplog.text + "".join(str(one.message) for one in warned))

    return call


@pytest.mark.filterwarnings("ignore")  # of pydicom, on what the test plants
def test_no_name_place_date_or_number_of_a_header_leaves_it(
    tmp_path: Path, home: Path, elsewhere: Path, say: Callable[..., Answer]
) -> None:
    root = lay_out(tmp_path / "XRAYS")
    chosen = ["data=folder", f"data.root={root}", *SMALL[:1], SMALL[3]]
    skip = [*chosen, "data.on_bad_image=skip", "data.subgroups=[view,sex]"]
    commands = [
        ["cxr-data", "describe", *chosen],
        ["cxr-run", *chosen, *SMALL[1:3]],  # refused, with the errors of the damaged ones
        ["cxr-run", *skip, *SMALL[1:3]],
        ["cxr-data", "describe", *skip],
        ["cxr-data", "audit", *skip],
        ["cxr-report", "outputs"],
        ["cxr-model", "predict", "RUN", "--out", "outputs/predictions.csv", "--", str(root)],
        ["cxr-model", "export", "RUN", "--format", "hub", "--out", "outputs/handed"],
    ]
    said = []
    for name, *arguments in commands:
        runs = [str(run.relative_to(elsewhere)) for run in elsewhere.glob("outputs/runs/*/seed=0")]
        arguments = [one for word in arguments for one in (runs if word == "RUN" else [word])]
        said.append(done := say(name, *arguments))
        assert done.code == (2 if len(said) < 3 else 0), done.err
        assert secrets_in((done.out + done.err).encode("utf-8", "backslashreplace")) == [], (name, done)
    assert "images cannot be read" in said[1].err
    written = [path for folder in (elsewhere, home) for path in _files(folder)]
    assert len(written) > 20
    found = {str(path): found for path in written if (found := secrets_in(path.read_bytes() + path.name.encode()))}
    assert found == {}
    _check_salt(said, home)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _check_salt(said: list[Answer], home: Path) -> None:
    """The salt was made once, said once, and lies outside the cache."""
    (path,) = (home / "config").rglob("salt")
    assert [str(path) in one.err for one in said] == [True, *[False] * (len(said) - 1)]
    text = path.read_bytes().strip()
    assert [path for path in _files(home / "cache") if text in path.read_bytes()] == []


def test_what_the_test_plants_is_in_most_elements_of_text() -> None:
    assert len(DICTIONARY) > 400
    assert {"PatientName", "PatientID", "InstitutionName", "StudyDate", "AccessionNumber", "SOPInstanceUID"} <= {
        *DICTIONARY
    }


def test_patients_are_apart_and_subgroups_stand_beside_predictions(
    tmp_path: Path, cxr_run: Callable[..., Answer], elsewhere: Path
) -> None:
    root = tmp_path / "XRAYS"
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(24):
            told = {"ViewPosition": ("AP", "PA")[number % 2], "PatientSex": "FM"[number // 2 % 2], "PatientAge": "045Y"}
            values = np.rint(drawn(100 * label + number, label) * 4095).astype(int)
            told["PatientID"] = f"MRN{label}{number // 3}"
            syntax = (uid.ExplicitVRLittleEndian, uid.JPEGLSLossless, uid.RLELossless)[number % 3]
            (root / name / f"{number}").write_bytes(as_bytes(build(values, syntax=syntax, **told)))
    answer = cxr_run("data=folder", f"data.root={root}", *SMALL, "data.subgroups=[view,sex,age]")
    assert (answer.code, answer.err) == (0, "")
    (folder,) = elsewhere.glob("outputs/runs/*/seed=0")
    predictions = pd.read_csv(folder / "predictions.csv", dtype=str)
    assert {"view", "sex", "age"} <= {*predictions.columns}
    assert {*predictions["view"]} == {"AP", "PA"}
    assert {*predictions["age"]} == {"40-49"}
    assert predictions["patient"].str.fullmatch("[0-9a-f]{12}").all()
    assert predictions.groupby("patient")["split"].nunique().max() == 1
    assert predictions["patient"].nunique() < len(predictions)
    inventory = json.loads((folder / "data.json").read_text())["inventory"]
    assert inventory["classes"][0]["formats"] == {"DICOM": inventory["classes"][0]["images"]}
    assert inventory["bits"] is None
    assert read_run(folder).state == "done"


@pytest.mark.usefixtures("without_dicom")
def test_without_the_extra_a_command_says_in_one_line_what_to_install(
    tmp_path: Path, cxr_run: Callable[..., Answer]
) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(bytes(128) + b"DICM")
    answer = cxr_run("data=folder", f"data.root={tmp_path}")
    assert answer.code == 2
    expected = "holds DICOM files and no images; pip install 'cxr-runner[dicom]' reads the 2 DICOM files"
    assert answer.err == f"cxr-run: data.root={tmp_path}: {expected}\n"

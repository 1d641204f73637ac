"""What a report leaves out on request: names and images are planted in all that runs say, and sought in all files."""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import call_inside
from cxr_runner import cli
from cxr_runner.artifacts.altered import checksums_of
from cxr_runner.artifacts.samples import Sample, samples_path, write_samples
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.report.collected import Withheld
from cxr_runner.report.write import write_report
from run_trees import CONFIG, write_run
from study_trees import STUDIED, write_study

NAME = "zqanna"  # occurs in every name of an image or a patient, and in nothing else
BEFORE, AFTER = 137, 171  # greys of the sample images, which no figure uses
SAMPLE_FIGURES = {"fig01", "fig02", "fig04"}
INVENTORY = {
    "classes": [
        {"class": "NORMAL", "split": "train", "images": 9, "formats": {"PNG": 9}, "bits": {"8": 9}, "folders": [NAME]}
    ],
    "passed_over": [{"suffix": f".{NAME}", "reason": f"{NAME}.dcm is no image", "files": 12}, {"files": "many"}],
    "bits": None,
}
DATA = STUDIED | {
    "duplicates_dropped": [{"name": f"NORMAL/{NAME}-3.png", "same_as": f"NORMAL/{NAME}-4.png"}],
    "unreadable_skipped": [{"name": f"NORMAL/{NAME}-5.png", "error": f"cannot read {NAME}-5.png"}],
    "inventory": INVENTORY,
    "warnings": ["24 test images are copies of training images"],
    f"{NAME}.png": f"{NAME}.png",
}


def plant(root: Path) -> None:
    """Write runs that name images wherever runs can, and samples that can be recognised."""
    write_study(root, seeds=range(2), rows=["20", "21", "23"], data=DATA, names=f"{NAME}{{}}.png")
    for path in root.glob("runs/*/seed=*/config.yaml"):
        text = path.read_text().replace('"phantom"', '"folder", "root": "/data/xrays", "where": "name != zqanna"')
        path.write_text(text.replace("patient\\\\d+", f"{NAME}\\\\d+"))
    for number, path in enumerate(sorted(root.glob("runs/table1_21-*/seed=*"))):
        (path / "history.csv").write_text(f"{NAME}.png\n{NAME}.png\n")
        if number:
            (path / "predictions.csv").write_text(f'split,name,label,logit\n"{NAME}.png')
    grey = np.ones((60, 90), np.uint8)
    labels = ["NORMAL", "NORMAL", "PNEUMONIA"]
    samples = [
        Sample(f"{label}/{NAME}-{i}.png", label, BEFORE * grey, AFTER * grey[:, :60], (900, 600), 64)
        for i, label in enumerate(labels)
    ]
    path = samples_path(root, str(DATA["fingerprint"]))
    path.parent.mkdir()
    write_samples(path, samples)
    plant_failures(root)


def plant_failures(root: Path) -> None:
    """Write runs that a report leaves out, whose reasons name images."""
    error = f"data.on_bad_image=error: 1 images cannot be read: NORMAL/{NAME}-5.png (truncated)"
    for name in ("failed", "interrupted", "running", "strange"):
        state = name if name != "strange" else f"{NAME}.png"
        write_run(root, name, status={"state": state, "error": error, "started": f"{NAME}.png"}, data=DATA)
    write_run(root, "diverged", status={"state": "failed", "diverged": True, "error": error}, data=DATA)
    files = write_run(root, "garbled", config=CONFIG | {"model": CONFIG["model"] | {"weights": "mine"}}, data=DATA)
    files.predictions.write_text(f"split,name,label,logit\nval,a.png,{NAME}.png,0.5\n")
    write_checked_json(files.status, {"state": "done", "checksums": checksums_of(files.results)})
    audit = root / "audits" / "some" / "audit.json"
    audit.parent.mkdir(parents=True)
    audit.write_text(json.dumps({"fingerprint": DATA["fingerprint"], "groups": [f"{NAME}.png"]}))


def contents(out: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that lies in a folder by its name: its files, and what is encoded in these, however deep."""
    for path in sorted(out.rglob("*")):
        yield f"name of {path.name}", path.name.encode()
        if path.is_file():
            yield from decoded(path.name, path.read_bytes())


def decoded(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    for number, match in enumerate(re.finditer(rb"data:([\w/+.-]+);base64,([\w+/=\s]+)", content)):
        yield from decoded(f"{name}[{number}: {match[1].decode()}]", base64.b64decode(match[2]))


def naming(out: Path) -> set[str]:
    """Return where the planted name stands."""
    return {name for name, content in contents(out) if NAME.encode() in content.lower() or NAME in _metadata(content)}


def _metadata(content: bytes) -> str:
    return str(_picture(content).info).lower() if content.startswith(b"\x89PNG") else ""


def showing(out: Path) -> set[str]:
    """Return which pictures show the planted pixels."""
    pictures = [(name, content) for name, content in contents(out) if content.startswith(b"\x89PNG")]
    assert len(pictures) > 5
    return {name for name, content in pictures if _shows(_picture(content))}


def _picture(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def _shows(picture: Image.Image) -> bool:
    grey = np.asarray(picture.convert("RGB")).astype(int)
    planted = np.isin(grey[..., 0], (BEFORE, AFTER)) & (np.ptp(grey, axis=2) == 0)
    return bool(planted.mean() > 0.05)  # a line, or the rim of a letter, is less


class Reports:
    """Reports on the planted runs, each written over a whole one, as somebody would who remembers the flags late."""

    def __init__(self, root: Path) -> None:
        self.root = root / "outputs"
        plant(self.root)
        self.before = {path: path.read_bytes() for path in files_below(self.root)}
        self.plain = root / "plain"
        write_report(self.root, self.plain)
        self.nameless = self._write_over(root / "nameless", Withheld(names=True))
        self.bare = self._write_over(root / "bare", Withheld(names=True, images=True))

    def _write_over(self, out: Path, withheld: Withheld) -> Path:
        shutil.copytree(self.plain, out)
        write_report(self.root, out, withheld=withheld)
        return out


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return Reports(tmp_path_factory.mktemp("withholding"))


def test_a_whole_report_names_images_and_shows_them(reports: Reports) -> None:
    """Without this, the tests below would show nothing."""
    named, shown = naming(reports.plain), showing(reports.plain)
    assert {"index.html", "report.md", "left_out.csv", "left_out.md", "left_out.tex", "fig02.svg"} < named
    assert {f"{figure}.png" for figure in SAMPLE_FIGURES} < shown
    assert any(name.startswith("index.html[") for name in shown)


def test_with_names_hidden_no_file_holds_one(reports: Reports) -> None:
    assert naming(reports.nameless) == naming(reports.bare) == set()


def test_without_images_no_picture_shows_a_pixel_of_one_and_the_page_says_so(reports: Reports) -> None:
    assert showing(reports.bare) == set()
    assert showing(reports.nameless) == showing(reports.plain)
    figures = {path.name for path in (reports.bare / "figures").iterdir()}
    assert not {name.partition(".")[0] for name in figures} & SAMPLE_FIGURES
    for name in ("index.html", "report.md"):
        text = (reports.bare / name).read_text("utf-8")
        assert text.count("The images were left out of this report on request (--no-images).") == len(SAMPLE_FIGURES)
        assert re.search(r"Left out on request(</dt><dd>|: )names of images and patients; images\b", text)
    assert "images were left out" not in (reports.nameless / "report.md").read_text("utf-8")
    page = (reports.bare / "index.html").read_text("utf-8")  # which shows images that runs get wrong, too
    assert "None is shown: images were left out of this report on request (--no-images)." in page


def test_sample_images_have_numbers_for_names(reports: Reports) -> None:
    svg = (reports.nameless / "figures" / "fig02.svg").read_text("utf-8")
    assert re.findall(r"<!-- (image \d+) -->", svg) == ["image 1", "image 2", "image 3"]


def test_nothing_but_names_differs(reports: Reports) -> None:
    tables = {path.name: path.read_bytes() for path in (reports.plain / "tables").iterdir()}
    hidden = {path.name: path.read_bytes() for path in (reports.bare / "tables").iterdir()}
    differing = {name for name in tables if tables[name] != hidden.get(name)}
    assert tables.keys() == hidden.keys()
    assert {name.partition(".")[0] for name in differing} <= {"left_out", "claims", "claims_tests", "mistakes"}
    named, nameless = (pd.read_csv(out / "tables" / "mistakes.csv") for out in (reports.plain, reports.bare))
    assert named["image"].str.contains(NAME).all()
    assert nameless["image"].str.fullmatch(r"image \d+").all()
    assert named.drop(columns="image").equals(nameless.drop(columns="image"))
    assert (pd.factorize(named["image"])[0] == pd.factorize(nameless["image"])[0]).all()
    plain, bare = ((out / "report.md").read_text("utf-8") for out in (reports.plain, reports.bare))
    for said in ("The 80 test images are of 40 patients", "Duplicates dropped: 1", "Unreadable, skipped: 1"):
        assert said in plain
        assert said in bare
    assert "passed over: 12 files\n" in bare
    assert "data.root=HIDDEN" in bare
    assert ": history.csv is not one that can be drawn\n" in bare
    assert "(predictions.csv is not as it should be)." in bare


def test_runs_left_out_keep_their_states(reports: Reports) -> None:
    plain, bare = ((out / "tables" / "left_out.md").read_text("utf-8") for out in (reports.plain, reports.bare))
    assert len(bare.splitlines()) == len(plain.splitlines()) == 8
    assert "| runs/failed-0123456789/seed=0 | failed | its status.json says why, which may name images |" in bare
    assert "| runs/garbled-0123456789/seed=0 | altered | its files do not belong together |" in bare
    assert "| runs/strange-0123456789/seed=0 | unknown | status.json is missing or says nothing of its state |" in bare


def test_runs_and_samples_stay_as_they_are(reports: Reports) -> None:
    kept = (path for path in files_below(reports.root) if path.parent.name != "studies")  # when claims were stated
    assert {path: path.read_bytes() for path in kept} == reports.before


def files_below(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


@pytest.mark.usefixtures("quick_pictures")
def test_the_command_has_a_flag_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path)

    def said(*flags: str) -> str:
        answer = call_inside(cli.report, ["cxr-report", str(tmp_path), *flags], monkeypatch, capsys)
        assert (answer.code, answer.err) == (0, "")
        return answer.out

    assert NAME in said()
    assert NAME not in said("--hide-names")
    assert naming(tmp_path / "report") == set()
    assert (tmp_path / "report" / "figures" / "fig02.svg").is_file()
    assert NAME in said("--no-images")
    assert not (tmp_path / "report" / "figures" / "fig02.svg").exists()
    said("--no-images", "--hide-names")
    assert naming(tmp_path / "report") == set()


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data | {"inventory": [NAME]},
        lambda data: data | {"inventory": {"classes": NAME, "passed_over": NAME, "bits": NAME}},
        lambda data: data | {"duplicates_dropped": NAME, "unreadable_skipped": {NAME: NAME}, "warnings": {NAME: NAME}},
    ],
)
def test_strange_descriptions_of_data_break_nothing_and_name_nobody(
    tmp_path: Path, harm: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    write_run(tmp_path, data=harm(DATA))
    write_report(tmp_path, tmp_path / "report", withheld=Withheld(names=True, images=True))
    assert naming(tmp_path / "report") == set()

"""The audit of a data set, from one image to the page."""

import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score, roc_auc_score

from conftest import Answer
from cxr_runner.audit.duplicates import exact_groups
from cxr_runner.audit.images import conflicting_labels
from cxr_runner.audit.measurements import border, measure
from cxr_runner.audit.overlaps import find_overlaps
from cxr_runner.audit.scoring import score
from cxr_runner.audit.shortcuts import build_features, intensity_statistics
from cxr_runner.audit.sizes import compare_sizes
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset
from cxr_runner.data.patients import find_patients
from cxr_runner.data.quality.baseline import fit_baseline, usable
from cxr_runner.data.quality.near_duplicates import THRESHOLD, near_pairs
from cxr_runner.data.quality.shared_patients import share_shared
from cxr_runner.data.quality.thumbnails import make_thumbnails
from cxr_runner.stats.intervals import resample

CxrData = Callable[..., Answer]


def encode(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def chest(rng: np.random.Generator, label: int, width: int = 40, height: int = 40) -> np.ndarray:
    """Return smooth noise, brighter for label 1."""
    coarse = Image.fromarray(rng.integers(0, 160, (6, 6), dtype=np.uint8)).resize((width, height))
    return np.asarray(coarse) + np.uint8(30 * label)


def plant(root: Path, num_each: int = 30, name: str = "person{i}_{kind}_{n}.png") -> None:
    """Write a folder of two classes; every patient has two images."""
    rng = np.random.default_rng(0)
    for label, (folder, kind) in enumerate((("NORMAL", "virus"), ("PNEUMONIA", "bacteria"))):
        (root / folder).mkdir(parents=True)
        for n in range(num_each):
            path = root / folder / name.format(i=1000 * label + n // 2, kind=kind, n=n)
            path.write_bytes(encode(chest(rng, label)))


def read(outputs: Path) -> tuple[dict[str, Any], str]:
    (path,) = outputs.glob("audits/*/audit.json")
    return json.loads(path.read_text()), (path.parent / "index.html").read_text("utf-8")


def texts(audit: dict[str, Any], level: str | None = None) -> str:
    return "\n".join(finding["text"] for finding in audit["findings"] if level in (None, finding["level"]))


def test_identical_images_form_groups_that_say_whether_the_files_are_identical_too() -> None:
    rows = [("a", 1, "f", "x"), ("b", 1, "f", "x"), ("c", 0, "g", "y"), ("d", 1, "h", "y"), ("e", 0, "i", "z")]
    table = pd.DataFrame(rows, columns=["name", "label", "digest", "pixels"])
    one, other = exact_groups(table, ("no", "yes"))
    assert (one.names, one.files, one.labels) == (("a", "b"), True, ("yes",))
    assert (other.names, other.files, other.labels) == (("c", "d"), False, ("no", "yes"))
    assert conflicting_labels(table) == [["c", "d"]]


def test_near_pairs_are_those_that_counting_bits_gives_each_once() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (300, 4), dtype=np.uint64)
    hashes[250] = hashes[7] ^ np.array([0b111, 0, 1, 0], np.uint64)
    hashes[129] = hashes[128] ^ np.array([0, 2**20 - 1, 0, 0], np.uint64)
    hashes[40] = hashes[30] ^ np.array([2**25 - 1, 0, 0, 0], np.uint64)
    splits = np.array(["train"] * 129 + ["test"] * 171)
    near = near_pairs(hashes, splits)
    assert THRESHOLD == 24
    assert (near.num_pairs, near.num_crossing) == (2, 2)
    assert (near.closest, near.nearest) == ([(7, 250, 4), (128, 129, 20)], (7, 250, 4))
    assert near.num_in_train == {"val": 0, "test": 2}


def test_near_pairs_that_are_not_kept_are_counted_all_the_same() -> None:
    hashes = np.zeros((60, 4), np.uint64)
    splits = np.array(["train"] * 59 + ["test"])
    near = near_pairs(hashes, splits)
    assert (near.num_pairs, near.num_crossing, len(near.closest)) == (60 * 59 // 2, 59, 1000)


def test_an_image_encoded_again_is_a_near_duplicate_and_another_one_is_not() -> None:
    rng = np.random.default_rng(2)
    image, other = rng.integers(0, 256, (2, 64, 64), dtype=np.uint8)
    again = np.asarray(Image.open(io.BytesIO(encode(image, "JPEG", quality=40))))
    images = np.stack([image, again, other])
    hashes = make_thumbnails(images, np.arange(3), Reporter()).hashes
    near = near_pairs(hashes, np.array(["train"] * len(hashes)))
    assert (near.num_pairs, near.closest[0][:2]) == (1, (0, 1))


def test_the_overlap_is_the_share_of_images_whose_patient_is_in_train() -> None:
    split = np.array(["train", "train", "val", "test", "test", "test", "test"])
    assert share_shared(split, ["a", "b", "c", "a", "a", "c", "d"], "test") == 0.5
    assert share_shared(split, ["a", "b", "c", "a", "a", "c", "d"], "val") == 0.0


def test_patients_that_the_source_knows_need_no_names(elsewhere: Path) -> None:
    config = compose(["data.num_images=60", "data.image_size=16"])[0].data
    dataset = open_dataset(config, Reporter())
    patients = [f"p{number // 3}" for number in range(len(dataset.table))]
    names = [f"{number}.png" for number in range(len(dataset.table))]
    known = replace(dataset, known_patients=find_patients(names, patients, config.patient_pattern))
    (overlap,) = find_overlaps(known, seed=0).overlaps
    assert (overlap.num_patients, overlap.most_images, overlap.grouped) == (20, 3, 0.0)
    nameless = replace(dataset, known_patients=find_patients(names, [""] * len(names), config.patient_pattern))
    assert "data.patient_pattern" in find_overlaps(nameless, seed=0).unknown


def test_intensity_statistics_are_numpys() -> None:
    images = np.random.default_rng(3).integers(3, 250, (5, 20, 20), dtype=np.uint8)
    histograms = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
    statistics, flat = intensity_statistics(histograms), images.reshape(5, -1)
    percentiles = np.percentile(flat, [5, 25, 50, 75, 95], axis=1, method="inverted_cdf")
    expected = np.column_stack([flat.mean(1), flat.std(1), flat.min(1), flat.max(1), *percentiles])
    assert statistics == pytest.approx(expected)


def test_the_border_is_the_outermost_pixels_and_nothing_of_the_inside() -> None:
    pixels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert border(pixels).tolist() == [*range(10), *range(90, 100), *range(0, 100, 10), *range(9, 100, 10)]
    large = np.full((128, 128), 200, np.uint8)
    large[1:-1, 1:-1] = 0
    assert border(large).tolist() == [200] * 256


def test_the_frame_does_not_see_the_centre_and_small_pixels_are_means(tmp_path: Path) -> None:
    images = np.zeros((2, 64, 64), np.uint8)
    images[1, 8:56, 8:56] = 255
    sizes = pd.DataFrame({"width": [64, 64], "height": [64, 64]})
    features = build_features(measure(images, np.arange(2), tmp_path, Reporter()), sizes)
    assert not features["frame"].any()
    assert features["pixels8"][1].reshape(8, 8)[1:7, 1:7] == pytest.approx(1)
    assert features["pixels32"].shape == (2, 1024)


def test_scores_are_scikit_learns_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 200)
    logits = np.round(labels + rng.normal(-0.3, 1, 200), 1)
    baseline = score(labels, logits, resample(len(labels)))
    assert baseline.f1 == pytest.approx(f1_score(labels, logits > 0))
    assert baseline.auroc == pytest.approx(roc_auc_score(labels, logits))
    assert baseline.accuracy == pytest.approx(((logits > 0) == labels).mean())
    for value, ends in ((baseline.accuracy, baseline.accuracy_ends), (baseline.f1, baseline.f1_ends)):
        assert ends is not None
        assert ends[0] < value < ends[1]
        assert 0.05 < ends[1] - ends[0] < 0.2


def test_the_images_of_a_patient_are_drawn_together_for_the_intervals_of_a_score() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 60)
    logits = labels + rng.normal(-0.3, 1, 60)
    labels, logits, patients = labels.repeat(5), logits.repeat(5), np.arange(60).repeat(5).tolist()
    apart, together = (score(labels, logits, resample(300, groups)).f1_ends for groups in (None, patients))
    assert apart is not None
    assert together is not None
    assert (together[1] - together[0]) / (apart[1] - apart[0]) == pytest.approx(5**0.5, rel=0.15)


def test_a_baseline_learns_what_there_is_and_says_the_majority_where_there_is_nothing() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 1], 60)
    split = np.tile(["train", "train", "val", "test"], 45)
    values = rng.normal(labels[:, None] * 5.0, 1, (180, 2))
    assert ((fit_baseline(values, labels, split) > 0) == labels[split == "test"]).mean() > 0.85
    nothing = fit_baseline(np.ones((180, 1)), labels, split)
    assert nothing == pytest.approx(np.log(2), abs=0.1)


def test_a_split_without_one_class_somewhere_is_no_use() -> None:
    split = np.array(["train", "train", "val", "val", "test", "test"])
    assert usable(split, np.array([0, 1, 0, 1, 0, 1]))
    assert not usable(split, np.array([0, 1, 0, 1, 1, 1]))


def test_aspect_ratios_are_compared_without_a_model() -> None:
    table = pd.DataFrame({"label": [0, 0, 1, 1], "width": [10, 12, 20, 30], "height": [10, 10, 10, 10]})
    sizes = compare_sizes(table, ("no", "yes"))
    assert (sizes.aspect_auroc, sizes.num_sizes, sizes.all_square) == (1.0, 4, False)
    assert (sizes.classes[1].width, sizes.classes[1].aspect) == ((20, 25, 30), (2, 2.5, 3))
    assert compare_sizes(table.assign(width=10), ("no", "yes")).aspect_auroc is None


def test_the_audit_finds_what_is_wrong_with_a_folder(tmp_path: Path, cxr_data: CxrData) -> None:
    root = tmp_path / "x<b>rays"
    plant(root)
    first = root / "NORMAL" / "person0_virus_0.png"
    (root / "NORMAL" / "person0_virus_<img src=x>.png").write_bytes(first.read_bytes())
    (root / "PNEUMONIA" / "person9_bacteria_bad.png").write_bytes(b"no image")
    answer = cxr_data("audit", "data=folder", f"data.root={root}", "data.image_size=32", "progress=lines")
    assert (answer.code, answer.err) == (0, "")
    audit, page = read(Path("outputs"))
    assert "1 group of identical files hold 1 extra copies" in texts(audit)
    assert "1 image cannot be read: PNEUMONIA/person9_bacteria_bad.png" in texts(audit, "act")
    assert re.search(r"Of the test images \d+% \(number and kind, 30 patients\)", texts(audit, "act"))
    assert "All images are 40x40" in texts(audit)
    assert "data.split.strategy=patient" in answer.out
    assert audit["counts"]["test"] == {"NORMAL": 3, "PNEUMONIA": 3}
    assert "<img src=x>" not in page
    assert "<b>rays" not in page
    assert "person0_virus_<img src=x>.png" in unescape(page)
    assert 'alt=""' not in page
    assert not re.search(r'(src|href)="(http|//)', page)
    assert [entry["name"] for entry in audit["shortcuts"]["baselines"]] == [
        *("majority", "intensity", "ring", "frame", "pixels8", "pixels32")
    ]
    assert Path(answer.out.splitlines()[-1].removeprefix("audit: ")).is_file()


def test_the_same_data_give_the_same_audit(tmp_path: Path, cxr_data: CxrData) -> None:
    plant(tmp_path / "rays")
    contents = []
    for outputs in ("one", "two"):
        arguments = ("data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=32", f"outputs={outputs}")
        assert cxr_data("audit", *arguments).code == 0
        contents.append(read(Path(outputs)))
    assert contents[0] == contents[1]


def test_one_image_in_both_classes_is_a_finding_and_no_end(tmp_path: Path, cxr_data: CxrData) -> None:
    plant(tmp_path / "rays")
    copied = (tmp_path / "rays" / "NORMAL" / "person0_virus_0.png").read_bytes()
    (tmp_path / "rays" / "PNEUMONIA" / "person77_bacteria_1.png").write_bytes(copied)
    assert cxr_data("audit", "data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16").code == 0
    assert "1 group of identical images lie in both classes: NORMAL/person0" in texts(read(Path("outputs"))[0], "act")


def test_names_without_patients_leave_them_unknown(tmp_path: Path, cxr_data: CxrData) -> None:
    plant(tmp_path / "rays", name="{kind}{n}.png")
    assert cxr_data("audit", "data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16").code == 0
    audit, page = read(Path("outputs"))
    assert "Patients are unknown" in texts(audit)
    assert "Patients unknown" in page
    assert all(entry["patient"] == [] for entry in audit["shortcuts"]["baselines"])


def test_too_few_images_to_split_are_audited_as_far_as_they_go(tmp_path: Path, cxr_data: CxrData) -> None:
    plant(tmp_path / "rays", num_each=2)
    assert cxr_data("audit", "data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16").code == 0
    audit, page = read(Path("outputs"))
    assert "No run can be trained" in texts(audit, "act")
    assert (audit["shortcuts"], audit["counts"]) == (None, {"all": {"NORMAL": 2, "PNEUMONIA": 2}})
    assert "the images cannot be split" in page


def test_original_sizes_that_differ_by_class_are_a_shortcut(tmp_path: Path, cxr_data: CxrData) -> None:
    rng = np.random.default_rng(6)
    for label, folder in enumerate(("NORMAL", "PNEUMONIA")):
        (tmp_path / "rays" / folder).mkdir(parents=True)
        for n in range(30):
            width = 40 + 20 * label + int(rng.integers(0, 12))
            path = tmp_path / "rays" / folder / f"person{label}{n}.png"
            path.write_bytes(encode(chest(rng, 0, width, 40)))
    assert cxr_data("audit", "data=folder", f"data.root={tmp_path / 'rays'}", "data.image_size=16").code == 0
    audit, page = read(Path("outputs"))
    size = next(entry for entry in audit["shortcuts"]["baselines"] if entry["name"] == "size")
    assert (size["own"]["accuracy"], audit["sizes"]["aspect_auroc"]) == (1.0, 1.0)
    assert "The aspect ratio alone tells the classes apart with an AUROC of 1.000" in texts(audit)
    assert "Width against height" in page


def test_phantoms_are_audited_and_called_synthetic(cxr_data: CxrData) -> None:
    answer = cxr_data("audit", "data.num_images=60", "data.image_size=24", "progress=none")
    assert (answer.code, answer.out) == (0, "")
    audit, page = read(Path("outputs"))
    assert "synthetic phantom data" in texts(audit)
    assert "synthetic phantom data" in page
    assert [overlap["key"] for overlap in audit["patients"]["overlaps"]] == ["patient"]
    assert audit["patients"]["overlaps"][0]["grouped"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("data.image_size=3",), "data.image_size=3: must be at least 8"),
        (("data.sizee=3",), "data.sizee=3: no such key"),
        (("data=folder",), "data.root=???: needs a value"),
        (("data=folder", "data.root=one"), "two classes with images are needed, found 1"),
        (("data.num_images=60", "data.image_size=24", "outputs=taken"), "outputs="),
    ],
)
def test_mistakes_are_answered_in_one_line(cxr_data: CxrData, arguments: tuple[str, ...], complaint: str) -> None:
    Path("taken").touch()
    Path("one/NORMAL").mkdir(parents=True)
    Path("one/NORMAL/a.png").write_bytes(encode(np.zeros((9, 9), np.uint8)))
    answer = cxr_data("audit", *arguments, "progress=none")
    assert answer.code == 2
    assert answer.err.startswith("cxr-data: ")
    assert complaint in answer.err
    assert answer.err.count("\n") == 1


def test_folders_of_damaged_images_alone_are_the_users_mistake(tmp_path: Path, cxr_data: CxrData) -> None:
    for folder in ("NORMAL", "PNEUMONIA"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "person1.png").write_bytes(b"")
    answer = cxr_data("audit", "data=folder", f"data.root={tmp_path}", "data.image_size=16", "progress=none")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "not one of 2 images can be read" in answer.err


@pytest.mark.long
def test_the_audit_of_the_real_images_finds_what_is_known_of_them(cxr_data: CxrData) -> None:
    root = Path(os.environ.get("CXR_DATA", Path(__file__).parents[2] / "shared" / "data" / "kermany-224"))
    if not root.is_dir():
        pytest.skip(f"NO REAL IMAGES in {root}: name their folder in CXR_DATA")
    arguments = ("data=folder", f"data.root={root}", "data.image_size=224", "progress=none")
    assert cxr_data("audit", *arguments).code == 0
    audit, _ = read(Path("outputs"))
    duplicates, (with_kind, alone) = audit["duplicates"], audit["patients"]["overlaps"]
    assert (len(duplicates["groups"]), duplicates["num_extra"], duplicates["num_near"]) == (30, 32, 0)
    assert (alone["random"][0], with_kind["random"][0]) == pytest.approx((0.58, 0.38), abs=0.02)
    assert with_kind["grouped"] == 0.0 < alone["grouped"]
    assert audit["inverted"] == audit["differences"] == []
    baselines = {entry["name"]: entry for entry in audit["shortcuts"]["baselines"]}
    random = {name: np.mean(entry["random"], axis=0) for name, entry in baselines.items()}
    expected = {"majority": 0.729, "intensity": 0.83, "ring": 0.85, "frame": 0.90, "pixels8": 0.93, "pixels32": 0.945}
    assert {name: means[0] for name, means in random.items()} == pytest.approx(expected, abs=0.02)
    assert random["pixels8"][1] == pytest.approx(0.974, abs=0.01)
    by_patient = np.mean(baselines["pixels32"]["patient"], axis=0)
    assert by_patient[0] == pytest.approx(random["pixels32"][0], abs=0.02)

"""What is proven to be wrong with a data set: bits, polarity, leaks, a test set unlike the rest; and false alarms."""

import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.decode import decode
from cxr_runner.data.quality import near_duplicates
from cxr_runner.data.quality.class_differences import differing_attributes
from cxr_runner.data.quality.near_duplicates import near_pairs
from cxr_runner.data.quality.polarity import find_inverted
from cxr_runner.data.quality.unlike_test import compare_test
from cxr_runner.data.splits import split_randomly
from odd_sets import CLASSES, both, changed, drawn, plant, save, with_bits

REAL = Path(os.environ.get("CXR_DATA", Path(__file__).parents[2] / "shared" / "data" / "kermany-224"))


@pytest.fixture(autouse=True)
def cache(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    return elsewhere / "cache"


def opened(root: Path, *overrides: str) -> Dataset:
    config = compose(["data=folder", f"data.root={root}", "data.image_size=48", *overrides])[0].data
    return open_dataset(config, Reporter())


class TestBits:
    @pytest.mark.parametrize("bits", [10, 12, 14, 16])
    def test_images_are_scaled_by_the_bits_that_their_set_uses(self, tmp_path: Path, bits: int) -> None:
        with_bits(tmp_path / "deep", (bits, bits))
        with_bits(tmp_path / "eight", (8, 8))
        deep, eight = opened(tmp_path / "deep"), opened(tmp_path / "eight")
        assert deep.inventory["bits"] == bits
        difference = deep.images.astype(int) - eight.images.astype(int)
        assert abs(difference).max() <= 1  # by rounding, once here and once there

    def test_a_dark_image_of_a_set_stays_darker_than_the_others(self, tmp_path: Path) -> None:
        with_bits(tmp_path, (12, 12))
        save(tmp_path / "NORMAL" / "dark.png", drawn(99) / 8, 12)  # needs 10 bits or fewer
        dataset = opened(tmp_path)
        (row,) = dataset.table.index[dataset.table["name"] == "NORMAL/dark.png"]
        assert dataset.images[row].mean() < dataset.images.mean() / 4

    def test_a_burnt_in_corner_that_darkens_a_set_is_said(self, tmp_path: Path) -> None:
        with_bits(tmp_path, (12, 12))
        burnt = drawn(99) / 16
        burnt[:3, :3] = 1
        save(tmp_path / "NORMAL" / "burnt.png", burnt, 16)
        (warning,) = (one for one in opened(tmp_path).checks.warnings() if "16 bits a pixel" in one)
        assert warning.startswith("40 of 41 images with 16 bits a pixel need 12 bits or fewer, but all are scaled")

    def test_classes_of_different_bits_are_scaled_alike_and_named(self, tmp_path: Path) -> None:
        with_bits(tmp_path, (8, 12))
        dataset = opened(tmp_path)
        assert dataset.inventory["bits"] == 12
        (warning,) = (one for one in dataset.checks.warnings() if "stored" in one)
        assert "bits (NORMAL 8, PNEUMONIA 12)" in warning
        means = [dataset.images[dataset.table.index[dataset.table["label"] == label]].mean() for label in (0, 1)]
        assert means[0] == pytest.approx(means[1], rel=0.1)

    def test_the_bits_can_be_given_and_are_recorded(self, tmp_path: Path) -> None:
        with_bits(tmp_path, (10, 10))
        darker = opened(tmp_path, "data.bits=12")
        assert darker.inventory["bits"] == 12
        assert darker.images.mean() == pytest.approx(opened(tmp_path).images.mean() / 4, rel=0.03)
        with pytest.raises(UserError, match=r"holds the value .*, more than data.bits=8 allows"):
            opened(tmp_path, "data.bits=8")

    @pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (4, 2), (6, 4)])
    def test_colour_with_16_bits_keeps_them(self, colour_type: int, channels: int) -> None:
        grey = np.rint(drawn(3) * 4095).astype(np.uint16)
        pixels = np.repeat(grey[..., None], channels, axis=-1)
        if channels in (2, 4):
            pixels[..., -1] = 65535
        decoded = decode(png_with_16_bits(pixels, colour_type))
        assert (decoded.bits, decoded.mode) == (12, {2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}[channels])
        assert abs(decoded.values.astype(int) - grey.astype(int)).max() <= 1
        assert abs(decoded.grey(12).astype(float) - grey / 4095 * 255).max() <= 1

    def test_run_and_samples_use_what_the_store_uses(self, tmp_path: Path, cxr_run: Any) -> None:
        with_bits(tmp_path / "deep", (12, 12))
        answer: Answer = cxr_run("data=folder", f"data.root={tmp_path / 'deep'}", "data.image_size=16", "epochs=1")
        assert answer.code == 0, answer.err
        (samples,) = Path("outputs").rglob("samples/*.npz")
        with np.load(samples) as content:
            assert content["before_0"].max() > 150
        (data,) = Path("outputs").rglob("data.json")
        entry = json.loads(data.read_text())["inventory"]
        assert entry["bits"] == 12
        assert {tuple(one["modes"]) for one in entry["classes"]} == {("L;16",)}


def png_with_16_bits(pixels: NDArray[np.uint16], colour_type: int) -> bytes:
    """Encode [height, width, channels] as a PNG file, which Pillow cannot."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestPolarity:
    @pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5])
    def test_inverted_images_are_named_whatever_their_share(self, share: float) -> None:
        small = np.stack([(255 * drawn(seed, seed % 2, 32)).astype(np.uint8) for seed in range(100)])
        expected = np.arange(100) < 100 * share
        small[expected] = 255 - small[expected]
        found = find_inverted(small)
        assert found is not None
        np.testing.assert_array_equal(found, expected)

    def test_images_with_nothing_in_common_are_not_judged(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (60, 32, 32), dtype=np.uint8)
        assert find_inverted(noise) is None

    def test_flat_images_are_no_inverted_ones(self) -> None:
        small = np.stack([(255 * drawn(seed, 0, 32)).astype(np.uint8) for seed in range(20)])
        small[3:6] = 200
        found = find_inverted(small)
        assert found is not None
        assert not found.any()

    def test_a_set_of_which_half_is_inverted_is_warned_about(self, tmp_path: Path) -> None:
        plant(tmp_path, CLASSES)
        names = [f"{name}/{number:04d}.png" for name in CLASSES for number in range(10)]
        changed(tmp_path, names, ImageOps.invert)
        dataset = opened(tmp_path)
        assert dataset.checks.inverted == {"NORMAL": 10, "PNEUMONIA": 10}
        assert any("20 images are inverted against the rest" in one for one in dataset.checks.warnings())

    def test_a_class_that_is_inverted_differs_in_polarity(self, tmp_path: Path) -> None:
        plant(tmp_path, ["NORMAL"], each=30)
        plant(tmp_path, ["PNEUMONIA"], each=20, first=500)
        changed(tmp_path, [f"PNEUMONIA/{number:04d}.png" for number in range(20)], ImageOps.invert)
        (phrase,) = opened(tmp_path).checks.differences
        assert phrase == "polarity (NORMAL as the rest, PNEUMONIA inverted)"

    @pytest.mark.long
    @pytest.mark.parametrize("share", [0.0, 0.01, 0.3])
    def test_real_images_are_told_apart(self, share: float) -> None:
        if not REAL.is_dir():
            pytest.skip(f"NO REAL IMAGES in {REAL}: name their folder in CXR_DATA")
        files = sorted(REAL.glob("*/*.jpeg"))
        small = np.stack(
            [np.asarray(Image.open(file).convert("L").resize((32, 32), Image.Resampling.BOX)) for file in files]
        )
        expected = np.random.default_rng(0).random(len(files)) < share
        small[expected] = 255 - small[expected]
        found = find_inverted(small)
        assert found is not None
        print(
            f"{expected.sum()} of {len(files)} inverted: {(found & expected).sum()} found, and "
            f"{(found & ~expected).sum()} others"
        )
        assert (found & ~expected).sum() == 0
        assert (found & expected).sum() >= 0.98 * expected.sum()


class TestDifferencesOfClasses:
    def table(self, rng: np.random.Generator, size: int = 200) -> pd.DataFrame:
        columns = {
            "label": rng.integers(0, 2, size),
            "mode": rng.choice(["L", "RGB"], size),
            "format": rng.choice(["JPEG", "PNG"], size),
            "bits": rng.choice([8, 12], size),
            "width": rng.integers(100, 120, size),
            "height": rng.integers(100, 120, size),
        }
        return pd.DataFrame(columns)

    def test_attributes_that_have_nothing_to_do_with_the_class_are_no_difference(self) -> None:
        rng = np.random.default_rng(0)
        alarms = sum(bool(differing_attributes(self.table(rng), CLASSES, rng.random(200) < 0.3)) for _ in range(300))
        assert alarms <= 6  # five tests, each with a false alarm in a thousand: 1.5 expected

    def test_sizes_that_tell_the_classes_apart_are_named(self) -> None:
        table = self.table(np.random.default_rng(1))
        table["width"] += 20 * table["label"]
        (aspect, pixels) = differing_attributes(table, CLASSES, None)
        assert aspect.startswith("aspect ratio (which alone tells them apart with an AUROC of 0.9")
        assert pixels.startswith("number of pixels (")

    def test_a_mode_of_one_class_alone_is_named_with_its_share(self) -> None:
        table = self.table(np.random.default_rng(2)).assign(mode="L", bits=8)
        table.loc[(table["label"] == 1) & (table.index % 2 == 0), "mode"] = "RGB"
        (phrase,) = differing_attributes(table.assign(format="PNG"), CLASSES, None)
        assert phrase.startswith("mode (NORMAL L, PNEUMONIA ")
        assert "% RGB" in phrase


class TestLeaks:
    def test_copies_in_other_splits_are_said_by_the_run(self, tmp_path: Path, cxr_run: Any) -> None:
        plant(tmp_path / "leak", both("train", "val", "test"), each=12)
        for number in range(6):  # resized copies of training images
            with Image.open(tmp_path / "leak" / "train" / "NORMAL" / f"{number:04d}.png") as image:
                image.resize((96, 96)).save(tmp_path / "leak" / "test" / "NORMAL" / f"{number:04d}.png", quality=60)
        answer: Answer = cxr_run(
            "data=folder", f"data.root={tmp_path / 'leak'}", "data.image_size=64", "epochs=1", "progress=lines"
        )
        said = "6 of 24 test images and 0 of 24 val images are nearly the same as one of train"
        assert answer.out.count(said) == 2  # with the data, and with the accuracy
        (data,) = Path("outputs").rglob("data.json")
        assert any(said in warning for warning in json.loads(data.read_text())["warnings"])

    def test_a_shared_number_of_another_kind_is_no_leak(self, tmp_path: Path) -> None:
        for split, kind in (("train", "bacteria"), ("val", "virus"), ("test", "fungus")):
            plant(tmp_path, both(split), each=8, name=f"person{{n}}_{kind}_{{n}}.png", first=len(split) * 10**6)
        dataset = opened(tmp_path)
        assert [(one.key, one.test) for one in dataset.checks.patients] == [
            ("number and kind", 0),
            ("number alone", 16),
        ]
        assert not any("patient" in warning for warning in dataset.checks.warnings())

    def test_patients_of_known_names_leak_and_are_kept_apart_on_demand(self, tmp_path: Path) -> None:
        for number in range(2):
            plant(tmp_path, CLASSES, each=15, name=f"{{n:08d}}_00{number}.png", first=10**5 * number)
        leaking = opened(tmp_path)
        assert any(
            "of the test images are of a patient who is in train too" in one for one in leaking.checks.warnings()
        )
        assert "patients known from names like those of NIH ChestX-ray14" in leaking.notes
        apart = opened(tmp_path, "data.split.strategy=patient")
        assert not any("patient" in warning for warning in apart.checks.warnings())

    def test_more_images_than_can_be_compared_are_drawn_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(near_duplicates, "MOST_COMPARED", 50)
        hashes = np.random.default_rng(0).integers(0, 2**63, (80, 4), dtype=np.uint64)
        hashes[40:] = hashes[:40]
        near = near_pairs(hashes, np.array(["train"] * 40 + ["test"] * 40))
        assert near.num_compared == 50
        assert 0 < near.num_pairs < 40
        assert all(one + 40 == other for one, other, _ in near.closest)

    def test_images_are_hashed_once_a_store(self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plant(tmp_path, CLASSES)
        first = opened(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("cxr_runner.data.quality.thumbnails.make_thumbnails", None)
            assert opened(tmp_path, "data.split.seed=1").checks.near_duplicates is not None
        (hashes,) = cache.rglob("hashes.npy")
        hashes.write_bytes(hashes.read_bytes()[:-1] + b"x")
        assert opened(tmp_path, "data.split.seed=2").fingerprints["source"] == first.fingerprints["source"]

    def test_checks_are_made_once_and_again_where_their_file_is_damaged(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plant(tmp_path, CLASSES)
        first = opened(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("cxr_runner.data.quality.thumbnails.make_thumbnails", None)
            assert opened(tmp_path).checks == first.checks
        (kept,) = cache.rglob("checks/*.json")
        kept.write_text(kept.read_text().replace('"train": 28', '"train": 27'))
        assert opened(tmp_path).checks == first.checks


class TestAGivenTestSetUnlikeTheRest:
    def draw(self, rng: np.random.Generator, size: int, signal: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        labels = (rng.random(size) < 0.6).astype(np.int64)
        pixels = rng.normal(128, 30, (size, 8, 8))
        pixels[:, :4] += signal * labels[:, None, None]
        return np.clip(pixels, 0, 255).astype(np.uint8), labels

    @pytest.mark.long
    def test_a_random_test_set_is_called_unlike_hardly_ever(self) -> None:
        rng, alarms = np.random.default_rng(0), 0
        for _ in range(100):
            small, labels = self.draw(rng, 300, 8)
            compared = compare_test(small, labels, split_randomly(labels, int(rng.integers(10**6)) + 100), None)
            alarms += compared is not None and compared.unlike
        assert alarms <= 2

    def test_a_test_set_of_another_kind_is_called_unlike(self) -> None:
        rng = np.random.default_rng(1)
        small, labels = self.draw(rng, 900, 12)
        given = split_randomly(labels, 5)
        small[given == "test"], labels[given == "test"] = (
            part[: (given == "test").sum()] for part in self.draw(rng, 900, -12)
        )
        compared = compare_test(small, labels, given, None)
        assert compared is not None
        assert compared.unlike
        assert compared.given < min(compared.drawn)

    def test_a_split_without_a_class_is_not_compared(self) -> None:
        small, labels = self.draw(np.random.default_rng(2), 60, 5)
        assert compare_test(small, labels, np.where(labels == 1, "train", "test"), None) is None

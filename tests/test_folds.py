"""Folds of cross-validation and repeated splits: which runs they stand for, and which image is in which split."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from conftest import Answer
from cxr_runner.api import run
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import Dataset, open_dataset, open_images, split_images
from cxr_runner.data.folds import draw_folds
from cxr_runner.data.quality import image_checks, near_duplicates
from odd_sets import CLASSES, both, plant

TINY = ("data.num_images=60", "data.image_size=16")
NAMES = ("no", "yes")
SPLITS = ("train", "val", "test")


def splits_of(*overrides: str) -> list[Dataset]:
    """Return the data sets of all splits that arguments stand for, made of images that are opened once."""
    configs = [run.data for run in compose(overrides)]
    images = open_images(configs[0], Reporter())
    return [split_images(images, config, Reporter()) for config in configs]


def folder(root: Path, *overrides: str) -> tuple[str, ...]:
    return ("data=folder", f"data.root={root}", "data.image_size=16", *overrides)


def asked(*overrides: str) -> list[tuple[int, object, int]]:
    return [(run.data.split.seed, run.data.split.fold, run.seed) for run in compose(overrides)]


# Which runs a configuration stands for


def test_folds_repeats_and_seeds_stand_for_runs_the_seed_innermost() -> None:
    every = asked("data.split.folds=2", "data.split.repeats=2", "data.split.seed=5", "seeds=2", "seed=3")
    assert every == [(split, fold, seed) for split in (5, 6) for fold in (0, 1) for seed in (3, 4)]
    for one in compose(["data.split.folds=2", "data.split.repeats=2", "seeds=2"]):
        assert (one.data.split.folds, one.data.split.repeats, one.seeds) == (2, 1, 1)


def test_repeats_without_folds_are_other_seeds_of_the_split_alone() -> None:
    assert asked("data.split.repeats=3") == [(0, "all", 0), (1, "all", 0), (2, "all", 0)]


@pytest.mark.parametrize("fold", ["2", "[2,0]", "all"])
def test_one_fold_or_several_can_be_asked_for(fold: str) -> None:
    folds = {"2": [2], "[2,0]": [2, 0], "all": [0, 1, 2, 3]}[fold]
    assert [fold for _, fold, _ in asked("data.split.folds=4", f"data.split.fold={fold}")] == folds


def test_folds_can_be_asked_for_in_python_and_in_a_file(tmp_path: Path) -> None:
    runs = compose({"data.split.folds": 4, "data.split.fold": [1, 3]})
    assert [run.data.split.fold for run in runs] == [1, 3]
    (tmp_path / "experiment").mkdir()
    content = "# @package _global_\ndata: {split: {folds: 4, fold: [0, 2]}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(content)
    runs = compose(["experiment=mine"], config_dir=str(tmp_path))
    assert [run.data.split.fold for run in runs] == [0, 2]


def test_more_repeats_are_the_runs_of_fewer_and_others() -> None:
    two, three = (compose(["data.split.folds=3", f"data.split.repeats={number}"]) for number in (2, 3))
    assert three[: len(two)] == two


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("data.split.folds=1", "data.split.folds=1: valid are null and whole numbers from 2"),
        ("data.split.folds=many", "data.split.folds=many: valid are null and whole numbers from 2"),
        ("data.split.fold=1", "data.split.fold=1: needs data.split.folds, the number of folds"),
        ("data.split.folds=5 data.split.fold=7", "data.split.fold=7: valid are 0 to 4, data.split.folds=5"),
        ("data.split.folds=5 data.split.fold=[1,5]", "data.split.fold=[1,5]: valid are 0 to 4, data.split.folds=5"),
        ("data.split.folds=5 data.split.fold=-1", "data.split.fold=-1: valid are all, a whole number from 0, and a"),
        ("data.split.folds=5 data.split.fold=first", "data.split.fold=first: valid are all, a whole number from 0"),
        ("data.split.folds=5 data.split.fold=[]", "data.split.fold=[]: names no fold; all are data.split.fold=all"),
        ("data.split.folds=5 data.split.fold=[1,1]", "data.split.fold=[1,1]: names a fold twice"),
        ("data.split.folds=5 data=chest_xray", "data.split.strategy=given: folds are drawn and not given"),
        ("data.split.folds=5 data.split.strategy=given", "data.split.strategy=given: phantoms bring no splits"),
        ("data.split.repeats=0", "data.split.repeats=0: must be at least 1"),
        ("data.split.repeats=10001", "data.split.repeats=10001: asks for 10,001 runs; one command makes at most"),
        ("data.split.folds=200 seeds=60", "data.split.folds=200: with seeds=60 asks for 12,000 runs"),
        ("data.split.seed=4294967295 data.split.repeats=2", "data.split.repeats=2: with data.split.seed=4294967295"),
        ("data.split.keep_test=perhaps", "data.split.keep_test=perhaps: valid are null, true and false"),
        ("data.split.folds=3 data.split.fold=0,1", "data.split.fold=0,1: several values make a sweep, which needs -m"),
        ("data.split.folds=50", "data.split.folds=50: more than the images of NORMAL, 16"),
        ("data.split.folds=3 data.split.keep_test=true", "data.split.keep_test=true: the data bring no test split"),
    ],
)
def test_a_mistake_is_one_line(overrides: str, said: str, cxr_run: Callable[..., Answer]) -> None:
    answer = cxr_run(*(["data.image_size=16"] if "chest_xray" in overrides else TINY), *overrides.split())
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.removeprefix("cxr-run: ").startswith(said)
    assert not Path("outputs").exists()


# Which image is in which fold


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    num_folds = draw(st.integers(2, 6))
    negatives, positives = draw(st.integers(num_folds, 40)), draw(st.integers(num_folds, 40))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return rng.permutation([0] * negatives + [1] * positives), num_folds, draw(st.integers(0, 2**32 - 1))


@given(labelled())
def test_folds_are_a_partition_each_class_within_one_image(drawn: tuple[np.ndarray, int, int]) -> None:
    labels, num_folds, seed = drawn
    folds = draw_folds(labels, None, num_folds, seed, NAMES)
    assert set(folds) == set(range(num_folds))
    for label in (0, 1):
        sizes = np.bincount(folds[labels == label], minlength=num_folds)
        assert sizes.sum() == (labels == label).sum()
        assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(1, 5), min_size=40, max_size=60), st.integers(2, 5), st.integers(0, 1000))
@settings(deadline=None)
def test_no_patient_is_in_two_folds_and_each_has_its_share(sizes: list[int], num_folds: int, seed: int) -> None:
    patients = np.repeat([f"p{number}" for number in range(len(sizes))], sizes)
    labels = np.repeat(np.arange(len(sizes)) % 3 > 0, sizes).astype(np.int64)
    folds = draw_folds(labels, patients.tolist(), num_folds, seed, NAMES)
    assert (pd.DataFrame({"patient": patients, "fold": folds}).groupby("patient")["fold"].nunique() == 1).all()
    for label in (0, 1):
        counts = np.bincount(folds[labels == label], minlength=num_folds)
        assert counts.max() - counts.min() <= 5  # the images of one patient


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("by_patient", [False, True])
def test_the_folds_are_those_of_scikit_learn(by_patient: bool, seed: int) -> None:
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 60, 200).astype(str)
    labels = rng.integers(0, 2, 200)
    kind = StratifiedGroupKFold if by_patient else StratifiedKFold
    theirs = kind(5, shuffle=True, random_state=seed).split(np.zeros(200), labels, patients if by_patient else None)
    folds = draw_folds(labels, patients.tolist() if by_patient else None, 5, seed, NAMES)
    for fold, (_, test) in enumerate(theirs):
        assert np.flatnonzero(folds == fold).tolist() == test.tolist()


@pytest.mark.parametrize(
    ("labels", "patients", "said"),
    [
        ([0, 0, 1, 1, 1, 1], None, "more than the images of no, 2"),
        ([0, 0, 0, 1, 1, 1], list("aabbaa"), "more than the patients, 2"),
        (
            [0, 0, 0, 1, 1, 1],
            list("aaabcd"),
            r"fold \d has no (no|yes) image where patients stay together",
        ),
    ],
)
def test_folds_that_are_not_to_be_had_are_the_users_mistake(
    labels: list[int], patients: list[str] | None, said: str
) -> None:
    with pytest.raises(UserError, match=f"^data.split.folds=3: {said}"):  # any warning of scikit-learn's is an error
        draw_folds(np.array(labels), patients, 3, 0, NAMES)


@pytest.mark.parametrize("strategy", ["random", "patient"])
def test_each_image_is_in_the_test_split_once_and_val_is_a_share_of_the_rest(strategy: str) -> None:
    data = splits_of(*TINY, "data.split.folds=3", f"data.split.strategy={strategy}", "data.split.val_share=0.25")
    assert sorted(row for one in data for row in one.rows("test")) == sorted(data[0].table.index)
    for fold, one in enumerate(data):
        assert one.split_facts == {
            "strategy": strategy,
            "seed": 0,
            "folds": 3,
            "fold": fold,
            "val_share": 0.25,
            "rotates": "test",
            "given_test": False,
        }
        assert len(one.rows("val")) == pytest.approx(0.25 * 40, abs=1 if strategy == "random" else 3)
        assert all({*one.labels(split)} == {0, 1} for split in SPLITS)
        if strategy == "patient":
            patients = [set(one.patients(split)) for split in SPLITS]
            assert sum(map(len, patients)) == len(set.union(*patients))


def test_splits_of_the_same_images_share_their_memory_and_are_those_that_are_opened_apart() -> None:
    overrides = (*TINY, "data.split.folds=3", "data.split.repeats=2")
    data = splits_of(*overrides)
    apart = [open_dataset(run.data, Reporter()) for run in compose(overrides)]
    assert len({one.fingerprint for one in data}) == 6
    assert len({one.fingerprints["source"] for one in data}) == 1
    assert all(one.images is data[0].images and one.store == data[0].store for one in data)
    assert [one.describe() for one in data] == [one.describe() for one in apart]


def test_other_images_cannot_be_split_as_these(tmp_path: Path) -> None:
    images = open_images(compose(TINY)[0].data, Reporter())
    with pytest.raises(AssertionError, match="other images"):
        split_images(images, replace(images.config, image_size=17), Reporter())


# A test split that the data bring


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """Twelve images of each class in train, as many in test."""
    return plant(tmp_path / "brought", both("train", "test"), 12, "p{seed:05d}.png")


@pytest.mark.parametrize("asked_for", [(), ("data.split.keep_test=true",)])
def test_a_test_split_of_the_data_is_kept_and_each_fold_is_val(brought: Path, asked_for: tuple[str, ...]) -> None:
    data = splits_of(*folder(brought, "data.split.folds=4", *asked_for))
    for one in data:
        assert all(name.startswith("test/") for name in one.names("test"))
        assert (len(one.rows("test")), len(one.rows("val")), len(one.rows("train"))) == (24, 6, 18)
        assert (one.split_facts["rotates"], one.split_facts["given_test"]) == ("val", True)
    assert sorted(name for one in data for name in one.names("val")) == sorted(
        data[0].names("train") + data[0].names("val")
    )
    assert any("test is kept (data.split.keep_test)" in note for note in data[0].notes)


def test_a_test_split_of_the_data_is_dissolved_on_request(brought: Path) -> None:
    data = splits_of(*folder(brought, "data.split.folds=4", "data.split.keep_test=false"))
    assert sorted(row for one in data for row in one.rows("test")) == sorted(data[0].table.index)
    assert (data[0].split_facts["rotates"], data[0].split_facts["given_test"]) == ("test", False)
    assert any("are dissolved; data.split.keep_test=true keeps" in note for note in data[0].notes)


def test_a_test_split_is_compared_with_others_once_however_val_rotates(
    brought: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    compare = image_checks.compare_test
    monkeypatch.setattr(image_checks, "compare_test", lambda *given: compared.append(1) or compare(*given))
    data = splits_of(*folder(brought, "data.split.folds=4", "data.split.seed=3"))
    assert len(compared) == 1
    assert len({one.checks.unlike for one in data}) == 1


@pytest.mark.parametrize(("name", "strategy"), [("p{n:03d}_x.png", "random"), ("person{n}_virus_1.png", "patient")])
def test_folds_keep_patients_apart_where_these_are_known(tmp_path: Path, name: str, strategy: str) -> None:
    root = plant(tmp_path / "images", CLASSES, 12, name)
    data = splits_of(*folder(root, "data.split.folds=3"))
    assert data[0].split_facts["strategy"] == strategy
    said = {"random": "folds are by image, patients are not known", "patient": "folds keep patients apart"}
    assert any(said[strategy] in note for note in data[0].notes)
    assert (data[0].describe()["num_patients"] is None) == (strategy == "random")


def test_a_seed_that_changes_nothing_is_said(tmp_path: Path) -> None:
    root = plant(tmp_path / "whole", both("train", "val", "test"), 5)
    first, second = splits_of(*folder(root, "data.split.repeats=2"))
    assert first.fingerprint == second.fingerprint
    assert first.split_facts["rotates"] == "nothing"
    assert not any("changes nothing" in note for note in first.notes)
    assert any(
        "data.split.seed=1 changes nothing: train, val and test are those of the data" in note for note in second.notes
    )


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        ([], ("given", True, "train and val")),
        (["data.split.strategy=random"], ("random", False, "train, val and test")),
        (["data.split.strategy=random", "data.split.keep_test=true"], ("random", True, "train and val")),
    ],
)
def test_splits_without_folds_say_how_they_were_made_too(
    brought: Path, overrides: list[str], facts: tuple[str, bool, str]
) -> None:
    (one,) = splits_of(*folder(brought, *overrides, "data.split.seed=4"))
    made = one.describe()["split"]
    assert (made["strategy"], made["given_test"], made["rotates"]) == facts
    assert (made["seed"], made["folds"], made["fold"], made["val_share"]) == (4, None, None, 0.125)


def test_images_are_compared_once_for_all_splits_and_counted_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(tmp_path / "images", CLASSES, 15)
    for name in ("0001", "0004", "0009"):
        with Image.open(root / "NORMAL" / f"{name}.png") as image:
            image.convert("L").save(root / "NORMAL" / f"{name}_again.jpg", quality=90)
    gathered: list[int] = []
    gather = image_checks.gather_blocks
    monkeypatch.setattr(image_checks, "gather_blocks", lambda hashes: gathered.append(len(hashes)) or gather(hashes))
    overrides = folder(root, "data.split.folds=3", "data.split.repeats=2")
    together = splits_of(*overrides)
    assert gathered == [33]
    crossing = {one.checks.near_duplicates.crossing for one in together}
    assert {one.checks.near_duplicates.pairs for one in together} == {3}
    assert len(crossing) > 1, "near duplicates lie apart in some splits only"
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(near_duplicates, "_MOST_GATHERED", -1)  # too many pairs to keep: compared anew for each split
    apart = [open_dataset(run.data, Reporter()) for run in compose(overrides)]
    assert [one.checks for one in apart] == [one.checks for one in together]


# At the command line


@pytest.mark.usefixtures("elsewhere", "own_process", "quick_pictures")
def test_python_returns_the_folder_of_all_runs_of_folds() -> None:
    values = {"data.num_images": 60, "data.image_size": 16, "epochs": 1, "progress": "none", "plots": "never"}
    path = run(values | {"data.split.folds": 2})
    assert path == Path("outputs/runs").absolute()
    assert len(list(path.glob("*/seed=0"))) == 2
    assert run(values | {"seeds": 2}).parent == path
    assert run(values | {"data.split.folds": 2, "data.split.fold": 1}).name == "seed=0"


def test_bad_folds_of_a_folder_are_one_line(
    tmp_path: Path, brought: Path, cxr_run: Callable[..., Answer], cxr_data: Callable[..., Answer]
) -> None:
    plain = plant(tmp_path / "plain", CLASSES, 6, "q{n:03d}.png")
    few = plant(tmp_path / "few", [f"{name}/case{number}" for number in range(2) for name in CLASSES], 6)
    mixed = plant(tmp_path / "mixed", ["NORMAL/case0", *(f"PNEUMONIA/case{number}" for number in range(1, 6))], 6)
    cases = {
        (
            plain,
            "data.split.folds=3 data.split.strategy=patient",
        ): "data.split.strategy=patient: patients are not known",
        (few, r"data.split.folds=3 data.patient_pattern=/(case\d+)/"): "data.split.folds=3: more than the patients, 2",
        (mixed, r"data.split.folds=3 data.patient_pattern=/(case\d+)/"): "data.split.folds=3: fold ",
        (plain, "data.split.folds=7"): "data.split.folds=7: more than the images of NORMAL, 6",
        (plain, "data.split.folds=3 data.split.keep_test=true"): "data.split.keep_test=true: the data bring no test",
        (brought, "data.split.folds=13"): "data.split.folds=13: more than the images of NORMAL, 12",
        (brought, "data.split.folds=3 data.split.strategy=given"): "data.split.strategy=given: folds are drawn",
    }
    for (root, overrides), said in cases.items():
        for command, first in ((cxr_run, ()), (cxr_data, ("describe",))):
            answer = command(*first, *folder(root, *overrides.split()))
            assert (answer.code, answer.err.count("\n")) == (2, 1), answer
            assert answer.err.partition(": ")[2].startswith(said)


def test_a_mistake_of_very_many_runs_is_one_line_and_nothing_else(cxr_run: Callable[..., Answer]) -> None:
    answer = cxr_run(*TINY, "data.split.folds=60", "data.split.strategy=random", "progress=lines")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "figures" not in answer.out


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize("launcher", ["stack", pytest.param("basic", marks=pytest.mark.long)])
def test_folds_are_runs_of_their_own_that_the_same_command_does_not_train_again(
    launcher: str, cxr_run: Callable[..., Answer]
) -> None:
    command = (*TINY, "data.split.folds=3", "epochs=1", "batch_size=8", f"hydra/launcher={launcher}", "progress=lines")
    first = cxr_run("-m", *command)
    assert (first.code, first.err) == (0, "")
    assert "fold 2 (of 0 to 2) is test, split seed 0" in first.out
    assert re.search(r"linear-\w+, fold 2 of 3, split seed 0, seed 0 \(3 of 3\)", first.out)
    paths = sorted(Path("outputs/runs").glob("*/seed=0"))
    assert len(paths) == 3
    written = [path.joinpath("metrics.json").stat().st_mtime_ns for path in paths]
    facts = [json.loads(path.joinpath("data.json").read_text("utf-8"))["split"] for path in paths]
    configs = [yaml.safe_load(path.joinpath("config.yaml").read_text("utf-8"))["data"]["split"] for path in paths]
    assert sorted(one["fold"] for one in facts) == [0, 1, 2]
    assert [one["fold"] for one in configs] == [one["fold"] for one in facts]
    again = cxr_run("-m", *command)
    assert again.code == 0
    assert "3 of 3 runs are done already" in again.out
    assert [path.joinpath("metrics.json").stat().st_mtime_ns for path in paths] == written
    more = cxr_run("-m", *command, "data.split.fold=0,1", "data.split.repeats=2")  # a choice sweep of Hydra's
    assert more.code == 0
    assert len(list(Path("outputs/runs").glob("*/seed=0"))) == 5


def test_the_folds_of_a_data_set_are_described(cxr_data: Callable[..., Answer]) -> None:
    arguments = ("describe", *TINY, "data.split.folds=3", "data.split.repeats=5", "data.split.strategy=patient")
    answer = cxr_data(*arguments)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    start = lines.index("  3 folds, each test in its turn (data.split.seed=0, by patient)")
    assert lines[start + 1].split() == ["fold", "images", "patients", "NORMAL", "PNEUMONIA", "positive"]
    rows = [line.split() for line in lines[start + 2 : start + 5]]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert sum(int(row[1]) for row in rows) == 60
    test = open_dataset(compose(arguments[1:])[0].data, Reporter())
    assert rows[0][2] == str(len(set(test.patients("test"))))
    assert rows[0][5] == f"{test.labels('test').mean():.1%}"
    assert lines[-1] == "  and 2 more splits into folds"
    assert cxr_data(*arguments).out == answer.out  # as it was kept


def test_repeats_are_counted_in_a_description(cxr_data: Callable[..., Answer]) -> None:
    assert cxr_data("describe", *TINY, "data.split.repeats=4").out.endswith("\n  the first of 4 splits\n")

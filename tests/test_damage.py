"""Damage on the disk is noticed: the file is made anew or refused, and never used."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import Answer
from cxr_runner.base.checksums import append_checksum, has_checksum
from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.progress import Reporter
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.data.image_set import Images
from cxr_runner.experiment.shared_data import SharedData
from killable import results
from test_experiment import _config

RUN = ("model=linear", "data.num_images=40", "data.image_size=16", "optimizer.momentum=0.9", "epochs=3")
Command = Callable[..., Answer]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def _flip_a_pixel(cache: Path) -> None:
    (path,) = cache.glob("*/images.npy")
    _flip(path, path.stat().st_size - 39 * 256, bit=7)  # of image 1, which no sample of sixteen contains


def _flip_a_label(cache: Path) -> None:
    (path,) = cache.glob("*/table.csv")
    content = path.read_bytes()
    _flip(path, content.index(b",1,", content.index(b"\n")) + 1)


def _flip_a_class_name(cache: Path) -> None:
    (path,) = cache.glob("*/meta.json")
    _flip(path, path.read_bytes().index(b"NORMAL"))


def _flip_a_product(cache: Path) -> None:
    (path,) = cache.glob("*/*/gram.npy")
    _flip(path, 128 + 8 * (2 * 40 + 1) + 5)  # of images 2 and 1


def _flip_a_start(cache: Path) -> None:
    for path in cache.glob("*/*/starts/*.npy"):
        _flip(path, 128 + 8 * 25 + 6)


FLIPS = {
    "a pixel": _flip_a_pixel,
    "a label": _flip_a_label,
    "a class name": _flip_a_class_name,
    "a product": _flip_a_product,
    "a start": _flip_a_start,
}


def test_a_bit_that_flips_in_the_cache_changes_no_result(cxr_run: Command, cache: Path, tmp_path: Path) -> None:
    arguments = (*RUN, f"outputs={tmp_path}/outputs", "progress=lines")
    assert cxr_run(*arguments).code == 0
    expected = results(tmp_path / "outputs")
    for what, flip in FLIPS.items():
        flip(cache)
        answer = cxr_run(*arguments, "force=true")
        assert answer.code == 0
        assert results(tmp_path / "outputs") == expected, what
        made_anew = {
            "store": "is damaged and built anew" in answer.out,
            "product": "Gram matrix: " in answer.out,
            "start": "starts of first layers" in answer.out,
        }
        if what in ("a product", "a start"):
            assert [f"a {name}" for name, anew in made_anew.items() if anew] == [what]
        else:
            assert all(made_anew.values()), (what, answer.out)


def test_a_finished_run_does_not_wait_for_every_image_to_be_looked_at(
    cxr_run: Command, cache: Path, tmp_path: Path
) -> None:
    arguments = (*RUN, f"outputs={tmp_path}/outputs", "progress=lines")
    cxr_run(*arguments)
    _flip_a_pixel(cache)
    answer = cxr_run(*arguments)
    assert (answer.code, answer.err) == (0, "")
    assert "damaged" not in answer.out


@pytest.mark.parametrize("what", ["a bit", "another run's"])
def test_a_checkpoint_that_is_not_what_the_run_has_written_is_set_aside_and_the_next_start_begins_anew(
    cxr_run: Command, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    arguments = (*RUN, "engine=pixel", f"outputs={tmp_path}/outputs")
    cxr_run(*arguments)
    expected = results(tmp_path / "outputs")
    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.artifacts.status.Status.done", _interrupt)
        for seed in (0, 1):
            assert cxr_run(*arguments, f"seed={seed}", "force=true").code == 130
    first, second = sorted((tmp_path / "outputs").glob("runs/*/seed=*"))
    checkpoint = first / "checkpoint.pt"
    if what == "a bit":
        _flip(checkpoint, checkpoint.stat().st_size // 2)
    else:
        shutil.copy(second / "checkpoint.pt", checkpoint)
    answer = cxr_run(*arguments)
    assert answer.code == 1
    (line,) = answer.err.splitlines()
    assert "checkpoint.pt is damaged, or of another version, and now called checkpoint.damaged.pt" in line
    assert cxr_run(*arguments).code == 0
    assert results(tmp_path / "outputs").items() >= expected.items()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_images_that_change_between_the_start_and_the_training_are_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, shared = _config("unused", *RUN).data, SharedData(Reporter())
    dataset = shared.open(config, tmp_path)
    assert isinstance(dataset, Dataset)
    assert shared.with_intact_images(config) is dataset
    monkeypatch.setattr(Images, "intact", lambda _: False)
    shared.intact.clear()
    assert shared.with_intact_images(config).fingerprint == dataset.fingerprint
    shared.datasets[config] = replace(dataset, fingerprint="another")
    with pytest.raises(RunFailedError, match="the images have changed since the command began"):
        shared.with_intact_images(config)


def test_what_is_derived_lies_where_only_the_same_images_look_for_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config("unused", *RUN).data
    before = open_dataset(config, Reporter()).store
    shutil.rmtree(before.parent)
    monkeypatch.setattr(
        "cxr_runner.data.decode_all.resize_square", lambda grey, size: np.full((size, size), 7, np.uint8)
    )
    config = replace(config, duplicates="keep")
    after = open_dataset(config, Reporter()).store
    assert before.parent == after.parent
    assert before.name != after.name
    assert not before.exists()


def test_a_checksum_fails_for_any_change_and_for_another_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    append_checksum(path, "this")
    whole = path.read_bytes()
    assert has_checksum(path, "this")
    assert not has_checksum(path, "that")
    assert not has_checksum(tmp_path / "nothing", "this")
    for position in range(len(whole)):
        _flip(path, position)
        assert not has_checksum(path, "this")
        path.write_bytes(whole)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not has_checksum(path, "this")

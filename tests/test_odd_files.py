"""Files that are not what their names say: reading them ends, says so, and stops nothing else."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Answer
from cxr_runner.artifacts.rundir import RunDir, find_runs, read_run
from cxr_runner.artifacts.samples import read_samples
from cxr_runner.base.checksums import has_checksum
from cxr_runner.base.files import read_json, read_yaml, regular
from cxr_runner.base.progress import Reporter
from cxr_runner.data.store import _read as read_store

Command = Callable[..., Answer]
TINY = ("data.num_images=40", "data.image_size=16", "epochs=1", "progress=lines")
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(f'*{before}' for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(30 * 2**30)


def link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


ODD = {"pipe": make_pipe, "sparse": make_sparse, "device": link_to_zero, "folder": Path.mkdir}


def replace_by(kind: str, path: Path) -> None:
    path.unlink(missing_ok=True)
    ODD[kind](path)


@pytest.mark.parametrize("kind", ODD)
def test_no_reader_waits_for_or_swallows_what_is_no_file_of_ours(tmp_path: Path, kind: str) -> None:
    replace_by(kind, path := tmp_path / "odd")
    with pytest.raises(OSError, match=r"is not a regular file|has 32,212,254,720 bytes, at most 1,024 are read"):
        regular(path, 1024)
    assert read_json(path) is None
    assert read_yaml(path) == {}
    assert read_samples(path) == []
    if kind != "sparse":  # a large file takes long, and ends
        assert not has_checksum(path, "anything")


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "? &a {*a : 1}\n", "a: !!python/object:os.system x", "[" * 10**5])
def test_yaml_that_stands_for_more_than_it_says_is_not_read(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "config.yaml").write_text(text)
    assert read_yaml(path) == {}


def test_json_that_says_two_things_is_not_read(tmp_path: Path) -> None:
    (path := tmp_path / "metrics.json").write_text('{"test": {"accuracy": 0.5, "accuracy": 0.9}}')
    assert read_json(path) is None


@pytest.mark.parametrize("name", ["config.yaml", "status.json", "metrics.json", "data.json"])
@pytest.mark.parametrize("kind", ODD)
def test_a_run_with_an_odd_file_is_read_and_is_none_that_counts(tmp_path: Path, kind: str, name: str) -> None:
    folder = tmp_path / "runs" / "a-0123456789" / "seed=0"
    folder.mkdir(parents=True)
    replace_by(kind, folder / name)
    (run,) = find_runs(tmp_path)
    assert run == read_run(folder)
    assert not RunDir(folder).complete()
    assert run.problem


@pytest.fixture
def store(cxr_run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run's store, in a cache that no other test uses."""
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    assert cxr_run(*TINY, "outputs=first").code == 0
    (meta,) = (tmp_path / "cache").glob("*/meta.json")
    return meta.parent


@pytest.mark.parametrize("name", ["images.npy", "table.csv", "meta.json"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_store_with_an_odd_file_is_damaged_and_built_anew(
    cxr_run: Command, store: Path, elsewhere: Path, kind: str, name: str
) -> None:
    replace_by(kind, store / name)
    answer = cxr_run(*TINY, "outputs=second")
    assert answer.code == 0, answer.err
    assert "is damaged and built anew" in answer.out
    first, second = (next((elsewhere / one).rglob("predictions.csv")).read_bytes() for one in ("first", "second"))
    assert first == second


def test_any_flipped_bit_in_the_header_of_the_images_is_damage_or_changes_nothing(store: Path) -> None:
    path = store / "images.npy"
    whole, images, damaged = path.read_bytes(), np.load(path), 0
    for bit in range(8 * 128):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        opened = read_store(store, Reporter())
        damaged += opened is None
        assert opened is None or np.array_equal(opened.images, images), f"bit {bit}"
    assert damaged > 500


def test_a_damaged_header_is_built_anew_and_said(store: Path, cxr_run: Command) -> None:
    path = store / "images.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + b"(" + whole[21:])  # which ended every start with an error of Python's tokenizer
    answer = cxr_run(*TINY, "outputs=again")
    assert answer.code == 0, answer.err
    assert "is damaged and built anew" in answer.out
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_checkpoint_that_is_no_file_is_set_aside(cxr_run: Command, elsewhere: Path, kind: str) -> None:
    assert cxr_run(*TINY).code == 0
    (run,) = elsewhere.glob("outputs/runs/*/seed=0")
    (run / "metrics.json").unlink()
    replace_by(kind, run / "checkpoint.pt")
    answer = cxr_run(*TINY)
    assert answer.code == 1
    assert "checkpoint.pt is damaged" in answer.err
    assert cxr_run(*TINY).code == 0
    shutil.rmtree(run)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_weights_that_are_no_file_are_the_users_mistake(
    cxr_run: Command, tmp_path: Path, kind: str, ending: str
) -> None:
    replace_by(kind, path := tmp_path / f"weights.{ending}")
    answer = cxr_run("model=resnet18", f"model.weights={path}", "data.num_images=40", "data.image_size=64", "epochs=1")
    assert answer.code == 2
    said = "is no run, which has a model.safetensors" if kind == "folder" else "cannot be read as weights"
    assert answer.err.startswith(f"cxr-run: model.weights={path}: {said}")
    assert answer.err.count("\n") == 1

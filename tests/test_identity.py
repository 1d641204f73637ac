"""A run's id is for ever.

Every id and fingerprint below was computed once with the code of commit 42a7ee7, by its ``composition.compose``,
``dataset.open_dataset`` and ``identity.run_id``, with the arguments that stand beside them here. They are never
computed anew: an id that differs is a mistake in what was changed. ``tree_42a7ee7`` was made by that commit's command,
in that folder, with CXR_CACHE naming ``cache`` in it and ``TINY`` for ``data.num_images=60 data.image_size=16``:

    cxr-run TINY experiment=table1_20 epochs=2 seeds=2
    cxr-run TINY model=cnn model.hidden=4 epochs=2 optimizer=adam optimizer.lr=1e-3 loss.pos_weight=balanced \
        data.split.strategy=patient

Weights, figures, sample images and what is derived from the images were then deleted.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import Answer, call_inside
from cxr_runner import cli, load_runs
from cxr_runner.base.progress import Reporter
from cxr_runner.config import identity
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import LATER, NEVER, run_id
from cxr_runner.config.schema import RunConfig
from cxr_runner.config.validation import KEYS
from cxr_runner.data.dataset import open_dataset

PHANTOMS = "data.num_images=60 data.image_size=64"
FINGERPRINT = "e27db88dc5496efe"
BACKBONE = "d" * 64  # digest of a file of initial weights
IDS = [
    ("", "pixel", "d52199d78e"),
    ("", "gram", "661747f0f6"),
    ("model=linear_relu model.output_relu=false model.layers=3", "gram", "5d182aaff8"),
    ("model=cnn model.kernel_size=5", "pixel", "685d9aff1b"),
    ("model=resnet18", "pixel", "e28f8130c9"),
    ("model=resnet18 model.weights=backbone.safetensors", "pixel", "3e52683860"),
    ("optimizer.momentum=0.9 optimizer.nesterov=true optimizer.weight_decay=0.01", "gram", "3c59df3c96"),
    ("optimizer.lr=1e-3 optimizer.grad_clip=1", "pixel", "d10dd607fc"),
    ("optimizer=adam model=cnn", "pixel", "d227e7cee5"),
    ("optimizer=adamw model=linear_relu", "pixel", "be809245da"),
    ("schedule.name=cosine schedule.warmup_epochs=2", "gram", "a18f08f419"),
    ("schedule.name=step schedule.step_epochs=3 schedule.gamma=0.5", "gram", "dd4c0e1e1e"),
    (
        "early_stopping.patience=3 early_stopping.metric=val_auroc early_stopping.min_delta=0.01 "
        "early_stopping.restore_best=true",
        "gram",
        "a4be21859e",
    ),
    ("augment.flip=0.5 augment.degrees=5 augment.brightness=0.1", "pixel", "9e3e8809ac"),
    ("loss.pos_weight=0.37", "gram", "a5261d81ce"),
    ("loss.pos_weight=balanced", "gram", "78d4f519c8"),
    ("loss.pos_weight=2", "gram", "e8a89ceca8"),
    ("precision=bf16 model=cnn", "pixel", "17064767f3"),
    ("batch_size=64 epochs=60", "gram", "5504ce1965"),
    ("deterministic=false", "pixel", "14f08faeac"),
    ("experiment=table1_20", "gram", "efa9e614eb"),
    ("experiment=table1_05", "gram", "ce3c72d7e6"),
    ("experiment=table2_25b", "pixel", "bbe03713b4"),
    ("seed=7 name=other outputs=elsewhere progress=none force=true", "gram", "661747f0f6"),
    ("device=cuda", "gram", "00bf942572"),
]
FINGERPRINTS = [
    (PHANTOMS, FINGERPRINT),
    (f"{PHANTOMS} data.phantom_seed=3 data.difficulty=0.2 data.split.seed=2", "8173ad7c69bf789c"),
    (f"{PHANTOMS} data.split.strategy=patient data.split.seed=1", "f525df27f71b2882"),
    ("data=folder data.root=classes data.image_size=16", "ef8918ac99ef09c5"),
    ("data=folder data.root=classes data.image_size=16 data.split.strategy=patient", "db8d9fdae38945be"),
    ("data=folder data.root=classes data.image_size=24 data.duplicates=keep", "0178a58086a9f0fb"),
    ("data=folder data.root=splits data.image_size=8", "fb84cff51fdd2141"),
]
FOLDER_ID = "d204af0542"  # of the first folder, on the pixels
OLD_KEYS = {  # of the schema of 42a7ee7; those of data are left out, which enter by the fingerprint
    "": "epochs batch_size seed seeds engine device precision deterministic outputs name force progress",
    "model=linear": "name layers hidden",
    "model=linear_relu": "name layers hidden output_relu",
    "model=cnn": "name hidden kernel_size",
    "model=resnet18": "name weights",
    "optimizer=sgd": "name lr momentum nesterov weight_decay grad_clip",
    "optimizer=adam": "name lr weight_decay grad_clip",  # and of adamw
    "loss": "pos_weight",
    "schedule": "name warmup_epochs step_epochs gamma",
    "early_stopping": "metric patience min_delta restore_best",
    "augment": "flip degrees translate scale brightness contrast",
}
LOST: set[str] = set()  # keys that the schema has lost; ids of finished runs are computed anew from what they hold
TREE = Path(__file__).parent / "tree_42a7ee7"
TINY = ("data.num_images=60", "data.image_size=16")


def write_images(folder: Path) -> None:
    """Write the images of ``FINGERPRINTS``: a tree of classes, three images in it twice, and a tree of splits."""
    for number in range(24):
        label = "PNEUMONIA" if number % 3 else "NORMAL"
        grey = np.arange(20 * 16).reshape(20, 16) * (number % 21 + 1) % 251
        write_image(folder / "classes" / label / f"person{number // 2}_{number}.png", grey)
    for position, split in enumerate(("train", "val", "test")):
        for label in ("NORMAL", "PNEUMONIA"):
            for number in range(3):
                grey = np.full((12, 12), 10 * position + 40 * number + 5 * (label == "NORMAL"))
                write_image(folder / "splits" / split / label / f"person{number}_{split}.png", grey)


def write_image(path: Path, grey: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey.astype(np.uint8)).save(path)


@pytest.mark.parametrize(("line", "engine", "expected"), IDS, ids=[f"{line or 'default'}-{e}" for line, e, _ in IDS])
def test_an_id_is_what_it_always_was(line: str, engine: str, expected: str) -> None:
    config = compose([*PHANTOMS.split(), *line.split()])[0]
    device = "cuda" if config.device == "cuda" else "cpu"
    weights = BACKBONE if "model.weights" in line else ""
    assert run_id(config, FINGERPRINT, device, engine, weights) == expected


def test_images_and_splits_have_the_fingerprints_that_they_always_had(elsewhere: Path) -> None:
    write_images(elsewhere)
    configs = [compose(line.split())[0] for line, _ in FINGERPRINTS]
    fingerprints = [open_dataset(config.data, Reporter()).fingerprint for config in configs]
    assert fingerprints == [expected for _, expected in FINGERPRINTS]
    assert run_id(configs[3], fingerprints[3], "cpu", "pixel", "") == FOLDER_ID


def added_keys() -> set[str]:
    """Return the keys of the schema that 42a7ee7 had not; a model or optimizer that it had not may have any."""
    added = set()
    for key, kind in get_type_hints(RunConfig).items():
        parts = [part for part in get_args(kind) or (kind,) if is_dataclass(part)]
        if not parts:
            added |= {key} - set(OLD_KEYS[""].split())
        for part in parts:
            choice = f"{key}={get_args(part.__annotations__['name'])[0]}" if len(parts) > 1 else key
            if len(parts) == 1 or choice in OLD_KEYS:
                names = {field.name for field in fields(part)} - set(OLD_KEYS.get(choice, "").split())
                added |= {f"{key}.{name}" for name in names}
    return added


def test_a_key_that_the_schema_gains_has_a_value_that_leaves_old_ids_as_they_are() -> None:
    without_meaning = {key for key in added_keys() - LATER.keys() - NEVER if not key.startswith("data.")}
    assert without_meaning == set(), (
        "say in config/identity.py which value means what was done before, or that it never enters"
    )


def test_keys_that_were_there_from_the_beginning_enter_whatever_they_are() -> None:
    for choice, names in OLD_KEYS.items():
        group = choice.partition("=")[0]
        assert LATER.keys().isdisjoint(f"{group}.{name}" if group else name for name in names.split())


def test_the_keys_named_are_keys_of_the_schema_or_were_once() -> None:
    assert LATER.keys() | NEVER <= KEYS | LOST


def test_a_later_key_enters_only_where_it_differs_from_what_was_always_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LATER", {"loss.label_smoothing": 0.0, "swa.start": None, "swa.lr": 0.1})
    old = {"loss": {"pos_weight": None}, "epochs": 3}
    same = {"loss": {"pos_weight": None, "label_smoothing": 0.0}, "swa": {"start": None, "lr": 0.1}, "epochs": 3}
    other = {"loss": {"pos_weight": None, "label_smoothing": 0.1}, "swa": {"start": None, "lr": 0.1}, "epochs": 3}
    assert identity.select_identity(old) == identity.select_identity(same) == old
    assert identity.select_identity(other) == {"loss": {"pos_weight": None, "label_smoothing": 0.1}, "epochs": 3}


@pytest.fixture
def old_tree(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the outputs tree of 42a7ee7; its store is where stores are looked for."""
    shutil.copytree(TREE / "cache", elsewhere / "cache")
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    return Path(shutil.copytree(TREE / "outputs", elsewhere / "outputs"))


def test_old_runs_are_read(old_tree: Path) -> None:
    table = load_runs(old_tree)
    read = [(f"{run.name}-{run.id}", run.seed) for run in table.itertuples()]
    assert sorted(read) == [("cnn-0809e46ef2", 0), ("table1_20-6712d88a40", 0), ("table1_20-6712d88a40", 1)]
    for path, accuracy in zip(table["path"], table["accuracy"], strict=True):
        assert accuracy == json.loads((old_tree / path / "metrics.json").read_text("utf-8"))["test"]["accuracy"]


@pytest.mark.usefixtures("quick_pictures", "own_process")
def test_new_seeds_join_old_ones_and_are_averaged_with_them(
    old_tree: Path, cxr_run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in (old_tree / "runs").iterdir())
    images = next(old_tree.parent.glob("cache/*/images.npy"))
    decoded = images.stat()
    answer = cxr_run(*TINY, "experiment=table1_20", "epochs=2", "seed=2", "progress=lines")
    assert answer.code == 0
    assert "decoding images" not in answer.out + answer.err  # the old store was opened
    assert (images.stat().st_ino, images.stat().st_mtime_ns) == (decoded.st_ino, decoded.st_mtime_ns)
    assert sorted(path.name for path in (old_tree / "runs").iterdir()) == before
    assert call_inside(cli.report, ["cxr-report"], monkeypatch, capsys).code == 0
    (averaged,) = old_tree.rglob("configurations.csv")
    seeds = pd.read_csv(averaged).set_index("configuration")["num_seeds"]
    assert seeds.to_dict() == {"cnn-0809e46ef2": 1, "table1_20-6712d88a40": 3}


def test_an_old_run_trained_anew_is_in_its_old_directory(old_tree: Path, cxr_run: Callable[..., Answer]) -> None:
    lines = ("model=cnn", "model.hidden=4", "optimizer=adam", "optimizer.lr=1e-3", "loss.pos_weight=balanced")
    files = old_tree / "runs" / "cnn-0809e46ef2" / "seed=0"
    old = pd.read_csv(files / "predictions.csv")
    assert cxr_run(*TINY, *lines, "epochs=2", "data.split.strategy=patient", "progress=none").code == 0
    assert (files / "model.safetensors").exists()  # the tree has no weights: this run was trained anew
    new = pd.read_csv(files / "predictions.csv")
    assert new["name"].tolist() == old["name"].tolist()
    np.testing.assert_allclose(new["logit"], old["logit"], atol=1e-5)

"""cxr_runner.load: a finished run as a model that answers as it did when it was trained."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import cxr_runner
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset

TINY = {
    "data.num_images": 80,
    "data.image_size": 32,
    "epochs": 1,
    "progress": "none",
    "plots": "never",
    "device": "cpu",
    "engine": "pixel",
}
WAYS: dict[str, dict[str, object]] = {
    "linear in Gram space": {"engine": "gram", "optimizer.lr": 0.01},
    "linear on pixels": {"optimizer": "adam"},
    "linear + ReLU in Gram space": {"engine": "gram", "model": "linear_relu", "optimizer.lr": 0.01},
    "linear + ReLU on pixels": {"model": "linear_relu", "optimizer.lr": 0.01},
    "CNN": {"model": "cnn"},
    "CNN in bf16": {"model": "cnn", "precision": "bf16"},
    "ResNet-18": {"model": "resnet18", "data.image_size": 64},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a run in one of the ways, once."""
    outputs = tmp_path_factory.mktemp("outputs")
    done: dict[str, Path] = {}

    def train(way: str) -> Path:
        if way not in done:
            settings = {**TINY, **WAYS[way], "outputs": outputs}
            done[way] = cxr_runner.run(settings)
        return done[way]

    return train


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folds with two seeds of a linear model."""
    outputs = tmp_path_factory.mktemp("folds")
    more = {"data.split.folds": 2, "seeds": 2, "optimizer.lr": 0.01, "outputs": outputs}
    cxr_runner.run({**TINY, **more})
    return sorted(outputs.glob("runs/*/seed=*"))


def own_images(run: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the answers that a run left, and the images that they are about, float32 [images, 1, side, side]."""
    predictions = pd.read_csv(run / "predictions.csv")
    size = yaml.safe_load((run / "config.yaml").read_text("utf-8"))["data"]["image_size"]
    dataset = open_dataset(compose({**TINY, "data.image_size": size})[0].data, Reporter())
    rows = dataset.table.reset_index().set_index("name")["index"]
    return predictions, dataset.images[rows[predictions["name"]].to_numpy()]


def close(one: np.ndarray, other: np.ndarray) -> None:
    assert np.abs(one - other).max() <= 1e-5 * (1 + np.abs(other).max())


@pytest.mark.usefixtures("own_process")
@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.long) if way == "ResNet-18" else way for way in WAYS]
)
def test_a_loaded_run_gives_the_logits_and_the_decisions_of_its_training(
    trained: Callable[[str], Path], way: str
) -> None:
    run = trained(way)
    model = cxr_runner.load(run)
    predictions, images = own_images(run)
    table = model.predict(list(images))
    own = predictions["logit"].to_numpy()
    close(table["logit"].to_numpy(), own)
    sure = np.abs(own) > 1e-5 * (1 + np.abs(own).max())
    expected = np.where(own > 0, "PNEUMONIA", "NORMAL")
    assert (table["decision"].to_numpy() == expected)[sure | (own == 0)].all()
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-table["logit"])), rtol=1e-12)
    assert (model.class_names, model.threshold) == (("NORMAL", "PNEUMONIA"), 0.0)
    assert not model.module.training
    if "bf16" not in way:
        with torch.no_grad():
            close(model.module(model.preprocess(list(images))).numpy(), own)


def test_an_ensemble_of_folds_and_seeds_gives_the_mean_of_their_logits(folds: list[Path]) -> None:
    assert len(folds) == 4
    _, images = own_images(folds[0])
    each = np.stack([cxr_runner.load(run).predict(list(images))["logit"] for run in folds])
    model = cxr_runner.load(folds)
    table = model.predict(list(images))
    close(table["logit"].to_numpy(), each.mean(axis=0))
    close(table["spread"].to_numpy(), each.std(axis=0, ddof=1))
    with torch.no_grad():
        close(model.module(model.preprocess(list(images))).numpy(), each.mean(axis=0))
    weights = dict(model.module.named_buffers())
    assert weights["weight"].shape == (4, 32 * 32)  # each purely linear network is one map
    of_configuration = cxr_runner.load([folds[0].parent, folds[1]])
    assert [member.key for member in of_configuration.members] == [f"{folds[0].parent.name}/seed={k}" for k in (0, 1)]


def test_an_ensemble_may_have_members_of_several_kinds(trained: Callable[[str], Path]) -> None:
    runs = [trained("linear in Gram space"), trained("CNN"), trained("linear on pixels")]
    _, images = own_images(runs[0])
    each = np.stack([cxr_runner.load(run).predict(list(images))["logit"] for run in runs])
    close(cxr_runner.load(runs).predict(list(images))["logit"].to_numpy(), each.mean(axis=0))


def test_files_folders_tables_and_arrays_are_read_as_in_training(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    model = cxr_runner.load(trained("CNN"))
    grey = np.random.default_rng(0).integers(256, size=(3, 50, 40), dtype=np.uint8)
    folder = tmp_path / "a ward"
    folder.mkdir()
    for number, image in enumerate(grey):
        Image.fromarray(image).save(folder / f"{number}.png")
    Image.fromarray(grey[0].astype(np.uint16) * 257).save(folder / "deep.png")
    (folder / "list.csv").write_text("image,age\n2.png,40\n0.png,50\n")
    files = [folder / f"{number}.png" for number in range(3)]
    logits = model.predict(files)["logit"].to_numpy()
    assert model.predict(folder)["name"].tolist() == [*map(str, files), str(folder / "deep.png")]
    np.testing.assert_allclose(model.predict(folder)["logit"], [*logits, logits[0]], rtol=1e-6)
    np.testing.assert_array_equal(model.predict(list(grey))["logit"], logits)
    np.testing.assert_allclose(model.predict(grey[1] / 255)["logit"], logits[1:2], rtol=1e-6)
    by_table = model.predict(folder / "list.csv")
    assert by_table["name"].tolist() == ["2.png", "0.png"]
    np.testing.assert_allclose(by_table["logit"], logits[[2, 0]], rtol=1e-6)
    assert model.preprocess(files).shape == (3, 1, 32, 32)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (["nowhere.png"], "images=nowhere.png: there is no such file or folder"),
        ([], "images: there is none"),
        (np.zeros((1, 3, 4, 5)), "images: 0 (an array of shape (3, 4, 5), not [height, width])"),
        ([np.full((4, 4), 3.0)], "images: 0 (an array of float64, not of uint8, uint16, or floats from 0 to 1)"),
        (["text.png"], "images: text.png (not a readable JPEG, PNG, TIFF, BMP or WebP image)"),
        (["empty"], "images=empty: holds no image"),
        (["numbers.csv"], "images=numbers.csv: no column is called image or holds names of images below ."),
        (["gone.csv"], "images=a.png: no file below ."),
    ],
)
def test_images_of_no_use_are_refused_in_one_line(
    trained: Callable[[str], Path], elsewhere: Path, images: list[str], complaint: str
) -> None:
    (elsewhere / "text.png").write_text("no image")
    (elsewhere / "empty").mkdir()
    (elsewhere / "numbers.csv").write_text("a,b\n1,2\n")
    (elsewhere / "gone.csv").write_text("image\na.png\ntext.png\n")
    with pytest.raises(UserError) as refusal:
        cxr_runner.load(trained("CNN")).predict(images)
    assert str(refusal.value) == complaint


def change(run: Path, name: str, **values: object) -> None:
    """Change a file of a run as an older or newer version might have written it: without a checksum."""
    content = yaml.safe_load((run / name).read_text("utf-8"))
    (run / name).write_text(yaml.safe_dump({**content, **values}), "utf-8")
    (run / "status.json").write_text('{"state": "done"}', "utf-8")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda run: (run / "status.json").write_text('{"state": "running"}'), "is not finished: not finished"),
        (lambda run: (run / "predictions.csv").write_text("split,name\n"), "predictions.csv has changed since"),
        (lambda run: (run / "model.safetensors").unlink(), "model.safetensors is missing"),
        (
            lambda run: change(run, "config.yaml", model={"name": "transformer"}),
            "its config.yaml is of another version",
        ),
        (
            lambda run: change(run, "config.yaml", model={"name": "cnn", "hidden": 3, "kernel_size": 3}),
            "model.safetensors does not fit the model of config.yaml",
        ),
        (lambda run: [path.unlink() for path in run.iterdir()], "is not finished: status.json is missing"),
    ],
)
def test_a_run_of_no_use_is_refused_in_one_line(
    trained: Callable[[str], Path], tmp_path: Path, spoil: Callable[[Path], object], complaint: str
) -> None:
    run = tmp_path / "seed=0"
    shutil.copytree(trained("CNN"), run)
    spoil(run)
    with pytest.raises(UserError) as refusal:
        cxr_runner.load(run)
    assert str(refusal.value).startswith(f"run={run}: {complaint}")
    assert "\n" not in str(refusal.value)


def test_what_is_no_run_is_refused_in_one_line(folds: list[Path], trained: Callable[[str], Path]) -> None:
    def refusal(run: object) -> str:
        with pytest.raises(UserError) as refused:
            cxr_runner.load(run)  # type: ignore[arg-type]
        return str(refused.value)

    assert refusal("nowhere") == "run=nowhere: there is no such folder"
    assert "holds no run; name the directory of a seed" in refusal(folds[0].parent.parent)
    assert refusal([]) == "run: none is given"
    assert "device=cuda:99" in refusal_of_device(folds[0])


def refusal_of_device(run: Path) -> str:
    with pytest.raises(UserError) as refused:
        cxr_runner.load(run, device="cuda:99")
    return str(refused.value)


def test_runs_that_do_not_fit_together_are_no_ensemble(trained: Callable[[str], Path], tmp_path: Path) -> None:
    one = trained("CNN")
    other = cxr_runner.run({**TINY, "data.image_size": 16, "outputs": tmp_path})
    with pytest.raises(UserError, match=r"has other images than .*, 16x16 pixels and not 32x32 pixels: "):
        cxr_runner.load([one, other])
    more = cxr_runner.run({**TINY, "data.num_images": 88, "outputs": tmp_path})
    with pytest.raises(UserError, match="has other training images than"):
        cxr_runner.load([one, more])


def test_the_readme_of_a_run_says_how_to_load_it(trained: Callable[[str], Path], tmp_path: Path) -> None:
    run = tmp_path / "seed=0"
    shutil.copytree(trained("CNN"), run)
    Image.new("L", (40, 50)).save(run / "image.png")
    text = (run / "README.txt").read_text("utf-8")
    assert "cnn, 10 filters 3x3" in text
    assert "32x32 pixels" in text
    assert "above 0 it\nsays PNEUMONIA, else NORMAL. Not for clinical use." in text
    code = text[text.index("import cxr_runner") : text.index("The same from a shell")]
    assert len(code.split()) > 5
    answer = subprocess.run([sys.executable, "-c", code], cwd=run, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert "image.png" in answer.stdout
    assert "('NORMAL', 'PNEUMONIA') 0.0" in answer.stdout


def test_a_run_from_before_there_was_a_readme_is_loaded(trained: Callable[[str], Path], tmp_path: Path) -> None:
    run = tmp_path / "seed=0"
    shutil.copytree(trained("CNN"), run)
    (run / "README.txt").unlink()
    assert cxr_runner.load(run).image_size == 32

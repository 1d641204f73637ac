"""cxr-model predict: files, folders, tables and data sets in, a table of what a model says of them out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cxr_runner
from conftest import Answer
from cxr_runner.data.dataset import Dataset
from model_runs import first_fold

Command = Callable[..., Answer]


@pytest.fixture
def runs(model_folds: list[Path]) -> list[Path]:
    """Two folds of a linear model."""
    return model_folds


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """The images that the first fold was trained and tested on."""
    return first_fold()


@pytest.fixture(scope="module")
def ward(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images that were trained on, as they were, nearly as they were, and inverted; and a text."""
    folder = tmp_path_factory.mktemp("ward")
    for number, row in enumerate(dataset.rows("train")[:4]):
        Image.fromarray(dataset.images[row]).save(folder / f"same{number}.png")
    for number, row in enumerate(dataset.rows("val")[:3]):
        Image.fromarray(dataset.images[row]).save(folder / f"near{number}.jpg", quality=60)
    for number, row in enumerate(dataset.rows("test")[:5]):
        Image.fromarray(255 - dataset.images[row]).save(folder / f"inverted{number}.png")
    Image.fromarray(dataset.images[dataset.rows("test")[0]].astype(np.uint16) * 16).save(folder / "deep.png")
    (folder / "text.jpg").write_text("no image")
    return folder


@pytest.fixture
def first(runs: list[Path]) -> Path:
    """The run of the first fold."""
    return runs[0]


def test_a_folder_becomes_a_table_that_says_what_was_seen_before_and_what_is_unlike(
    first: Path, ward: Path, cxr_model: Command, elsewhere: Path
) -> None:
    answer = cxr_model("predict", first, "--", ward)
    assert (answer.code, answer.err) == (0, "")
    table = pd.read_csv(elsewhere / "predictions.csv", keep_default_na=False).set_index("name")
    assert list(table) == ["logit", "probability", "decision", "overlap", "unlike", "error"]
    table.index = table.index.str.removeprefix(f"{ward}/")
    overlap = table["overlap"].to_dict()
    assert {overlap[f"same{number}.png"] for number in range(4)} == {"the same"}
    assert {overlap[f"near{number}.jpg"] for number in range(3)} == {"nearly the same"}
    assert "the same" not in {overlap[f"inverted{number}.png"] for number in range(5)}
    assert all("inverted" in table["unlike"][f"inverted{number}.png"] for number in range(5))
    assert "16 bits" in table["unlike"]["deep.png"]
    assert overlap["deep.png"] != "the same"  # of the test split: the model has not seen it
    assert table.loc["text.jpg"].to_list() == ["", "", "", "", "", "not a readable JPEG, PNG, TIFF, BMP or WebP image"]
    files = sorted(ward.glob("[sni]*"))
    expected = cxr_runner.load(first).predict([file for file in files if file.name != "text.jpg"])
    shown = table.loc[[file.name for file in files], ["logit", "probability"]].astype(float)
    np.testing.assert_allclose(shown, expected[["logit", "probability"]], rtol=1e-6)
    assert table.loc[[file.name for file in files], "decision"].tolist() == expected["decision"].tolist()
    lines = answer.out.splitlines()
    assert any(line.startswith("13 images: ") for line in lines)
    assert any(" of 13 images were in the training set (train or val): 4 the same, " in line for line in lines)
    assert any("5 inverted" in line and "1 of more than 8 bits, which it has none of" in line for line in lines)
    assert f"1 image could not be read: {ward / 'text.jpg'} (not a readable JPEG" in answer.out
    assert lines[-1] == "predictions: predictions.csv"
    assert [path.name for path in elsewhere.iterdir()] == ["predictions.csv"]


def test_several_runs_are_an_ensemble_whose_members_spread(
    runs: list[Path], ward: Path, cxr_model: Command, elsewhere: Path
) -> None:
    answer = cxr_model("predict", *runs, "--out", "both.csv", "--device", "cpu", "--", ward / "same0.png")
    assert answer.code == 0, answer.err
    table = pd.read_csv(elsewhere / "both.csv")
    each = [cxr_runner.load(run).predict(ward / "same0.png")["logit"].item() for run in runs]
    assert table["logit"].item() == pytest.approx(np.mean(each), rel=1e-5)
    assert table["spread"].item() == pytest.approx(np.std(each, ddof=1), rel=1e-4)
    assert "2 runs, the mean of their logits" in answer.out


def test_a_data_set_is_predicted_at_the_size_of_the_model(
    first: Path, dataset: Dataset, cxr_model: Command, elsewhere: Path
) -> None:
    answer = cxr_model("predict", first, "data=phantom", "data.num_images=80")
    assert answer.code == 0, answer.err
    table = pd.read_csv(elsewhere / "predictions.csv", keep_default_na=False).set_index("name")
    own = pd.read_csv(first / "predictions.csv").set_index("name")["logit"]
    np.testing.assert_allclose(table.loc[own.index, "logit"], own, atol=1e-5)
    assert "the same" not in set(table.loc[dataset.names("test"), "overlap"])
    assert set(table.loc[dataset.names("val"), "overlap"]) == {"the same"}


def test_images_that_are_gone_are_no_reason_not_to_predict(
    tmp_path: Path, ward: Path, cxr_model: Command, elsewhere: Path
) -> None:
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        (tmp_path / "xrays" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.random.default_rng(number + 100 * label).integers(256, size=(32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "xrays" / name / f"{number}.png")
    data = {"data": "folder", "data.root": tmp_path / "xrays", "data.image_size": 32, "epochs": 1, "plots": "never"}
    run = cxr_runner.run(data, engine="pixel", device="cpu", outputs=tmp_path / "outputs")
    (tmp_path / "xrays").rename(tmp_path / "elsewhere else")
    answer = cxr_model("predict", run, "--", ward / "same0.png")
    assert answer.code == 0, answer.err
    assert "the training images are not here, so that no image was compared with them (data.root=" in answer.out
    assert "overlap" not in pd.read_csv(elsewhere / "predictions.csv")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("RUN",), "predict: give either -- and files, folders or tables that name images, or data=... of a data set"),
        (("RUN", "data=phantom", "--", "WARD"), "predict: give either --"),
        (("--", "WARD"), "predict: needs a run, e.g. outputs/runs/linear-0123456789/seed=0"),
        (("seed=7", "--", "WARD"), "run=seed=7: there is no such folder"),
        (
            ("RUN", "model=cnn", "--", "WARD"),
            "model=cnn: KEY=VALUE is for data here, such as",
        ),
        (("RUN", "data=phantom", "data.image_size=32"), "data.image_size=32: the model takes images of 64"),
        (("RUN", "data=folder", "data.root=nowhere"), "data.root="),
        (("RUN", "--", "WARD/text.jpg"), "predict: no image can be read: "),
        (("RUN", "--", "nowhere"), "images=nowhere: there is no such file or folder"),
        (("RUN", "--out", "no/such/folder.csv", "--", "WARD"), "--out=no/such/folder.csv: cannot write there"),
        (("RUN", "--device", "gpu", "--", "WARD"), "device=gpu: valid are auto, cpu, cuda, cuda:N and mps"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    first: Path, ward: Path, cxr_model: Command, elsewhere: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    places = {"RUN": str(first), "WARD": str(ward), "WARD/text.jpg": str(ward / "text.jpg")}
    answer = cxr_model("predict", *(places.get(word, word) for word in arguments))
    assert answer.code == 2
    assert answer.err.startswith(f"cxr-model: {complaint}"), answer.err
    assert answer.err.count("\n") == 1
    assert list(elsewhere.iterdir()) == []

"""cxr-model explain: weights as pictures, what adds up to a logit, the training images behind it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score
from torch import nn

import cxr_runner
from conftest import Answer
from cxr_runner import stats
from cxr_runner.artifacts.explanation_file import find_explanations
from cxr_runner.base.checked_json import read_checked_json, write_checked_json
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.config.schema import CNNConfig, LinearConfig, LinearReLUConfig
from cxr_runner.data.dataset import open_dataset
from cxr_runner.data.quality.outskirts import outskirts
from cxr_runner.inference.explain.asked_images import images_of_test
from cxr_runner.inference.explain.explanation import explain
from cxr_runner.inference.explain.network_maps import grad_cam, integrated_gradients, linear_map, local_map
from cxr_runner.inference.explain.weight_pictures import region_shares
from cxr_runner.inference.run_data import open_run_data
from cxr_runner.models.build import build_model
from cxr_runner.report.collected import Withheld
from cxr_runner.report.report_options import ReportOptions
from cxr_runner.report.write import write_report

Command = Callable[..., Answer]
NOT_SAID = "the reason, which may name images, is said without --hide-names"
SIDE = 32
TINY: dict[str, Any] = {
    "data.num_images": 80,
    "data.image_size": SIDE,
    "epochs": 6,
    "batch_size": 8,
    "progress": "none",
    "plots": "never",
    "device": "cpu",
}
MOVING = {"optimizer.lr": 0.003, "optimizer.momentum": 0.9, "optimizer.weight_decay": 0.01, "engine": "gram"}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a linear model and one of linear+ReLU in Gram space, and a CNN."""
    folder = tmp_path_factory.mktemp("explain") / "outputs"
    cxr_runner.run({**TINY, **MOVING, "epochs": 20, "seeds": 2, "outputs": folder, "name": "line"})
    cxr_runner.run(
        {**TINY, **MOVING, "model": "linear_relu", "model.output_relu": False, "outputs": folder, "name": "relu"}
    )
    cxr_runner.run({**TINY, "epochs": 1, "data.split.folds": 2, "outputs": folder, "name": "fold"})
    cxr_runner.run({**TINY, "epochs": 1, "model": "cnn", "optimizer.lr": 0.1, "outputs": folder, "name": "conv"})
    return folder


@pytest.fixture
def copied(outputs: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(outputs, tmp_path / "outputs"))


def runs_of(outputs: Path, name: str) -> list[Path]:
    return sorted(outputs.glob(f"runs/{name}-*/seed=*"))


def exact_logits(run: Path, squares: np.ndarray) -> np.ndarray:
    """Return the logits of a run in Gram space from weights that are formed here in float64: W = c W0 + A X."""
    model = cxr_runner.load(run)
    state = load_file(run / "gram.safetensors")
    (data,) = open_run_data(model.parts.runs, Reporter())
    train = data.dataset.images[data.dataset.rows("train")].reshape(-1, SIDE**2) / 255
    config, network = model.members[0].config, model.members[0].network
    first = build_model(config, SIDE, seed=int(run.name[5:])).layer_stack[1].weight.detach().double().numpy()
    weight = float(state["trained.decay"]) * first + state["trained.coordinates"].numpy().T @ train
    shapes = [network.layer_stack[1].bias.shape, *(one.shape for one in list(network.layer_stack[2:].parameters()))]
    parts = np.split(state["trained.rest"].numpy(), np.cumsum([shape.numel() for shape in shapes])[:-1])
    values = squares.reshape(len(squares), -1) / 255 @ weight.T + parts[0]
    layers = iter(zip(parts[1::2], parts[2::2], shapes[1::2], strict=True))
    for layer in network.layer_stack[2:]:
        if isinstance(layer, nn.ReLU):
            values = np.maximum(values, 0)
        else:
            matrix, bias, shape = next(layers)
            values = values @ matrix.reshape(shape).T + bias
    return values[:, 0]


def explained(runs: list[Path], cxr_model: Command, *arguments: object) -> tuple[Path, dict[str, Any]]:
    answer = cxr_model("explain", *runs, *arguments)
    assert (answer.code, answer.err) == (0, ""), answer.err
    path = Path(re.search(r"explanations: (.*);", answer.out)[1]) / "explanation.json"
    content, intact = read_checked_json(path)
    assert intact
    return path.parent, content


def test_the_training_images_behind_a_logit_add_up_to_it_whether_it_is_known_or_foreign(
    copied: Path, cxr_model: Command, tmp_path: Path, quick_pictures: None
) -> None:
    foreign = np.random.default_rng(1).integers(256, size=(2, SIDE, SIDE), dtype=np.uint8)
    for number, square in enumerate(foreign):
        Image.fromarray(square).save(tmp_path / f"{number}.png")
    for name in ("line", "relu"):
        for run in runs_of(copied, name)[:1]:
            model = cxr_runner.load(run)
            data = open_run_data(model.parts.runs, Reporter())
            known = [one.square for one in images_of_test(model, data)]
            for squares, arguments in ((known, []), (list(foreign), ["--", tmp_path / "0.png", tmp_path / "1.png"])):
                folder, content = explained([run], cxr_model, *arguments)
                terms = pd.read_csv(folder / "contributions.csv")
                logits = exact_logits(run, np.stack(squares))
                assert len(content["images"]) == len(squares) >= 2
                for one, logit in zip(content["images"], logits, strict=True):
                    pushes = terms.loc[terms["image"] == one["number"], "push"]
                    assert len(pushes) == one["training"]["images"] == 56
                    rest = sum(one["training"][key] for key in ("mean", "start", "common"))
                    assert abs(pushes.sum() + rest - logit) < 1e-9
                    assert abs(one["training"]["sum"] - logit) < 1e-9
                    assert one["logit"] == pytest.approx(logit, abs=1e-4)  # of weights in float32
                assert (np.abs(logits) > 1e-3).any()


def test_an_ensemble_adds_up_too_and_asks_only_runs_that_have_not_seen_an_image(
    copied: Path, cxr_model: Command, quick_pictures: None
) -> None:
    seeds = runs_of(copied, "line")
    folder, content = explained(seeds, cxr_model)
    assert folder.parent.name.startswith("ensemble-")
    model = cxr_runner.load(seeds)
    squares = np.stack([one.square for one in images_of_test(model, open_run_data(model.parts.runs, Reporter()))])
    logits = np.mean([exact_logits(run, squares) for run in seeds], axis=0)
    assert [one["training"]["sum"] for one in content["images"]] == pytest.approx(logits, abs=1e-9)
    folds = cxr_runner.load(runs_of(copied, "fold"))
    data = open_run_data(folds.parts.runs, Reporter())
    for one in images_of_test(folds, data):
        assert [one.name in part.dataset.names("test") for part in data] == [n in one.members for n in range(2)]
        assert len(one.members) == 1


def test_errors_come_first_the_most_wrong_of_all_and_then_the_most_certain_of_each_class(outputs: Path) -> None:
    (run,) = runs_of(outputs, "conv")
    model = cxr_runner.load(run)
    chosen = images_of_test(model, open_run_data(model.parts.runs, Reporter()))
    table = pd.read_csv(run / "predictions.csv").query("split == 'test'")
    signed = np.where(table["label"] == 1, table["logit"], -table["logit"])
    wrong = table.assign(signed=signed)[(table["logit"] > 0) != (table["label"] == 1)].sort_values("signed")
    assert [one.name for one in chosen if one.why == "most wrong"] == wrong["name"].tolist()[:3]
    for one in chosen:
        if one.why != "most wrong":
            of_class = table[(table["label"] == one.label) & ~table["name"].isin(wrong["name"])]
            best = of_class["logit"].max() if one.label else of_class["logit"].min()
            assert of_class.set_index("name")["logit"][one.name] == best


def test_weights_are_the_map_that_the_ensemble_is_and_what_is_the_same_in_all_runs_is_a_t_test(outputs: Path) -> None:
    seeds = runs_of(outputs, "line")
    model = cxr_runner.load(seeds)
    data = open_run_data(model.parts.runs, Reporter())
    weights = explain(model, [], data, Reporter()).weights
    squares = np.random.default_rng(0).integers(256, size=(3, SIDE, SIDE), dtype=np.uint8)
    pixels = np.tensordot(squares / 255, weights.mean, axes=2)
    test, frame = data[0].dataset.images[data[0].dataset.rows("test")] / 255, outskirts(SIDE)["frame"]
    outer = (test[:, frame] * weights.mean[frame]).sum(axis=1)
    assert weights.aurocs["frame"] == pytest.approx(roc_auc_score(data[0].dataset.labels("test"), outer))
    assert set(weights.aurocs) == {"ring", "frame", "corners", "inside"}
    logits = model.member_logits(squares).mean(axis=1)
    assert np.ptp(logits - pixels) < 1e-5 < np.ptp(logits)
    expected = ttest_1samp(weights.maps, 0, axis=0).pvalue < 0.05
    np.testing.assert_array_equal(weights.same != 0, expected)
    for run, whole, learned in zip(seeds, weights.maps, weights.learned, strict=True):
        state, network = load_file(run / "gram.safetensors"), model.members[seeds.index(run)].network
        first = build_model(model.members[0].config, SIDE, seed=int(run.name[5:])).layer_stack[1].weight
        left = float(state["trained.decay"]) * network.layer_stack[2].weight.double() @ first.double()
        np.testing.assert_allclose(whole, learned + left.detach().numpy().reshape(SIDE, SIDE), atol=1e-7)


@pytest.mark.parametrize("family", ["cnn", "linear_relu"])
def test_attributions_are_those_of_captum(family: str) -> None:
    attr = pytest.importorskip("captum.attr")
    config = CNNConfig("cnn", 4, 3) if family == "cnn" else LinearReLUConfig("linear_relu", 3, 6, False)
    network = build_model(config, SIDE, seed=3).eval()
    image, start = np.random.default_rng(0).random((2, SIDE, SIDE)).astype(np.float32)
    given, begin = (torch.from_numpy(one)[None, None] for one in (image, start))
    oracle = attr.IntegratedGradients(network).attribute(given, begin, n_steps=64, method="riemann_middle")
    own = integrated_gradients(network, image, start, steps=64)
    np.testing.assert_allclose(own.picture, oracle[0, 0].detach().numpy(), atol=1e-6)
    with torch.no_grad():
        missing = own.picture.sum() + own.start - float(network(given))
    assert own.error == pytest.approx(missing, abs=1e-9)
    assert abs(own.error) < 1e-2 * np.abs(own.picture).sum()
    if family == "linear_relu":
        np.testing.assert_array_equal(
            local_map(network, image), attr.Saliency(network).attribute(given.requires_grad_(), abs=False)[0, 0]
        )
        assert grad_cam(network, image, positive=True) is None
        return
    layer = network.block_2[2]
    for positive in (True, False):
        signed = network if positive else lambda images: -network(images)
        method = attr.LayerGradCam(signed, layer)
        oracle = attr.LayerAttribution.interpolate(
            method.attribute(given, relu_attributions=True), (SIDE, SIDE), "bilinear"
        )
        np.testing.assert_allclose(grad_cam(network, image, positive=positive), oracle[0, 0].detach(), atol=1e-7)


class Rectified(nn.Module):
    """Linear layers with a ReLU that no list of its layers shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(SIDE**2, 3), nn.Linear(3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(images.flatten(1)).relu())[:, 0]


def test_a_network_is_one_linear_map_only_where_it_answers_like_one() -> None:
    linear = build_model(LinearConfig("linear", 3, 5), SIDE, seed=0).eval()
    weight, bias = linear_map(linear, SIDE)
    images = torch.rand(3, 1, SIDE, SIDE)
    expected = (images[:, 0].double() * torch.from_numpy(weight)).sum(dim=(1, 2)) + bias
    torch.testing.assert_close(linear(images).double(), expected, atol=1e-5, rtol=0)
    assert next(linear.parameters()).dtype == torch.float32
    torch.manual_seed(0)
    assert linear_map(Rectified(), SIDE) is None
    assert linear_map(build_model(LinearReLUConfig("linear_relu", 2, 5, True), SIDE, seed=0), SIDE) is None


def test_the_outskirts_are_the_frame_of_an_audit_its_corners_and_the_outermost_pixels() -> None:
    masks = outskirts(32)
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    assert counts == {"ring": 4 * 31, "frame": 32**2 - 24**2, "corners": 4 * 4**2}
    assert (masks["corners"] <= masks["frame"]).all()
    picture = np.zeros((32, 32))
    picture[0, 0], picture[10, 2], picture[16, 16] = -1, 2, 1
    assert region_shares([picture]) == {"ring": 0.25, "frame": 0.75, "corners": 0.25}


def test_structure_is_measured_by_neighbours_and_by_pairs() -> None:
    random = np.random.default_rng(0)
    pictures = random.normal(size=(3, 6, 9))
    one = pictures[0] - pictures[0].mean()
    pairs = [
        (one[i, j], one[k, m])
        for i in range(6)
        for j in range(9)
        for k, m in ((i + 1, j), (i, j + 1))
        if k < 6 and m < 9
    ]
    assert stats.morans_i(pictures[0]) == pytest.approx(np.mean([a * b for a, b in pairs]) / np.mean(one**2))
    assert np.isnan(stats.morans_i(np.ones((4, 4))))
    expected = np.corrcoef(pictures.reshape(3, -1))[[0, 0, 1], [1, 2, 2]].mean()
    assert stats.picture_agreement(pictures) == pytest.approx(expected)
    assert np.isnan(stats.picture_agreement(pictures[:1]))
    large = random.random((50, 50))
    np.testing.assert_allclose(stats.reduced(large, 50), large)
    np.testing.assert_allclose(stats.reduced(np.kron(large, np.ones((2, 2))), 50), large)
    blocks = np.kron(large, np.ones((32, 32))).reshape(32, 50, 32, 50)  # 50 pixels shared out among 32
    np.testing.assert_allclose(stats.reduced(large, 32), blocks.mean(axis=(1, 3)))


def test_every_file_that_hides_names_names_no_image(copied: Path, cxr_model: Command, quick_pictures: None) -> None:
    runs = runs_of(copied, "line")
    names = set(pd.read_csv(runs[0] / "predictions.csv")["name"])
    folder, content = explained(runs, cxr_model, "--hide-names")
    text = (folder / "explanation.json").read_text() + "".join(one.read_text() for one in folder.glob("*.csv"))
    assert content["names_hidden"] is True
    assert not [name for name in names if name in text]
    assert [one["name"] for one in content["images"]] == [f"image {n}" for n in range(1, len(content["images"]) + 1)]
    folder, content = explained(runs, cxr_model)
    assert {one["name"] for one in content["images"]} <= names
    assert not list(folder.parent.glob(".*tmp*"))
    expected = {"explanation.json", "images.csv", "contributions.csv", "weights.png", "images.png"}
    expected |= {f"training_{one['number']}.png" for one in content["images"]}
    assert {path.name for path in folder.iterdir()} == expected


def test_pictures_are_drawn_of_weights_of_images_and_of_the_training_images_behind_them(
    copied: Path, cxr_model: Command, tmp_path: Path
) -> None:
    Image.fromarray(np.arange(SIDE**2, dtype=np.uint8).reshape(SIDE, SIDE)).save(tmp_path / "one.png")
    folder, _ = explained(runs_of(copied, "line"), cxr_model, "--", tmp_path / "one.png")
    pictures = {path.name: Image.open(path).convert("RGB") for path in folder.glob("*.png")}
    assert sorted(pictures) == ["images.png", "training_1.png", "weights.png"]
    for name, picture in pictures.items():
        colors = np.asarray(picture).astype(int)
        assert (np.ptp(colors, axis=2) > 60).any() == (name != "training_1.png"), (
            name
        )  # signed colours; X-rays are grey
        assert min(picture.size) > 200


def test_a_network_with_convolutions_shows_where_it_looks_and_says_why_no_training_images_are_behind_it(
    copied: Path, cxr_model: Command
) -> None:
    (run,) = runs_of(copied, "conv")
    answer = cxr_model("explain", run)
    assert answer.code == 0, answer.err
    assert "no training images stand behind these: the run was not trained in Gram space" in answer.out
    content, _ = read_checked_json(run / "explanations" / "explanation.json")
    assert {one["focus"]["kind"] for one in content["images"]} == {"Grad-CAM"}
    assert content["weights"] is None
    assert {path.name for path in (run / "explanations").iterdir()} == {"explanation.json", "images.csv", "images.png"}


def test_what_cannot_be_explained_is_refused_in_one_line_and_nothing_is_left(
    copied: Path, cxr_model: Command, tmp_path: Path
) -> None:
    (run,) = runs_of(copied, "conv")
    (tmp_path / "bad.png").write_bytes(b"no image")
    many = tmp_path / "many"
    many.mkdir()
    for number in range(21):
        Image.new("L", (8, 8)).save(many / f"{number}.png")
    data = json.loads((run / "data.json").read_text())
    assert data["synthetic"]
    cases = {
        ("data=phantom",): "explain: takes runs and, behind --, files, folders or tables that name images; no data=...",
        ("--", tmp_path / "bad.png"): "bad.png",
        ("--", tmp_path / "none.png"): "there is no such file or folder",
        ("--", many): "images: 21 are given, at most 20 are explained at once",
        ("--out", "x"): "explain: --out is a flag of cxr-model predict and export",
    }
    for arguments, said in cases.items():
        answer = cxr_model("explain", run, *arguments)
        assert (answer.code, answer.out.splitlines()[1:]) == (2, []), answer
        assert said in answer.err
        assert len(answer.err.splitlines()) == 1
    assert not (run / "explanations").exists()
    answer = cxr_model("predict", run, "--hide-names", "--", many)
    assert answer.err.strip() == "cxr-model: predict: --hide-names is a flag of cxr-model explain"


def test_a_folder_that_was_handed_on_shows_its_weights_and_explains_images_from_black(
    copied: Path, cxr_model: Command, tmp_path: Path, quick_pictures: None
) -> None:
    assert cxr_model("export", *runs_of(copied, "line"), "--format", "hub", "--out", tmp_path / "handed").code == 0
    shutil.rmtree(copied)
    _, content = explained([tmp_path / "handed"], cxr_model)
    assert (content["images"], content["weights"]["learned"]) == ([], None)
    Image.new("L", (40, 40), 90).save(tmp_path / "grey.png")
    _, content = explained([tmp_path / "handed"], cxr_model, "--", tmp_path / "grey.png")
    (one,) = content["images"]
    assert content["begins_at"] == "a black image"
    assert (one["training"], content["no_influences"]) == (
        None,
        "the images of the runs: a folder that was handed on comes without them",
    )
    assert abs(one["completeness_error"]) < 1e-12


def test_the_report_shows_the_reference_and_the_best_and_withholds_what_it_is_asked_to(
    copied: Path, cxr_model: Command, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    Image.new("L", (SIDE, SIDE), 90).save(tmp_path / "secret.png")
    for name in ("line", "relu", "conv"):
        folder, _ = explained(runs_of(copied, name), cxr_model, "--", tmp_path / "secret.png")
    (folder / "images.png").write_bytes(b"no picture")  # is left out
    request.getfixturevalue("quick_pictures")

    def page(**withheld: bool) -> str:
        options = ReportOptions(baseline="conv")
        write_report(copied, tmp_path / "report", withheld=Withheld(**withheld), options=options)
        html = (tmp_path / "report" / "index.html").read_text("utf-8")
        return html.partition("Why the models say")[2].partition("<h3>")[0]

    shown = page()
    best = cxr_runner.load_runs(copied).groupby("name")["val_accuracy"].mean()
    assert best.drop("line").max() < best["line"]
    assert re.findall("<h4>(.*)</h4>", shown) == ["conv", "line"]
    assert shown.count("data:image/jpeg") == 3
    assert "single training images add" in shown
    assert "secret.png" in shown
    assert "secret.png" in (tmp_path / "report" / "report.md").read_text("utf-8")
    for withheld in ({"names": True}, {"images": True}):
        shown = page(**withheld)
        assert "Weights of 2 runs" in shown
        assert "secret.png" not in shown
        assert shown.count("data:image/jpeg") == 1


def test_what_is_wrong_with_the_images_of_a_run_is_said_and_names_none_where_names_are_hidden(
    cxr_model: Command, tmp_path: Path, quick_pictures: None
) -> None:
    for label, number in (("A", 20), ("B", 20)):
        for one in range(number):
            (tmp_path / "wards" / label).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(one).integers(256, size=(SIDE, SIDE), dtype=np.uint8)
            Image.fromarray(pixels + (label == "B")).save(tmp_path / "wards" / label / f"{label}smith{one}.png")
    settings = {key: value for key, value in TINY.items() if key != "data.num_images"} | {"epochs": 1}
    settings |= {"data": "folder", "data.root": tmp_path / "wards", "data.positive": "B"}
    run, compact = (
        cxr_runner.run({**settings, "save": save, "engine": "gram", "outputs": tmp_path / save})
        for save in ("full", "compact")
    )
    (tmp_path / "wards" / "A" / "Asmith3.png").write_bytes(b"no image")
    answer = cxr_model("explain", run)
    assert (
        "no image is explained: the images of the runs: data.on_bad_image=error: 1 images cannot be read" in answer.out
    )
    assert "Asmith3.png" in (run / "explanations" / "explanation.json").read_text()
    assert read_checked_json(run / "explanations" / "explanation.json")[0]["images"] == []
    answer = cxr_model("explain", run, "--hide-names")
    assert answer.code == 0
    assert "smith" not in answer.out + (run / "explanations" / "explanation.json").read_text()
    # One without weights cannot even be loaded.
    assert "Asmith3.png" in cxr_model("explain", compact).err
    assert (
        cxr_model("explain", compact, "--hide-names").err
        == f"cxr-model: explain: the runs cannot be loaded; {NOT_SAID}\n"
    )
    many = [tmp_path / "wards" / "B"] * 2
    for given, said in (([tmp_path / "wards" / "A"], "Asmith3.png"), ([tmp_path / "smith.png"], "smith"), (many, "40")):
        open_answer, answer = (cxr_model("explain", run, *flags, "--", *given) for flags in ((), ("--hide-names",)))
        assert (open_answer.code, answer.code) == (2, 2)
        assert said in open_answer.err
        assert "smith" not in answer.out + answer.err
        assert answer.err == f"cxr-model: explain: its images cannot be read; {NOT_SAID}\n"


def test_a_network_without_images_says_no_name_of_its_data_where_names_are_hidden(
    copied: Path, cxr_model: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_of(copied, "conv")
    monkeypatch.setattr("cxr_runner.inference.run_data.open_run_data", lambda *_: "smith3.png cannot be read")
    assert "smith3.png" in cxr_model("explain", run).err
    answer = cxr_model("explain", run, "--hide-names")
    said = "cxr-model: explain: the images of the runs are not here; name some behind --\n"
    assert (answer.code, answer.err) == (2, said)


def test_an_explanation_that_was_changed_or_is_of_former_weights_is_not_shown(
    copied: Path, cxr_model: Command, quick_pictures: None
) -> None:
    folder, _ = explained(runs_of(copied, "line"), cxr_model)
    assert len(list(find_explanations(copied))) == 1
    path = folder / "explanation.json"
    content, _ = read_checked_json(path)
    path.write_text(path.read_text().replace("most wrong", "all right"))
    assert list(find_explanations(copied)) == []
    content["model"]["weights"][content["model"]["runs"][0]] = "0" * 16  # as of a run that was trained anew
    write_checked_json(path, content)
    assert list(find_explanations(copied)) == []


def permuted_halves(folder: Path, seed: int | None) -> np.ndarray:
    """Train on each half of some phantoms, their labels as they are or permuted; return what was learned, reduced."""
    dataset = open_dataset(compose({"data.num_images": 160, "data.image_size": SIDE})[0].data, Reporter())
    rows, labels = dataset.table.index.to_numpy(), dataset.table["label"].to_numpy()
    if seed is not None:
        labels = np.random.default_rng(seed).permutation(labels)
    for row, label in zip(rows, labels, strict=True):
        place = folder / "images" / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[row]).save(place / f"{row}.png")
    settings = {key: value for key, value in {**TINY, **MOVING}.items() if key != "data.num_images"}
    settings |= {"epochs": 20, "data.split.folds": 2, "data.split.strategy": "random"}
    cxr_runner.run(
        {
            "data": "folder",
            "data.root": folder / "images",
            "data.positive": "class1",
            **settings,
            "outputs": folder / "outputs",
        }
    )
    model = cxr_runner.load(runs_of(folder / "outputs", "linear"))
    weights = explain(model, [], open_run_data(model.parts.runs, Reporter()), Reporter()).weights
    return np.stack([stats.reduced(one, 16) for one in weights.learned])


@pytest.mark.long
def test_what_runs_on_other_images_agree_on_is_gone_when_the_labels_are_permuted(tmp_path: Path) -> None:
    # The data randomization test of Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
    agreement = stats.picture_agreement(permuted_halves(tmp_path / "true", None))
    permuted = [stats.picture_agreement(permuted_halves(tmp_path / f"{seed}", seed)) for seed in range(2)]
    assert agreement > 0.5 > 0.3 > np.mean(permuted)

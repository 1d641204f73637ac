"""cxr-model export: a model for other programs, and a folder that another hospital is handed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import UserError
from model_runs import first_fold

Command = Callable[..., Answer]
TINY = {
    "data.num_images": 80,
    "data.image_size": 32,
    "epochs": 1,
    "progress": "none",
    "plots": "never",
    "device": "cpu",
}
WAYS: dict[str, dict[str, object]] = {
    "linear_relu": {"model": "linear_relu"},
    "cnn": {"model": "cnn"},
    "cnn in bf16": {"model": "cnn", "precision": "bf16"},
    "resnet18": {"model": "resnet18", "data.image_size": 64},
}


def images(side: int, number: int) -> np.ndarray:
    return np.random.default_rng(1).integers(256, size=(number, side, side), dtype=np.uint8)


def check_exports(runs: list[Path], side: int, cxr_model: Command, elsewhere: Path, tolerance: float = 1e-5) -> None:
    """Export in both forms; compare one image, and several at once, with the model and with each other."""
    import onnxruntime

    for form in ("pt2", "onnx"):
        answer = cxr_model("export", *runs, "--format", form)
        assert (answer.code, answer.err) == (0, "")
        assert f"exported: model.{form}; by " in answer.out
    assert sorted(path.name for path in elsewhere.iterdir()) == ["model.onnx", "model.pt2"]
    program = torch.export.load(elsewhere / "model.pt2").module()
    session = onnxruntime.InferenceSession(elsewhere / "model.onnx", providers=["CPUExecutionProvider"])
    model = cxr_runner.load(runs)
    for number in (1, 7):
        squares = images(side, number)
        given = squares[:, None].astype(np.float32) / np.float32(255)
        own = model.predict(list(squares))
        with torch.no_grad():
            answers = {"pt2": program(torch.from_numpy(given)), "onnx": session.run(None, {"image": given})}
        for logit, probability in answers.values():
            assert np.abs(np.asarray(logit) - own["logit"]).max() <= tolerance * (1 + own["logit"].abs().max())
            np.testing.assert_allclose(np.asarray(probability), own["probability"], atol=tolerance)


def test_an_ensemble_of_linear_models_is_one_map_that_gives_the_same_answers(
    model_copy: list[Path], cxr_model: Command, elsewhere: Path
) -> None:
    assert cxr_model("calibrate", *model_copy, "--threshold", "youden", "--calibration", "sigmoid").code == 0
    check_exports(model_copy, 64, cxr_model, elsewhere)
    assert (elsewhere / "model.onnx").stat().st_size < 2 * 64 * 64 * 4
    import onnx

    model = cxr_runner.load(model_copy)
    extra = {"cxr_runner.json": ""}
    torch.export.load(elsewhere / "model.pt2", extra_files=extra)
    said = json.loads(extra["cxr_runner.json"])
    properties = {one.key: one.value for one in onnx.load(elsewhere / "model.onnx").metadata_props}
    assert {key: json.loads(properties[key]) for key in ("decision", "class_names")} == {
        key: said[key] for key in ("decision", "class_names")
    }
    assert said["class_names"] == ["NORMAL", "PNEUMONIA"]
    assert said["decision"]["positive_above_logit"] == model.threshold
    assert said["decision"]["threshold"] == "youden"
    assert said["not_for_clinical_use"] is True
    assert said["input"]["shape"] == ["batch", 1, 64, 64]
    fingerprints = [json.loads((run / "metrics.json").read_text())["data_fingerprint"] for run in model_copy]
    assert said["trained_on"]["fingerprints"] == sorted(fingerprints)
    assert said["networks"] == [f"{run.parent.name}/{run.name}" for run in model_copy]


@pytest.mark.parametrize("way", [pytest.param(way, marks=pytest.mark.long) for way in WAYS])
def test_a_model_of_every_family_gives_the_same_answers_elsewhere(
    way: str, cxr_model: Command, elsewhere: Path, tmp_path: Path
) -> None:
    run = cxr_runner.run({**TINY, **WAYS[way], "engine": "pixel", "outputs": tmp_path / "outputs"})
    side = 64 if way == "resnet18" else 32
    check_exports([run], side, cxr_model, elsewhere, 0.02 if "bf16" in way else 1e-5)


def test_a_folder_that_is_handed_on_answers_without_the_runs_and_without_their_images(
    model_copy: list[Path], cxr_model: Command, elsewhere: Path, tmp_path: Path
) -> None:
    assert cxr_model("calibrate", *model_copy, "--threshold", "youden").code == 0
    answer = cxr_model("export", *model_copy, "--format", "hub", "--out", "handed")
    assert (answer.code, answer.err) == (0, "")
    before = cxr_runner.load(model_copy)
    squares = list(images(64, 5))
    expected = before.predict(squares)
    shutil.rmtree(tmp_path / "outputs")
    folder = shutil.move(elsewhere / "handed", elsewhere / "received")
    model = cxr_runner.load(folder)
    pd.testing.assert_frame_equal(model.predict(squares), expected)
    assert (model.threshold, model.class_names) == (before.threshold, before.class_names)
    dataset = first_fold()
    (elsewhere / "ward").mkdir()
    for number, row in enumerate(dataset.rows("train")[:3]):
        Image.fromarray(dataset.images[row]).save(elsewhere / "ward" / f"{number}.png")
    answer = cxr_model("predict", folder, "--", "ward")
    assert answer.code == 0, answer.err
    assert "3 of 3 images were in the training set (train or val): 3 the same" in answer.out
    answer = cxr_model("evaluate", folder, "data=phantom", "data.num_images=60", "data.phantom_seed=7", "--name", "a")
    assert answer.code == 0, answer.err
    content = json.loads((Path(folder) / "evaluations" / "a" / "evaluation.json").read_text("utf-8"))
    assert content["inside"]["images"] == 80
    assert content["thresholds"]["youden as calibrated"] == before.threshold
    assert cxr_model("calibrate", folder, "--threshold", "specificity_0.9").code == 0
    assert cxr_runner.load(folder).point.rule == "specificity_0.9"


def test_a_folder_that_is_handed_on_names_no_image_and_no_patient_and_has_a_card(
    model_folds: list[Path], cxr_model: Command, elsewhere: Path
) -> None:
    assert cxr_model("export", model_folds[0], "--format", "hub").code == 0
    folder = elsewhere / "model"
    predictions = pd.read_csv(model_folds[0] / "predictions.csv")
    texts = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in [*predictions["name"], *predictions["patient"].astype(str), str(model_folds[0].parents[2])]:
        assert [file for file, content in texts.items() if name.encode() in content] == [], name
    held_out = pd.read_csv(folder / "held_out.csv")
    assert list(held_out) == ["split", "label", "logit", "patient"]
    test = predictions[predictions["split"] == "test"].sort_values("name")
    np.testing.assert_allclose(held_out[held_out["split"] == "test"]["logit"], test["logit"])
    card = (folder / "README.md").read_text("utf-8")
    assert "**Not for clinical use.**" in card
    assert "Trained on: synthetic phantom data" in card
    area = json.loads((model_folds[0] / "metrics.json").read_text("utf-8"))["test"]["auroc"]
    assert f"| AUROC | {area:.3f} (" in card
    Image.new("L", (40, 50)).save(folder / "image.png")
    code = card[card.index("import cxr_runner") : card.index("```\n\n`cxr-model")]
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "image.png" in ran.stdout


def test_a_folder_that_was_changed_is_refused(model_folds: list[Path], cxr_model: Command, elsewhere: Path) -> None:
    assert cxr_model("export", model_folds[0], "--format", "hub").code == 0
    folder = elsewhere / "model"
    weights = folder / "network_0.safetensors"
    original = weights.read_bytes()
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match=r"network_0.safetensors has changed since it was written"):
        cxr_runner.load(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"network_0.safetensors is missing"):
        cxr_runner.load(folder)
    weights.write_bytes(original)
    with pytest.raises(UserError, match="a folder that was handed on is a model of its own, give it alone"):
        cxr_runner.load([folder, model_folds[1]])
    (folder / "cxr_runner.json").write_text("{}")
    with pytest.raises(UserError, match=r"cxr_runner.json has changed since it was written"):
        cxr_runner.load(folder)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("RUN",), "--format=: valid are pt2, onnx, hub"),
        (("RUN", "--format", "tflite"), "--format=tflite: valid are pt2, onnx, hub"),
        (("RUN", "--format", "pt2", "--out", "."), "--out=.: is there already; name another"),
        (("RUN", "--format", "hub", "--out", "no/where"), "--out=no/where: there is no such folder around it"),
        (("RUN", "--format", "pt2", "data=phantom"), "export: takes runs and no images"),
        (("RUN", "--format", "pt2", "--map", "a=b"), "export: --map is a flag of cxr-model evaluate"),
        (("nowhere", "--format", "pt2"), "run=nowhere: there is no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    model_folds: list[Path], cxr_model: Command, elsewhere: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    answer = cxr_model("export", *(str(model_folds[0]) if word == "RUN" else word for word in arguments))
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith(f"cxr-model: {complaint}"), answer.err
    assert list(elsewhere.iterdir()) == []


def test_without_the_extra_for_onnx_the_way_to_it_is_said(
    model_folds: list[Path], cxr_model: Command, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr_runner.inference import export

    monkeypatch.setattr(export, "find_spec", lambda name: None)
    answer = cxr_model("export", model_folds[0], "--format", "onnx")
    assert answer.code == 2
    assert answer.err == (
        "cxr-model: --format=onnx: needs onnx, onnxscript, onnxruntime: pip install 'cxr-runner[onnx]'\n"
    )
    assert list(elsewhere.iterdir()) == []

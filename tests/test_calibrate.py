"""cxr-model calibrate: threshold and calibration of a model, chosen on val and used from then on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import _SigmoidCalibration

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import UserError

Command = Callable[..., Answer]


@pytest.fixture
def runs(model_copy: list[Path]) -> list[Path]:
    """Two folds of a linear model, to be changed."""
    return model_copy


def val(run: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_csv(run / "predictions.csv").query("split == 'val'")
    return table["logit"].to_numpy(), table["label"].to_numpy()


def point(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "operating_point.json").read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("rule", ["youden", "sensitivity_0.8", "specificity_0.75", "specificity_1"])
def test_a_threshold_is_chosen_on_val_alone_and_used_from_then_on(
    runs: list[Path], cxr_model: Command, elsewhere: Path, rule: str
) -> None:
    run = runs[0]
    answer = cxr_model("calibrate", run, "--threshold", rule)
    assert (answer.code, answer.err) == (0, "")
    threshold = point(run)["threshold"]
    assert isinstance(threshold, float)
    logits, labels = val(run)
    each = [*logits, *(np.nextafter(logits, -np.inf)), 0.0]
    sensitivity = {at: (logits > at)[labels == 1].mean() for at in [threshold, *each]}
    specificity = {at: (logits <= at)[labels == 0].mean() for at in [threshold, *each]}
    if rule == "youden":
        best = max(sensitivity[at] + specificity[at] for at in each)
        assert sensitivity[threshold] + specificity[threshold] == pytest.approx(best)
    else:
        aimed, other = (sensitivity, specificity) if rule.startswith("sens") else (specificity, sensitivity)
        least = float(rule.partition("_")[2])
        assert aimed[threshold] >= least
        assert other[threshold] == max(other[at] for at in each if aimed[at] >= least)
    model = cxr_runner.load(run)
    assert model.threshold == threshold
    assert cxr_model("predict", run, "data=phantom", "data.num_images=80").code == 0
    table = pd.read_csv(elsewhere / "predictions.csv")
    assert ((table["decision"] == "PNEUMONIA") == (table["logit"] > threshold)).all()
    assert f"positive above a logit of {threshold:.4g}" in answer.out
    assert "0.5 as trained" in answer.out


def test_a_calibration_gives_the_probabilities_and_keeps_the_order(runs: list[Path], cxr_model: Command) -> None:
    run = runs[0]
    assert cxr_model("calibrate", run, "--calibration", "sigmoid").code == 0
    logits, labels = val(run)
    platt = _SigmoidCalibration().fit(logits, labels)
    model = cxr_runner.load(run)
    np.testing.assert_allclose(model.probabilities(logits), platt.predict(logits), atol=1e-4)
    assert model.probabilities(np.array([model.threshold])).item() == pytest.approx(0.5)
    content = point(run)
    assert content["fitted_on"] == f"{len(logits)} images of val"
    assert content["rule"] == "0.5"
    assert cxr_model("calibrate", run, "--calibration", "temperature").code == 0
    assert cxr_runner.load(run).threshold == 0  # a factor leaves 0.5 where it is
    assert cxr_model("calibrate", run).code == 0
    assert cxr_runner.load(run).probabilities(np.array([0.0, 1.0])).tolist() == pytest.approx([0.5, 0.7310586])


def test_an_ensemble_is_calibrated_beside_its_first_run_and_alone_its_runs_are_not(
    runs: list[Path], cxr_model: Command
) -> None:
    assert cxr_model("calibrate", *runs, "--threshold", "youden", "--calibration", "sigmoid").code == 0
    (folder,) = runs[0].parents[1].glob("ensemble-*")
    content = point(folder)
    sides = [val(run) for run in runs]
    number = sum(len(logits) for logits, _ in sides)
    assert content["fitted_on"] == f"{number} images of val, each with the mean logit of the runs that have it in val"
    assert cxr_runner.load(list(reversed(runs))).threshold == content["threshold"]
    assert cxr_runner.load(runs[0]).threshold == 0


@pytest.mark.usefixtures("quick_pictures")
def test_an_evaluation_looks_at_the_chosen_threshold_beside_that_of_the_training(
    runs: list[Path], cxr_model: Command
) -> None:
    run = runs[0]
    assert cxr_model("calibrate", run, "--threshold", "sensitivity_0.9", "--calibration", "temperature").code == 0
    answer = cxr_model("evaluate", run, "data=phantom", "data.num_images=60", "data.phantom_seed=7", "--name", "a")
    assert answer.code == 0, answer.err
    content = json.loads((run / "evaluations" / "a" / "evaluation.json").read_text("utf-8"))
    assert list(content["thresholds"]) == ["sensitivity_0.9 as calibrated", "0.5 as trained", "youden on val"]
    assert content["thresholds"]["sensitivity_0.9 as calibrated"] == point(run)["threshold"]
    table = pd.read_csv(run / "evaluations" / "a" / "predictions.csv")
    slope = point(run)["slope"]
    assert slope != 1
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-slope * table["logit"])), rtol=1e-6)


def test_an_operating_point_that_does_not_belong_to_the_model_is_refused(runs: list[Path], cxr_model: Command) -> None:
    run, other = runs
    assert cxr_model("calibrate", run, "--threshold", "youden").code == 0
    shutil.copy(run / "operating_point.json", other)
    with pytest.raises(UserError, match=r"operating_point.json: is of other weights, the run was trained anew: remove"):
        cxr_runner.load(other)
    text = (run / "operating_point.json").read_text("utf-8")
    (run / "operating_point.json").write_text(text.replace("youden", "0.5"), "utf-8")
    with pytest.raises(UserError, match=r"operating_point.json: has changed since it was written: remove it"):
        cxr_runner.load(run)
    assert cxr_model("calibrate", run).code == 0  # writes it anew
    assert cxr_runner.load(run).threshold == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("RUN", "--threshold", "best"), "--threshold=best: valid are 0.5, youden, sensitivity_0.95 and specificity"),
        (("RUN", "--threshold", "specificity_1.2"), "--threshold=specificity_1.2: valid are"),
        (("RUN", "--threshold", "sensitivity_0.0"), "--threshold=sensitivity_0.0: valid are"),
        (("RUN", "--calibration", "isotonic"), "--calibration=isotonic: valid are none, temperature, sigmoid"),
        (("RUN", "data=phantom"), "calibrate: takes runs and no images"),
        (("RUN", "--", "a.png"), "calibrate: takes runs and no images"),
        (("RUN", "--name", "a"), "calibrate: --name is a flag of cxr-model evaluate"),
        (("nowhere",), "run=nowhere: there is no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    runs: list[Path], cxr_model: Command, elsewhere: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    answer = cxr_model("calibrate", *(str(runs[0]) if word == "RUN" else word for word in arguments))
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith(f"cxr-model: {complaint}"), answer.err
    assert not list(runs[0].parents[1].rglob("operating_point.json"))
    assert list(elsewhere.iterdir()) == []


def test_a_model_that_tells_nothing_about_val_cannot_be_calibrated(runs: list[Path], cxr_model: Command) -> None:
    run = runs[0]
    table = pd.read_csv(run / "predictions.csv")
    table["logit"] = -table["logit"].where(table["split"] == "val", -table["logit"])
    table.to_csv(run / "predictions.csv", index=False)
    (run / "status.json").write_text('{"state": "done"}', "utf-8")  # of a time before there were checksums
    answer = cxr_model("calibrate", run, "--calibration", "sigmoid")
    assert answer.code == 2
    assert answer.err.startswith("cxr-model: --calibration=sigmoid: the model tells nothing about val that could be")
    assert not (run / "operating_point.json").exists()

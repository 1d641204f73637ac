import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import DivergedError, RunFailedError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.config.identity import to_dict
from cxr_runner.data.dataset import open_dataset
from cxr_runner.experiment.sweep import run_sweep
from cxr_runner.study.matching import match_row
from cxr_runner.study.row_values import load_valid_study
from cxr_runner.training.gram import newton
from cxr_runner.training.gram.newton import Problem, minimise

TINY = {"data.num_images": 80, "data.image_size": 32}
RUN = {**TINY, "model": "logistic", "progress": "none", "plots": "never"}
ARGUMENTS = tuple(f"{key}={value}" for key, value in {**TINY, "plots": "never"}.items())


def training_images() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the training images, float64 [images, pixels] in [0, 1], and their labels."""
    dataset = open_dataset(compose(TINY)[0].data, Reporter())
    rows = dataset.rows("train")
    return dataset.images[rows].reshape(len(rows), -1) / 255, dataset.labels("train")


def fit_sklearn(images: NDArray[np.float64], labels: NDArray[np.int64], l2: float, weight: float) -> LogisticRegression:
    """Return scikit-learn's optimum of the same penalised loss."""
    weights, strength = {0: 1.0, 1: weight}, 1 / (l2 * len(labels))
    model = LogisticRegression(C=strength, class_weight=weights, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    return model.fit(images, labels)


@pytest.mark.parametrize("weight", [1.0, 0.37, 5.0])
@pytest.mark.parametrize("l2", [5.0, 1e-2, 1e-5])
def test_the_optimum_is_that_of_scikit_learn(l2: float, weight: float) -> None:
    images, labels = training_images()
    centre = images.mean(axis=0)
    gram = torch.from_numpy((images - centre) @ (images - centre).T)
    truth = torch.tensor(labels).double()
    problem = Problem(gram, truth, torch.where(truth == 1, weight, 1.0), l2)
    found = minimise(problem, torch.zeros_like(truth), torch.tensor(0.0, dtype=torch.float64))
    expected = fit_sklearn(images, labels, l2, weight)
    coefficients = found.alpha.numpy() @ (images - centre)
    assert np.allclose(coefficients, expected.coef_[0], rtol=0, atol=1e-6 * np.abs(expected.coef_).max())
    intercept = float(found.intercept) - coefficients @ centre
    assert intercept == pytest.approx(float(expected.intercept_[0]), rel=1e-6, abs=1e-6)


def test_a_run_leaves_the_module_that_scikit_learn_would(tmp_path: Path) -> None:
    run = cxr_runner.run({**RUN, "model.l2": 0.02, "loss.pos_weight": 0.37, "outputs": str(tmp_path)})
    images, labels = training_images()
    expected = fit_sklearn(images, labels, 0.02, 0.37)
    weights = load_file(run / "model.safetensors")
    written = weights["layer_stack.1.weight"].double().numpy()[0]
    assert np.abs(written - expected.coef_[0]).max() <= 1e-6 * np.abs(expected.coef_).max()
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["l2"], metrics["scikit_learn_C"]) == (0.02, pytest.approx(expected.C))


def test_a_path_is_solved_from_large_to_small_and_val_chooses(tmp_path: Path) -> None:
    folder = cxr_runner.run({**RUN, "data.difficulty": 0.9, "seeds": 2, "outputs": str(tmp_path)})
    runs = [folder / f"seed={seed}" for seed in range(2)]
    with (runs[0] / "history.csv").open() as lines:
        history = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    penalties, val_losses = [row["l2"] for row in history], [row["val_loss"] for row in history]
    assert len(history) == 13
    assert penalties == sorted(penalties, reverse=True)
    assert penalties[0] / penalties[-1] == pytest.approx(1e6)
    assert [row["train_loss"] for row in history] == sorted((row["train_loss"] for row in history), reverse=True)
    metrics = json.loads((runs[0] / "metrics.json").read_text())
    assert metrics["l2"] == penalties[int(np.argmin(val_losses))]
    assert 1 < metrics["best_epoch"] < 13, "else the path would not have to be there"
    predictions = {(path / "predictions.csv").read_text() for path in runs}
    assert len(predictions) == 1, "seeds change nothing"


def test_a_run_that_keeps_coefficients_alone_is_the_same_model(tmp_path: Path) -> None:
    runs = [
        cxr_runner.run({**RUN, "model.l2": 0.1, "save": save, "name": save, "outputs": str(tmp_path)})
        for save in ("full", "compact")
    ]
    full, compact = (cxr_runner.load(run).module.state_dict() for run in runs)
    assert not (runs[1] / "model.safetensors").exists()
    assert all(torch.equal(full[name], compact[name]) for name in full)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 5),
        ("optimizer", "adam"),
        ("optimizer.lr", 0.1),
        ("optimizer.momentum", 0.9),
        ("batch_size", 64),
        ("schedule.name", "cosine"),
        ("early_stopping.patience", 3),
        ("augment.flip", 0.5),
        ("precision", "bf16"),
    ],
)
def test_what_an_optimum_has_no_use_for_is_refused(key: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^{key}={value}: model=logistic is solved to its optimum"):
        compose({"model": "logistic", key: value})


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("model.l2", 0, "valid are path and numbers above 0"),
        ("model.l2", "best", "valid are path and numbers above 0"),
        ("model.path_metric", "test_auroc", "val_auroc"),
        ("engine", "pixel", "solved in Gram space"),
    ],
)
def test_its_own_keys_are_checked(key: str, value: object, valid: str) -> None:
    with pytest.raises(UserError, match=f"^{key}={value}: .*{valid}"):
        compose({"model": "logistic", key: value})


@pytest.mark.parametrize("launcher", ["stack", "basic"])
def test_a_sweep_sets_aside_what_is_for_other_models(cxr_run: Callable[..., Answer], launcher: str) -> None:
    alone = cxr_run("model=logistic", *ARGUMENTS, "progress=none")
    assert alone.code == 0
    answer = cxr_run(
        "-m", f"hydra/launcher={launcher}", "model=linear,logistic", "epochs=2", "optimizer.lr=0.02", *ARGUMENTS
    )
    assert answer.code == 0, answer.err
    assert "epochs=2, optimizer.lr=0.02: not for model=logistic" in answer.out
    (run,) = Path("outputs/runs").glob("logistic-*")
    assert "epochs" not in (run / "seed=0" / "config.yaml").read_text(), "the run is the one from before, with its id"
    runs = cxr_runner.load_runs("outputs")
    assert sorted(runs["model"]) == ["linear", "logistic"]
    assert runs.set_index("model")["epochs"].isna().to_dict() == {"linear": False, "logistic": True}


def test_a_sweep_of_it_alone_refuses_what_it_has_no_use_for(cxr_run: Callable[..., Answer]) -> None:
    answer = cxr_run("-m", "model=logistic", "epochs=2,3", *ARGUMENTS)
    assert (answer.code, Path("outputs/runs").exists()) == (2, False)
    assert "epochs=2: model=logistic is solved to its optimum" in answer.err


def test_a_penalty_that_cannot_be_solved_fails_alone_and_says_what_to_try(tmp_path: Path) -> None:
    configs = [compose({**RUN, "model.l2": l2, "outputs": str(tmp_path)})[0] for l2 in (1.0, 1e-30)]
    solved, failed = run_sweep(configs)
    assert solved.error is None
    assert isinstance(failed.error, RunFailedError)
    assert "not finite in epoch 1 (train nan, val nan); try a larger model.l2 (now 1e-30) (" in str(failed.error)


def test_where_memory_does_not_suffice_only_what_it_takes_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", fail)
    with pytest.raises(RunFailedError, match=r"memory of .* does not suffice; .*data\.train_share") as raised:
        cxr_runner.run({**RUN, "model.l2": 1.0, "outputs": str(tmp_path)})
    assert not any(key in str(raised.value) for key in ("batch_size", "engine", "or model"))


def test_an_optimum_that_is_not_reached_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "_MOST_STEPS", 2)
    truth = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    problem = Problem(torch.eye(3, dtype=torch.float64), truth, torch.ones(3, dtype=torch.float64), 1e-6)
    with pytest.raises(DivergedError, match="no optimum of the penalised loss in 2 steps"):
        minimise(problem, torch.zeros(3, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))


STUDY = """\
schema: 1
title: penalties
data: {image_size: 32}
runs: {seeds: 1, preset: full}
conditions: {epochs: 5, batch_size: 16, loss.pos_weight: 0.5}
rows:
  - {id: sgd, settings: {model: linear}}
  - {id: optimum, settings: {model: logistic}}
"""


def test_conditions_of_a_study_are_for_the_rows_that_have_a_use_for_them(tmp_path: Path) -> None:
    file = tmp_path / "penalties.yaml"
    file.write_text(STUDY)
    study = load_valid_study(str(file))
    sgd, optimum = study.rows
    assert "epochs=5" in sgd.arguments
    assert [one for one in optimum.arguments if one.startswith(("epochs", "batch"))] == []
    assert "loss.pos_weight=0.5" in optimum.arguments
    for row in (sgd, optimum):
        (config,) = compose([*row.arguments, "data.num_images=80"])
        assert match_row(to_dict(config), study) == row.id
    file.write_text(STUDY.replace("{model: logistic}", "{model: logistic, epochs: 9}"))
    with pytest.raises(UserError, match=r"row optimum: epochs=9: model=logistic is solved to its optimum"):
        load_valid_study(str(file))

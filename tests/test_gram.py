"""Gram space against plain float64 SGD on pixels, and its matrix against whole numbers."""

import numpy as np
import pytest
import torch

from cxr_runner import gram_matrix as gram_module
from cxr_runner.config import EarlyStoppingConfig, LinearConfig, LinearReLUConfig, ScheduleConfig, SGDConfig
from cxr_runner.gram import GramBackend
from cxr_runner.gram_matrix import gram_matrix, open_gram_matrix
from cxr_runner.models import build_model
from cxr_runner.progress import Reporter
from cxr_runner.train import Trainer
from test_train import SIDE, _run, _settings, _subsets, plain_training

MODELS = {
    "linear, one layer": LinearConfig("linear", 1, 5, 1e-4),
    "linear": LinearConfig("linear", 2, 5, 1e-4),
    "linear, four layers": LinearConfig("linear", 4, 6, 1e-4),
    "linear_relu": LinearReLUConfig("linear_relu", 2, 10, True, 1e-4),
    "linear_relu, three layers": LinearReLUConfig("linear_relu", 3, 20, False, 1e-4),
}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, SIDE, SIDE), dtype=np.uint8)
    images[:30, :4] //= 2
    return images


def _gram_trainer(images, model, optimizer, **changes):
    settings = _settings(lr=optimizer.lr, **changes)
    train, val = _subsets()
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    backend = GramBackend(
        build_model(model, SIDE, settings.seed),
        images,
        gram_matrix(images, Reporter()),
        rows,
        train.rows,
        optimizer,
        settings.pos_weight,
        torch.device("cpu"),
    )
    return Trainer(backend, train, val, settings)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay", "pos_weight"),
    [(0.0, False, 0.0, None), (0.9, False, 0.0, 0.37), (0.9, True, 0.01, None), (0.0, False, 0.1, 2.0)],
)
def test_gram_space_is_plain_sgd_to_ten_digits(images, model, momentum, nesterov, weight_decay, pos_weight):
    optimizer = SGDConfig("sgd", 0.05, momentum, nesterov, weight_decay, None)
    trainer = _run(_gram_trainer(images, model, optimizer, pos_weight=pos_weight, epochs=5))
    plain, losses = plain_training(images, model, trainer.settings, momentum, nesterov, weight_decay)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-3), "a model that does not learn would pass vacuously"
    assert [epoch.train_loss for epoch in trainer.history] == pytest.approx(losses, rel=1e-10)
    torch.testing.assert_close(
        trainer.backend._materialise(), plain.state_dict()["layer_stack.1.weight"], rtol=1e-10, atol=1e-13
    )
    pixels = torch.from_numpy(images).double().unsqueeze(1) / 255
    everything = torch.arange(60)
    torch.testing.assert_close(trainer.backend.logits(everything, 7), plain(pixels).detach(), rtol=1e-10, atol=1e-12)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(trainer.backend.weights()[name], value.float(), rtol=1e-6, atol=1e-8)


def test_schedules_reach_gram_space_too(images):
    schedule = ScheduleConfig("cosine", 1, 10, 0.1)
    optimizer = SGDConfig("sgd", 0.05, 0.9, False, 0.0, None)
    scheduled = _run(_gram_trainer(images, MODELS["linear"], optimizer, schedule=schedule))
    constant = _run(_gram_trainer(images, MODELS["linear"], optimizer))
    assert scheduled.history[-1].lr < 0.05
    assert scheduled.history[-1].train_loss != pytest.approx(constant.history[-1].train_loss, rel=1e-3)


def test_a_checkpoint_goes_on_bit_for_bit(images, tmp_path):
    optimizer = SGDConfig("sgd", 0.05, 0.9, True, 0.01, None)
    stopping = EarlyStoppingConfig("val_accuracy", None, 0.0, True)
    whole = _run(_gram_trainer(images, MODELS["linear_relu"], optimizer, early_stopping=stopping))
    first = _gram_trainer(images, MODELS["linear_relu"], optimizer, early_stopping=stopping)
    first.run_epoch()
    torch.save(first.state_dict(), tmp_path / "checkpoint.pt")
    second = _gram_trainer(images, MODELS["linear_relu"], optimizer, early_stopping=stopping)
    second.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    _run(second)
    assert [epoch.train_loss for epoch in second.history] == [epoch.train_loss for epoch in whole.history]
    for name, value in whole.backend.weights().items():
        assert torch.equal(second.backend.weights()[name], value)


@pytest.mark.parametrize("shape", [(1, 4, 4), (7, 5, 5), (40, 64, 64), (1100, 8, 8), (5, 130, 130)])
@pytest.mark.parametrize("way", ["_add_products_float32", "_add_products_int8"])
@pytest.mark.parametrize("content", ["random", "white", "black"])
def test_the_matrix_is_exact_in_both_ways(monkeypatch, shape, way, content):
    monkeypatch.setattr(gram_module, "_fastest_product", lambda _: getattr(gram_module, way))
    images = np.full(shape, {"white": 255, "black": 0, "random": 0}[content], dtype=np.uint8)
    if content == "random":
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    flat = images.reshape(len(images), -1).astype(np.int64)
    assert (gram_matrix(images, Reporter()) == flat @ flat.T).all()


def test_the_matrix_is_built_once_and_kept(images, tmp_path, monkeypatch):
    first = np.array(open_gram_matrix(images, tmp_path, Reporter()))
    monkeypatch.setattr(gram_module, "gram_matrix", lambda *_: pytest.fail("built again"))
    assert (open_gram_matrix(images, tmp_path, Reporter()) == first).all()
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.parametrize("damage", ["zeros", "truncated", "another shape"])
def test_a_damaged_matrix_is_built_anew(images, tmp_path, damage):
    expected = np.array(open_gram_matrix(images, tmp_path, Reporter()))
    path = tmp_path / "gram.npy"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        np.save(path, np.zeros_like(expected) if damage == "zeros" else expected[:-1, :-1])
    assert (open_gram_matrix(images, tmp_path, Reporter()) == expected).all()

"""Dead units and vanished gradients, found in models whose insides are known."""

import json

import pytest
import torch

from cxr_runner.api import run
from cxr_runner.config.schema import CNNConfig, LinearConfig, LinearReLUConfig
from cxr_runner.models.build import build_model, rectified_layers
from cxr_runner.training.diagnosis import diagnose, explain_collapse, spread_out

SIDE = 8
IMAGES = torch.rand(10, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0.0, 1.0] * 5)


def _diagnose(model):
    return diagnose(model, rectified_layers(model), IMAGES, TARGETS, None, len(IMAGES))


def test_a_dead_last_unit_is_seen_and_stops_all_gradients():
    model = build_model(LinearReLUConfig("linear_relu", 2, 4, True), SIDE, 0)
    with torch.no_grad():
        model.layer_stack[3].bias.fill_(-100)
        model.layer_stack[1].bias[:3] = torch.tensor([-100.0, -100.0, 100.0])
    found = _diagnose(model)
    assert found["dead_units"]["layer_stack.3"] == 1
    assert found["dead_units"]["layer_stack.1"] >= 0.5
    assert set(found["gradient_norms"].values()) == {0.0}
    assert explain_collapse(found, found).startswith("every unit of layer layer_stack.3 was dead from the start")


def test_a_layer_that_died_in_training_is_told_from_one_dead_from_the_start():
    start = {"dead_units": {"layer_stack.3": 0.0}, "gradient_norms": {"w": 1.0}}
    end = {"dead_units": {"layer_stack.3": 1.0}, "gradient_norms": {"w": 0.0}}
    assert "by the end of training" in explain_collapse(start, end)


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (LinearConfig("linear", 3, 4), []),
        (LinearReLUConfig("linear_relu", 3, 4, False), ["layer_stack.1", "layer_stack.3"]),
        (CNNConfig("cnn", 3, 3), ["block_1.0", "block_1.2", "block_2.0", "block_2.2"]),
    ],
    ids=["linear", "linear_relu", "cnn"],
)
def test_units_are_those_that_a_relu_follows_and_norms_are_those_of_autograd(model, layers):
    module = build_model(model, SIDE, 0)
    found = _diagnose(module)
    assert list(found["dead_units"]) == layers
    torch.nn.functional.binary_cross_entropy_with_logits(module(IMAGES), TARGETS).backward()
    expected = {name: parameter.grad.double().norm().item() for name, parameter in module.named_parameters()}
    assert found["gradient_norms"] == pytest.approx(expected)


def test_batches_change_nothing_but_rounding():
    model = build_model(CNNConfig("cnn", 3, 3), SIDE, 0).double()
    given = model, rectified_layers(model), IMAGES.double(), TARGETS.double(), None
    whole, batches = (diagnose(*given, batch_size) for batch_size in (10, 3))
    assert batches["dead_units"] == whole["dead_units"]
    assert batches["gradient_norms"] == pytest.approx(whole["gradient_norms"], rel=1e-12)


def test_a_dead_filter_is_counted():
    model = build_model(CNNConfig("cnn", 4, 3), SIDE, 0)
    with torch.no_grad():
        model.block_1[0].bias[0] = -100
    assert _diagnose(model)["dead_units"]["block_1.0"] >= 0.25


def test_the_sample_is_spread_over_the_training_split():
    assert torch.arange(1000)[spread_out(1000)][[0, -1]].tolist() == [0, 999]
    assert torch.arange(3)[spread_out(3)].tolist() == [0, 1, 2]


def test_a_run_leaves_its_diagnosis_and_a_collapsed_one_the_reason(tmp_path):
    data = ["data.num_images=40", "data.image_size=16", "progress=none", f"outputs={tmp_path}"]
    run(["model=linear_relu", "model.layers=4", "epochs=1", "optimizer.lr=1e-6", *data], seeds=4)
    every = [json.loads(path.read_text()) for path in tmp_path.rglob("metrics.json")]
    assert all(metrics["diagnosis"]["start"]["dead_units"] for metrics in every)
    collapsed = [metrics for metrics in every if metrics["collapsed"]]
    assert collapsed, "four layers that end in ReLU mostly die"
    for metrics in every:
        assert bool(metrics["collapse_reason"]) == metrics["collapsed"]

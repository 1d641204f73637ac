"""The models against Figs. 6, 7 and 8 of the study, layer for layer."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import AnyModelConfig, CNNConfig, LinearConfig, LinearReLUConfig, ResNet18Config
from cxr_runner.models.build import build_model, describe_model, model_class
from cxr_runner.models.classifier import Classifier, share_equal_weights
from cxr_runner.models.cnn import CNN
from cxr_runner.models.linear import Linear, WideLinear
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.models.resnet18 import ResNet18

CONF = Path(__file__).parents[1] / "conf" / "model"
FIG_6 = """\
Flatten(start_dim=1, end_dim=-1)
Linear(in_features=409600, out_features=10, bias=True)
Linear(in_features=10, out_features=1, bias=True)"""

FIG_7 = """\
Flatten(start_dim=1, end_dim=-1)
Linear(in_features=409600, out_features=10, bias=True)
ReLU()
Linear(in_features=10, out_features=1, bias=True)
ReLU()"""

FIG_8 = """\
Conv2d(1, 10, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
ReLU()
Conv2d(10, 10, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
ReLU()
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Conv2d(10, 10, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
ReLU()
Conv2d(10, 10, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
ReLU()
MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
Flatten(start_dim=1, end_dim=-1)
Linear(in_features=256000, out_features=1, bias=True)"""


def _layers(model):
    return "\n".join(repr(module) for module in model.modules() if not list(module.children()))


def _num_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "figure", "num_parameters"),
    [
        (Linear(640, 2, 10), FIG_6, 409600 * 10 + 10 + 10 + 1),
        (LinearReLU(640, 2, 10), FIG_7, 409600 * 10 + 10 + 10 + 1),
        (CNN(640, 10, 3), FIG_8, (9 * 10 + 10) + 3 * (9 * 10 * 10 + 10) + 256000 + 1),
    ],
    ids=["linear", "linear_relu", "cnn"],
)
def test_models_are_those_of_the_figures(model, figure, num_parameters):
    assert _layers(model) == figure
    assert _num_parameters(model) == num_parameters


def test_depth_adds_layers_of_the_same_width():
    assert [m.out_features for m in Linear(8, 4, 5).layer_stack[1:]] == [5, 5, 5, 1]


def test_linear_relu_never_answers_below_zero_unless_asked_to():
    images = torch.rand(200, 1, 8, 8)
    config = LinearReLUConfig("linear_relu", 2, 10, True)
    for seed in range(5):
        assert build_model(config, 8, seed)(images).min() >= 0
    without = LinearReLU(8, 2, 10, output_relu=False)
    assert not isinstance(without.layer_stack[-1], torch.nn.ReLU)
    with torch.no_grad():
        without.layer_stack[-1].bias.fill_(-5)
    assert without(images).max() < 0


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("image_size", [16, 30])
def test_cnn_takes_any_size_and_both_kernels(kernel_size, image_size):
    logits = CNN(image_size, 4, kernel_size)(torch.rand(3, 1, image_size, image_size))
    assert logits.shape == (3,)


def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone():
    config = LinearConfig("linear", 2, 10)
    before = torch.random.get_rng_state()
    first, again, other = (build_model(config, 8, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.layer_stack[1].weight, again.layer_stack[1].weight)
    assert not torch.equal(first.layer_stack[1].weight, other.layer_stack[1].weight)


def test_initial_weights_are_those_of_plain_pytorch():
    torch.manual_seed(3)
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.Linear(10, 1))
    ours = build_model(LinearConfig("linear", 2, 10), 8, 3)
    assert torch.equal(ours.layer_stack[2].weight, plain[2].weight)


def test_describe_model_counts_the_parameters():
    config = CNNConfig("cnn", 10, 3)
    assert describe_model(config, build_model(config, 640, 0)) == "cnn, 10 filters 3x3, 258,831 parameters"


def test_resnet18_starts_from_a_file_of_rgb_weights(tmp_path):
    weights = {name: torch.rand_like(value) if value.is_floating_point() else value for name, value in
               ResNet18().backbone.state_dict().items()}  # fmt: skip
    weights["conv1.weight"] = torch.rand(64, 3, 7, 7)
    save_file(weights, tmp_path / "weights.safetensors")
    model = build_model(ResNet18Config("resnet18", str(tmp_path / "weights.safetensors"), None), 64, 0)
    assert torch.allclose(model.backbone.conv1.weight, weights["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(model.backbone.layer1[0].conv1.weight, weights["layer1.0.conv1.weight"])
    assert not torch.equal(model.backbone.fc.weight, weights["fc.weight"])
    assert model(torch.rand(2, 1, 64, 64)).shape == (2,)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.pth", None, "no such file"),
        ("garbage.pth", b"not weights at all", "weights"),
        ("garbage.safetensors", b"not weights at all", "cannot be read as weights"),
    ],
)
def test_useless_weights_are_refused_in_one_line(tmp_path, name, content, complaint):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        build_model(ResNet18Config("resnet18", str(tmp_path / name), None), 64, 0)
    assert str(caught.value).startswith("model.weights=")
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(tmp_path):
    weights = {name: value.clone() for name, value in ResNet18().backbone.state_dict().items()}
    save_file(weights | {"stranger": torch.rand(2)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="unknown weight stranger"):
        build_model(ResNet18Config("resnet18", str(tmp_path / "w.safetensors"), None), 64, 0)


@pytest.mark.parametrize(("inputs", "num_pieces"), [(3 * 4096, 3), (61 * 97, 61), (10, 1)])
def test_a_wide_layer_in_pieces_is_a_linear_layer(inputs, num_pieces):
    torch.manual_seed(0)
    layer, images = WideLinear(inputs, 5).double(), torch.rand(7, inputs, dtype=torch.float64)
    plain = torch.nn.Linear(inputs, 5).double()
    plain.load_state_dict(layer.state_dict())
    assert layer.num_pieces == num_pieces
    torch.testing.assert_close(layer(images), plain(images))
    layer(images).square().sum().backward(), plain(images).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("variant", get_args(AnyModelConfig))
def test_every_model_of_the_schema_is_in_the_module_of_its_name(variant):
    (name,) = get_args(variant.__annotations__["name"])
    assert issubclass(model_class(name), Classifier)
    assert (CONF / f"{name}.yaml").exists()


def test_a_name_that_is_no_module_is_no_other_model():
    with pytest.raises(ModuleNotFoundError, match="zebra"):
        model_class("zebra")


def test_equal_weights_are_kept_once_and_buffers_each_for_itself() -> None:
    models = [
        build_model(config, 8, seed)
        for config in (
            LinearConfig("linear", 2, 5),
            LinearConfig("linear", 4, 5),
            LinearReLUConfig("linear_relu", 2, 5, True),
        )
        for seed in (0, 1)
    ]
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    norms = [nn.BatchNorm1d(3), nn.BatchNorm1d(3)]
    share_equal_weights([*models, *norms])
    places = [model.layer_stack[1].weight.data_ptr() for model in models]
    assert places[0] == places[2] == places[4] != places[1] == places[3] == places[5]
    assert norms[0].weight.data_ptr() == norms[1].weight.data_ptr()
    assert norms[0].running_mean.data_ptr() != norms[1].running_mean.data_ptr()
    for model, values in zip(models, before, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())

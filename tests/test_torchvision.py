"""model=torchvision: any of its classifiers, from training to an exported file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import TorchvisionConfig
from cxr_runner.models.build import build_model, try_model
from cxr_runner.models.torchvision import TorchvisionClassifier

TINY = ("data.num_images=80", "data.image_size=32", "epochs=1", "plots=never", "progress=none", "device=cpu")


def config(arch: str) -> TorchvisionConfig:
    return TorchvisionConfig("torchvision", arch, None, None)


def close(one: np.ndarray, other: np.ndarray) -> None:
    assert np.abs(one - other).max() <= 1e-5 * (1 + np.abs(other).max())


def test_a_run_is_loaded_predicts_and_is_exported(
    cxr_run: Callable[..., Answer], cxr_model: Callable[..., Answer], elsewhere: Path
) -> None:
    answer = cxr_run("model=torchvision", "model.arch=squeezenet1_1", *TINY)
    assert (answer.code, answer.err) == (0, "")
    (run,) = elsewhere.glob("outputs/runs/torchvision-*/seed=0")
    told = cxr_model("predict", run, "data=phantom", "data.num_images=80")
    assert (told.code, told.err) == (0, "")
    predicted = pd.read_csv("predictions.csv").set_index("name")["logit"]
    own = pd.read_csv(run / "predictions.csv").set_index("name")["logit"]
    close(predicted[own.index].to_numpy(), own.to_numpy())
    module, images = cxr_runner.load(run).module, torch.rand(5, 1, 32, 32)
    with torch.no_grad():
        expected = module(images).numpy()
        assert cxr_model("export", run, "--format", "pt2").code == 0
        close(torch.export.load("model.pt2").module()(images)[0].numpy(), expected)
        assert cxr_model("export", run, "--format", "hub").code == 0
        close(cxr_runner.load("model").module(images).numpy(), expected)


@pytest.mark.long
@pytest.mark.parametrize("arch", ["mobilenet_v3_small", "densenet121"])
def test_onnx_gives_the_same_logits(
    cxr_run: Callable[..., Answer], cxr_model: Callable[..., Answer], elsewhere: Path, arch: str
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    assert cxr_run("model=torchvision", f"model.arch={arch}", *TINY).code == 0
    (run,) = elsewhere.glob("outputs/runs/torchvision-*/seed=0")
    assert cxr_model("export", run, "--format", "onnx").code == 0
    images = torch.rand(5, 1, 32, 32)
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    with torch.no_grad():
        close(session.run(["logit"], {"image": images.numpy()})[0], cxr_runner.load(run).module(images).numpy())


def test_images_are_normalised_as_torchvision_s_weights_want_them() -> None:
    from torchvision.transforms.v2.functional import normalize

    model = build_model(config("squeezenet1_1"), 32, seed=0).eval()
    images = torch.rand(2, 1, 32, 32)
    three = normalize(images.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.backbone(three).squeeze(1))
    assert all(name.startswith("backbone.") for name in model.state_dict())


def test_a_squeezenet_says_no_too() -> None:
    model = build_model(config("squeezenet1_1"), 32, seed=0).eval()
    with torch.no_grad():
        model.last_layer().bias.fill_(-5)
        assert model(torch.rand(2, 1, 32, 32)).max() < 0  # torchvision's own ends in a ReLU


@pytest.mark.parametrize(
    ("arch", "size", "complaint"),
    [
        ("densnet121", 32, "model.arch=densnet121: torchvision has no such classifier; did you mean densenet121"),
        ("ResNet-50", 32, "did you mean resnet50"),
        ("zebra", 32, "valid are alexnet, convnext_base"),
        pytest.param("vit_b_32", 64, "raises AssertionError: .* Expected 224 but got 64!", marks=pytest.mark.long),
        ("alexnet", 32, "model.arch=alexnet: raises RuntimeError: .* when it is given images of .*32, 32"),
    ],
)
def test_what_torchvision_has_not_or_does_not_take_is_refused_in_one_line(arch: str, size: int, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        try_model(config(arch), size)
    assert len(str(caught.value).splitlines()) == 1


def test_a_command_without_an_architecture_says_so(cxr_run: Callable[..., Answer], elsewhere: Path) -> None:
    answer = cxr_run("model=torchvision", *TINY)
    assert (answer.code, answer.err) == (2, "cxr-run: model.arch=???: needs a value, give model.arch=...\n")
    assert list(elsewhere.iterdir()) == []


def test_dropout_draws_the_same_each_time_and_in_a_run_that_resumes(
    cxr_run: Callable[..., Answer], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("model=torchvision", "model.arch=squeezenet1_1", *TINY[:2], *TINY[3:], "epochs=3", "batch_size=16")
    assert cxr_run(*words, "outputs=whole").code == 0
    from cxr_runner.experiment import stack

    with monkeypatch.context() as patch:
        real = stack.train_epoch

        def interrupted(trainers: list, on_batch: Callable[..., None]) -> None:
            if len(trainers[0].history) == 2:
                raise KeyboardInterrupt
            real(trainers, on_batch)

        patch.setattr(stack, "train_epoch", interrupted)
        assert cxr_run(*words, "outputs=resumed").code == 130
    torch.rand(7)  # the state of the process is another one
    assert cxr_run(*words, "outputs=resumed").code == 0
    (whole,), (resumed,) = (list(elsewhere.glob(f"{name}/runs/*/seed=0/history.csv")) for name in ("whole", "resumed"))
    columns = ["train_loss", "val_loss"]
    assert pd.read_csv(whole)[columns].equals(pd.read_csv(resumed)[columns])
    assert (whole.parent / "model.safetensors").read_bytes() == (resumed.parent / "model.safetensors").read_bytes()


def architectures() -> Iterator[str]:
    from torchvision import models

    yield from models.list_models(module=models)


@pytest.mark.long
def test_every_classifier_ends_in_one_linear_layer_that_is_its_head() -> None:
    for arch in architectures():
        regnet = arch.startswith("regnet")  # cannot be built without memory
        if regnet and arch != "regnet_x_400mf":
            continue
        with torch.device("cpu" if regnet else "meta"), torch.no_grad():
            model, images = TorchvisionClassifier(arch).eval(), torch.rand(2, 1, 224, 224)
            assert model(images).shape == (2,), arch
            assert model.features(images).shape == (2, model.last_layer().in_features), arch
        layers = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        assert layers[-1] == model.head, arch

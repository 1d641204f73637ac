"""model.weights: runs, torchvision's files, Lightning checkpoints; what lacks more than the last layer is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.config.schema import ResNet18Config, TorchvisionConfig
from cxr_runner.config.stored import read_model_config
from cxr_runner.models.build import build_model, initial_weights_digest
from cxr_runner.models.torchvision import TorchvisionClassifier

ARCH = "shufflenet_v2_x0_5"
TINY = ("data.num_images=80", "data.image_size=32", "epochs=1", "plots=never", "progress=lines", "device=cpu")


def torchvision_weights(arch: str = ARCH, num_classes: int = 1000) -> dict[str, Tensor]:
    from torchvision import models

    weights = models.get_model(arch, weights=None, num_classes=num_classes).state_dict()
    return {name: value.clone() for name, value in weights.items()}


def start(path: Path, arch: str = ARCH) -> TorchvisionClassifier:
    model = build_model(TorchvisionConfig("torchvision", arch, str(path), None), 32, seed=0)
    assert isinstance(model, TorchvisionClassifier)
    return model


def test_a_lightning_checkpoint_loses_its_prefix_and_its_last_layer_and_that_is_said(tmp_path: Path) -> None:
    weights = torchvision_weights()
    state = {f"model.net.{name}": value for name, value in weights.items()} | {"loss.pos_weight": torch.ones(1)}
    content = {"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}, "optimizer_states": [{"state": {}}]}
    torch.save(content, tmp_path / "last.ckpt")
    model = start(tmp_path / "last.ckpt")
    random = build_model(TorchvisionConfig("torchvision", ARCH, None, None), 32, seed=0)
    assert torch.equal(model.backbone.conv1[0].weight, weights["conv1.0.weight"])
    assert torch.equal(model.last_layer().weight, random.last_layer().weight)
    (note,) = model.notes
    assert note.startswith(f"weights: from {tmp_path}/last.ckpt, their names without model.net., but for the last")
    assert "fc, which has the shape [1000, 1024] there" in note


def test_a_last_layer_that_fits_is_taken(tmp_path: Path) -> None:
    weights = torchvision_weights(num_classes=1)
    torch.save(weights, tmp_path / "one.pth")
    model = start(tmp_path / "one.pth")
    assert torch.equal(model.last_layer().weight, weights["fc.weight"])
    assert model.notes == [f"weights: from {tmp_path}/one.pth"]


def test_weights_without_a_last_layer_and_without_counters_suffice(tmp_path: Path) -> None:
    weights = torchvision_weights()
    kept = {name: value for name, value in weights.items() if "num_batches" not in name and not name.startswith("fc.")}
    save_file(kept, tmp_path / "kept.safetensors")
    assert start(tmp_path / "kept.safetensors").notes[0].endswith("but for the last layer, fc, which they lack")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"conv5.0.weight": None}, "lacks 1 weights of the model: conv5.0.weight"),
        ({"conv1.0.weight": torch.ones(24, 1, 3, 3)}, r"conv1.0.weight is \[24, 1, 3, 3\]"),
        ({"stranger": torch.ones(1)}, "unknown weight stranger"),
        (
            {f"conv5.1.{name}": None for name in ("weight", "bias")},
            "lacks 2 weights of the model: conv5.1.weight, conv5",
        ),
    ],
)
def test_what_lacks_more_than_the_last_layer_or_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Tensor | None], complaint: str
) -> None:
    changed = torchvision_weights() | change
    save_file({name: value for name, value in changed.items() if value is not None}, tmp_path / "changed.safetensors")
    with pytest.raises(UserError, match=complaint) as caught:
        start(tmp_path / "changed.safetensors")
    assert str(caught.value).startswith(f"model.weights={tmp_path}/changed.safetensors: ")


def test_files_of_other_things_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision_weights("squeezenet1_1"), tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"is of another model: it holds features\.0"):
        start(tmp_path / "other.pth")
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "empty.ckpt")
    with pytest.raises(UserError, match="holds no state dict"):
        start(tmp_path / "empty.ckpt")
    torch.save({"state_dict": torchvision_weights(), "code": Path("x")}, tmp_path / "code.ckpt")
    with pytest.raises(UserError, match="takes running code to read"):
        start(tmp_path / "code.ckpt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"is no run, which has a model\.safetensors"):
        start(tmp_path / "folder")


def test_older_names_of_a_densenet_are_known(tmp_path: Path) -> None:
    weights = torchvision_weights("densenet121")
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for name, value in weights.items()}
    torch.save(old, tmp_path / "old.pth")
    model = start(tmp_path / "old.pth", "densenet121")
    block = model.backbone.features.denseblock1.denselayer1
    assert torch.equal(block.conv2.weight, weights["features.denseblock1.denselayer1.conv2.weight"])


def test_auxiliary_classifiers_are_left_out(tmp_path: Path) -> None:
    from torchvision import models

    whole = models.googlenet(weights=None, aux_logits=True, init_weights=False)
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    model = start(tmp_path / "whole.pth", "googlenet")
    assert torch.equal(model.backbone.conv1.conv.weight, whole.conv1.conv.weight)


def test_torchvision_s_own_weights_come_from_its_cache_or_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.error import URLError

    def fail(*arguments: object, **others: object) -> object:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = TorchvisionConfig("torchvision", "squeezenet1_1", "DEFAULT", None)
    with pytest.raises(UserError, match=r"model.weights=DEFAULT: cannot download https://.*squeezenet1_1-.*no route"):
        build_model(config, 32, seed=0)
    place = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    weights = torchvision_weights("squeezenet1_1")
    torch.save(weights, place)
    model = build_model(config, 32, seed=0)
    assert torch.equal(model.backbone.features[0].weight, weights["features.0.weight"])
    assert "last layer, classifier.1, which has the shape [1000, 512, 1, 1] there" in model.notes[0]
    assert len(initial_weights_digest(config)) == 64


def test_a_run_starts_from_another_run(cxr_run: Callable[..., Answer], elsewhere: Path) -> None:
    words = ("model=torchvision", f"model.arch={ARCH}", *TINY)
    assert cxr_run(*words).code == 0
    (first,) = elsewhere.glob("outputs/runs/torchvision-*/seed=0")
    answer = cxr_run(*words, f"model.weights={first.relative_to(elsewhere)}", "name=again", "optimizer.lr=1e-9")
    assert (answer.code, answer.err) == (0, "")
    assert f"weights: from {first}/model.safetensors\n" in answer.out
    (second,) = elsewhere.glob("outputs/runs/again-*/seed=0")
    one, other = (cxr_runner.load(run).module.last_layer().weight for run in (first, second))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_compact_run_has_no_weights_to_start_from(cxr_run: Callable[..., Answer], elsewhere: Path) -> None:
    (elsewhere / "compact").mkdir()
    (elsewhere / "compact" / "gram.safetensors").touch()
    answer = cxr_run("model=resnet18", "model.weights=compact", "data.image_size=64")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "is a run with save=compact" in answer.err


def test_a_resnet18_starts_from_its_own_weights_and_from_torchvision_s(tmp_path: Path) -> None:
    own = build_model(ResNet18Config("resnet18", None, None), 64, seed=1)
    (tmp_path / "seed=0").mkdir()
    save_file({name: value.clone() for name, value in own.state_dict().items()}, tmp_path / "seed=0/model.safetensors")
    same = build_model(ResNet18Config("resnet18", str(tmp_path / "seed=0"), None), 64, seed=0)
    assert torch.equal(same.backbone.fc.weight, own.backbone.fc.weight)
    assert torch.equal(same.backbone.conv1.weight, own.backbone.conv1.weight)


def test_a_run_from_before_models_could_be_frozen_is_still_known() -> None:
    assert read_model_config({"model": {"name": "resnet18", "weights": None}}) == ResNet18Config("resnet18", None, None)
    assert read_model_config({"model": {"name": "resnet18", "weights": None, "stranger": 1}}) is None

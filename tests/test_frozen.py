"""model.freeze=backbone: the last layer alone is trained, in Gram space, on features that are computed once."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

import cxr_runner
from conftest import Answer
from cxr_runner.base.errors import RunFailedError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.dataset import Dataset, open_dataset
from cxr_runner.models.build import build_model
from cxr_runner.training.gram import features as features_of_stores
from cxr_runner.training.loop import batch_order

ARCH = "shufflenet_v2_x0_5"  # has batch norm, which must stay as it is
TINY: dict[str, object] = {
    "data.num_images": 80,
    "data.image_size": 32,
    "plots": "never",
    "progress": "none",
    "device": "cpu",
    "model": "torchvision",
    "model.arch": ARCH,
}
HEADS: dict[str, object] = {
    **TINY,
    "model.freeze": "backbone",
    "epochs": 3,
    "batch_size": 16,
    "optimizer.lr": 0.02,
    "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 0.01,
    "loss.pos_weight": 0.4,
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose weights others start from."""
    return cxr_runner.run({**TINY, "epochs": 1, "outputs": tmp_path_factory.mktemp("backbone")})


@pytest.fixture(scope="module")
def heads(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two seeds of heads on it, trained together."""
    outputs = tmp_path_factory.mktemp("heads")
    return cxr_runner.run({**HEADS, "model.weights": backbone, "seeds": 2, "outputs": outputs})


def plain_sgd(config: RunConfig, dataset: Dataset, features: Tensor) -> tuple[Tensor, Tensor]:
    """Train a linear layer on features by torch's own SGD, in float64."""
    layer = build_model(config.model, config.data.image_size, config.seed).last_layer().double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02, momentum=0.9, weight_decay=0.01)
    rows = torch.tensor(dataset.rows("train"))
    labels = torch.tensor(dataset.labels("train")).double()
    for epoch in range(1, 4):
        for batch in batch_order(config.seed, epoch, len(rows)).split(16):
            optimizer.zero_grad()
            logits = layer(features[rows[batch]].double()).squeeze(1)
            binary_cross_entropy_with_logits(logits, labels[batch], pos_weight=torch.tensor(0.4)).backward()
            optimizer.step()
    return layer.weight.detach(), layer.bias.detach()


def test_heads_are_what_plain_sgd_in_float64_on_features_makes_of_them(backbone: Path, heads: Path) -> None:
    configs = compose({**HEADS, "model.weights": backbone, "seeds": 2})
    dataset = open_dataset(configs[0].data, Reporter())
    images = torch.from_numpy(dataset.images)[:, None].float() / 255
    for config in configs:
        run = heads / f"seed={config.seed}"
        module = cxr_runner.load(run).module
        features = module.features(images)
        weight, bias = plain_sgd(config, dataset, features)
        trained = load_file(run / "model.safetensors")
        start = build_model(config.model, 32, config.seed).last_layer().weight
        assert (weight - start).abs().max() > 1e-3  # it has moved
        torch.testing.assert_close(trained["backbone.fc.weight"].double(), weight, atol=1e-7, rtol=1e-5)
        torch.testing.assert_close(trained["backbone.fc.bias"].double(), bias, atol=1e-7, rtol=1e-5)
        predictions = pd.read_csv(run / "predictions.csv").set_index("name")["logit"]
        rows = torch.tensor(dataset.rows("test"))
        expected = (features[rows].double() @ weight.T + bias).squeeze(1)
        np.testing.assert_allclose(predictions[dataset.names("test")], expected.numpy(), atol=1e-6)
        metrics = json.loads((run / "metrics.json").read_text("utf-8"))
        assert metrics["engine"] == "gram"
        assert metrics["engine_disagreement"] < 1e-5


def test_everything_but_the_last_layer_stays_batch_norm_too(backbone: Path, heads: Path) -> None:
    before, after = (load_file(run / "model.safetensors") for run in (backbone, heads / "seed=1"))
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "backbone.fc.weight",
        "backbone.fc.bias",
    }


def test_a_head_is_the_same_alone_and_features_are_computed_once_for_all_seeds_and_folds(
    backbone: Path, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_of_stores, "_compute", lambda *arguments: pytest.fail("features were computed again"))
    words = {**HEADS, "model.weights": backbone, "outputs": tmp_path}
    alone = cxr_runner.run({**words, "seed": 1})
    assert (alone / "model.safetensors").read_bytes() == (heads / "seed=1" / "model.safetensors").read_bytes()
    cxr_runner.run({**words, "data.split.folds": 3, "epochs": 1})
    assert len(list(tmp_path.glob("runs/*/seed=0"))) == 3


def test_more_epochs_go_on_from_fewer_bit_for_bit(backbone: Path, heads: Path, tmp_path: Path) -> None:
    words = {**HEADS, "model.weights": backbone, "outputs": tmp_path}
    cxr_runner.run({**words, "epochs": 2})
    longer = cxr_runner.run(words)
    assert json.loads((longer / "metrics.json").read_text("utf-8"))["went_on_from"]["epochs"] == 2
    assert (longer / "model.safetensors").read_bytes() == (heads / "seed=0" / "model.safetensors").read_bytes()


def test_a_frozen_run_predicts_and_is_exported_as_any_other(
    heads: Path, cxr_model: Callable[..., Answer], elsewhere: Path
) -> None:
    answer = cxr_model("predict", heads / "seed=0", "data=phantom", "data.num_images=80")
    assert (answer.code, answer.err) == (0, "")
    predicted = pd.read_csv("predictions.csv").set_index("name")["logit"]
    own = pd.read_csv(heads / "seed=0" / "predictions.csv").set_index("name")["logit"]
    np.testing.assert_allclose(predicted[own.index], own, atol=1e-5)
    assert cxr_model("export", heads / "seed=0", "--format", "pt2").code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("model.weights=null",), "model.freeze=backbone: needs model.weights"),
        (("optimizer=adam",), "trains in Gram space, not possible here: optimizer=adam leaves"),
        (("augment.flip=0.5",), "trains in Gram space, not possible here: augment changes"),
        (("optimizer.grad_clip=1",), "trains in Gram space, not possible here: optimizer.grad_clip"),
        (("precision=bf16",), "trains in Gram space, not possible here: precision=bf16"),
        (("device=mps",), "trains in Gram space, not possible here: device=mps"),
        (("engine=pixel",), "engine=pixel: model.freeze trains in Gram space: valid are auto and gram"),
        (("save=compact",), "save=compact: model.freeze needs the weights that stay: valid is full"),
        (("model.freeze=head",), "model.freeze=head"),
        (("model=custom", "model.target=a:B"), "model.freeze=backbone: needs model.head"),
        (("model=cnn",), "model.weights=run: not a key of the chosen model"),
    ],
)
def test_what_does_not_go_with_it_is_refused_in_one_line(
    cxr_run: Callable[..., Answer], elsewhere: Path, words: tuple[str, ...], complaint: str
) -> None:
    frozen = ("model=torchvision", f"model.arch={ARCH}", "model.weights=run", "model.freeze=backbone")
    frozen = frozen[2:] if "model=custom" in words or "model=cnn" in words else frozen
    answer = cxr_run(*frozen, *words)
    assert (answer.code, len(answer.err.splitlines())) == (2, 1), answer.err
    assert complaint in answer.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(("fault", "remedy"), [("memory", "batch_size=16"), ("rate", "optimizer.lr (now 1e+300)")])
def test_a_failure_proposes_only_what_goes_with_it(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, remedy: str
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    if fault == "memory":
        monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", fail)
    with pytest.raises(RunFailedError) as raised:
        cxr_runner.run({**HEADS, "model.weights": backbone, "optimizer.lr": 1e300, "outputs": tmp_path})
    assert remedy in str(raised.value)
    assert "engine" not in str(raised.value)
    assert "grad_clip" not in str(raised.value)


def test_a_class_whose_head_is_not_its_end_cannot_be_frozen(
    cxr_run: Callable[..., Answer], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    text += "        self.last = nn.Linear(1024, 1)\n    def forward(self, x):\n"
    (elsewhere / "doubling.py").write_text(f"{text}        return 2 * self.last(x.flatten(1)).squeeze(1)\n", "utf-8")
    words = ("model=custom", "model.target=doubling:Net", "data.num_images=80", "data.image_size=32", "epochs=1")
    assert cxr_run(*words, "plots=never", "progress=none", "name=whole").code == 0
    (run,) = elsewhere.glob("outputs/runs/whole-*/seed=0")
    answer = cxr_run(*words, f"model.weights={run}", "model.head=last", "model.freeze=backbone", "progress=none")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1), answer.err
    assert "cannot be frozen: its logits are not what its last layer, network.last, gives" in answer.err

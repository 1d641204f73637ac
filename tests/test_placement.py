"""Runs of every kind on a stand-in for a GPU: a tensor on the wrong device ends them, as it would on a real one.

The stand-in computes on the CPU, so that what a run leaves there is what it leaves on the CPU, up to rounding.
"""

import io
import json
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import torch

from cxr_runner import api
from cxr_runner.experiment import stack
from cxr_runner.training import pixel
from cxr_runner.training.gram import steps as gram_backend
from cxr_runner.training.gram.steps import GramBackend
from cxr_runner.training.loop import train_epoch
from cxr_runner.training.pixel import PixelBackend
from stand_in import FakeCuda, is_on_gpu, one_gpu

pytestmark = pytest.mark.placement

SMALL = ("data.num_images=60", "data.image_size=24", "epochs=2", "batch_size=16", "progress=none", "plots=never")
BEST = ("early_stopping.patience=1", "early_stopping.restore_best=true")
USUAL = ("epochs=10", "batch_size=32")  # of a model that has a use for neither
CASES = {
    "linear, Gram": ("model=linear", "engine=gram"),
    "linear, one layer, Gram": ("model=linear", "model.layers=1", "engine=gram", "loss.pos_weight=0.37"),
    "relu, Gram, best weights": ("model=linear_relu", "engine=gram", "seeds=3", "loss.pos_weight=balanced", *BEST),
    "momentum, Gram": ("engine=gram", "seeds=3", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
    "dead members, Gram": ("model=linear_relu", "engine=gram", "optimizer.lr=0.01", "epochs=5", "seeds=6"),
    "schedule, Gram": ("engine=gram", "schedule.name=cosine", "schedule.warmup_epochs=1", "deterministic=false"),
    "linear, pixels, best weights": ("engine=pixel", "optimizer.momentum=0.9", "optimizer.grad_clip=1", *BEST),
    "relu, AdamW, pixels": ("model=linear_relu", "optimizer=adamw", "loss.pos_weight=balanced"),
    "relu, pixels, momentum, best by AUROC": (
        "model=linear_relu",
        "engine=pixel",
        "optimizer.momentum=0.9",
        "early_stopping.metric=val_auroc",
        *BEST,
    ),
    "linear, Adam, best by F1": ("model=linear", "optimizer=adam", "early_stopping.metric=val_f1", *BEST),
    "logistic": ("model=logistic", "loss.pos_weight=balanced", *USUAL),
    "CNN": ("model=cnn", "model.hidden=4"),
    "CNN, Adam": ("model=cnn", "model.hidden=4", "optimizer=adam", "loss.pos_weight=balanced", *BEST),
    "CNN, bf16, augmented": ("model=cnn", "model.hidden=4", "precision=bf16", "augment.flip=0.5", "augment.degrees=5"),
    "ResNet-18": ("model=resnet18", "data.image_size=64", "epochs=1"),
    "torchvision, dropout": ("model=torchvision", "model.arch=squeezenet1_1", "data.image_size=32", "epochs=1"),
}
LONG = ("ResNet-18", "torchvision, dropout")
RESUMED = {
    "Gram, decay": ("model=linear_relu", "engine=gram", "optimizer.weight_decay=0.01"),
    "Gram, momentum": ("model=linear", "engine=gram", "optimizer.momentum=0.9"),
    "logistic": ("model=logistic", *USUAL),
    "pixels, Adam": ("model=cnn", "model.hidden=4", "optimizer=adam", *BEST),
}
FAR = 0.1  # between logits: batch norm on a few images turns rounding into 0.02


@contextmanager
def promises():
    """Hold the backends to what :class:`Backend` says is on the CPU, which CUDA itself might not mind."""

    def held(backend, name):
        method = getattr(backend, name)

        def call(*args):
            result = method(*args)
            assert not is_on_gpu(result), f"{name}() promises the CPU"
            return result

        return mock.patch.object(backend, name, call)

    with ExitStack() as patches:
        for backend in (GramBackend, PixelBackend):
            for name in ("logits", "weights", "snapshot"):
                patches.enter_context(held(backend, name))
        yield


def _train(outputs: Path, device: str, *overrides: str) -> pd.DataFrame:
    api.run([*SMALL, *overrides, f"outputs={outputs}", f"device={device}"])
    return _predictions(outputs)


def _predictions(outputs: Path) -> pd.DataFrame:
    tables = [pd.read_csv(io.StringIO(path.read_text())) for path in sorted(outputs.rglob("predictions.csv"))]
    return pd.concat(tables, ignore_index=True)


def _agree(there: pd.DataFrame, here: pd.DataFrame) -> None:
    assert there[["split", "name", "label"]].equals(here[["split", "name", "label"]])
    assert (there["logit"] - here["logit"]).abs().max() < FAR


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.long) if case in LONG else case for case in CASES]
)
def test_a_run_goes_through_and_leaves_what_it_leaves_on_the_cpu(case: str, tmp_path: Path) -> None:
    with one_gpu(), promises():
        there = _train(tmp_path / "cuda", "auto", *CASES[case])
    metrics = json.loads(next((tmp_path / "cuda").rglob("metrics.json")).read_text())
    assert metrics["device"] == "cuda (stand-in)"
    _agree(there, _train(tmp_path / "cpu", "cpu", *CASES[case]))


@pytest.mark.long
def test_features_of_a_frozen_model_are_computed_there(tmp_path: Path) -> None:
    small = ("model=torchvision", "model.arch=squeezenet1_1", "data.image_size=32")
    start = api.run([*SMALL, *small, "epochs=1", "device=cpu", f"outputs={tmp_path / 'start'}"])
    frozen = (*small, f"model.weights={start}", "model.freeze=backbone", "seeds=2", "optimizer.momentum=0.9")
    with one_gpu(), promises():
        there = _train(tmp_path / "cuda", "auto", *frozen)
    _agree(there, _train(tmp_path / "cpu", "cpu", *frozen))


def test_images_that_do_not_fit_well_travel_batch_by_batch(tmp_path: Path) -> None:
    with one_gpu(), promises(), mock.patch.object(pixel, "_RESIDENT_SHARE", 0.0):
        there = _train(tmp_path / "cuda", "cuda", "engine=pixel")
    _agree(there, _train(tmp_path / "cpu", "cpu", "engine=pixel"))


@pytest.mark.parametrize("case", RESUMED)
def test_a_cut_off_run_goes_on_there(case: str, tmp_path: Path) -> None:
    calls = []

    def cut_off(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_epoch(*args)

    with one_gpu(), promises():
        whole = _train(tmp_path / "whole", "cuda", *RESUMED[case])
        with mock.patch.object(stack, "train_epoch", cut_off), pytest.raises(KeyboardInterrupt):
            _train(tmp_path / "cut", "cuda", *RESUMED[case])
        assert list(tmp_path.glob("cut/runs/*/*/checkpoint.pt"))
        assert _train(tmp_path / "cut", "cuda", *RESUMED[case]).equals(whole)


def test_the_fault_that_ended_every_gram_run_on_a_gpu_would_be_found(tmp_path: Path) -> None:
    """First weights were taken from models that are on the GPU, where they have no bytes for a digest."""
    with one_gpu(), mock.patch.object(gram_backend, "first_weight", lambda model: model.cuda().layer_stack[1].weight):
        with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
            _train(tmp_path, "cuda", "engine=gram")


def test_the_stand_in_computes_and_gives_numbers_back() -> None:
    with one_gpu():
        there = torch.arange(6.0).view(2, 3).cuda()
        assert (there.device.type, there.is_cuda, type(there)) == ("cuda", True, FakeCuda)
        assert (there @ there.T).cpu().tolist() == [[5.0, 14.0], [14.0, 50.0]]
        assert there.sum().item() == 15
        there[0] = torch.zeros(3)  # CUDA copies between devices
        assert there.tolist() == [[0, 0, 0], [3, 4, 5]]
        assert torch.ones(3, device="cuda").add_(1).cpu().numpy().tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda cpu, gpu: gpu.numpy(), TypeError),
        (lambda cpu, gpu: gpu + cpu, RuntimeError),
        (lambda cpu, gpu: cpu.add_(gpu), RuntimeError),
        (lambda cpu, gpu: gpu @ cpu, RuntimeError),
        (lambda cpu, gpu: torch.mm(cpu, cpu, out=gpu), RuntimeError),
        (lambda cpu, gpu: torch.cat([cpu, gpu]), RuntimeError),
        (lambda cpu, gpu: cpu[gpu.long()[0]], RuntimeError),
        (lambda cpu, gpu: gpu.index_select(0, torch.tensor([0])), RuntimeError),
        (lambda cpu, gpu: gpu.index_put_((torch.tensor([0]),), cpu[:1]), RuntimeError),
        (lambda cpu, gpu: torch.randperm(4, generator=torch.Generator(), device="cuda"), RuntimeError),
        (lambda cpu, gpu: gpu.normal_(generator=torch.Generator()), RuntimeError),
        (lambda cpu, gpu: torch._int_mm(gpu.to(torch.int8), gpu.to(torch.int8)), RuntimeError),
    ],
)
def test_the_stand_in_refuses_what_cuda_refuses(mistake, error) -> None:
    with one_gpu():
        cpu = torch.ones(2, 2)
        with pytest.raises(error):
            mistake(cpu, cpu.cuda())


def test_the_stand_in_lets_through_what_cuda_lets_through() -> None:
    with one_gpu():
        gpu = torch.arange(4.0).view(2, 2).cuda()
        assert (gpu * torch.tensor(2.0)).tolist() == [[0, 2], [4, 6]]  # a number of the CPU
        assert gpu[torch.tensor([1])].tolist() == [[2, 3]]  # an index of the CPU
        assert torch.ones(2, 2).copy_(gpu).tolist() == gpu.tolist()

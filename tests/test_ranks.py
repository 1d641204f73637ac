"""Two processes that share every batch give the numbers of one."""

import json
import subprocess
import sys
import weakref
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cxr_runner.artifacts.rundir import find_runs
from installed import installed

# 42 training images: the last batch of two gives each process one image.
SMALL = (
    *("data.num_images=60", "batch_size=8", "optimizer=sgd", "optimizer.momentum=0.9"),
    *("progress=lines", "plots=never"),
)
BEST = ("early_stopping.patience=2", "early_stopping.restore_best=true", "epochs=3", "augment.flip=0.5")


def _run(outputs: str, *arguments: str, together: bool) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    command = [*(torchrun if together else []), installed("cxr-run"), f"outputs={outputs}", *SMALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


# Batch norm over few images magnifies rounding: with the usual learning rate one process on two threads is as far off.
RESNET = ("model=resnet18", "data.image_size=64", "epochs=1", "optimizer.lr=1e-4")


CHOICES = [
    pytest.param(("model=cnn", "data.image_size=16", *BEST), id="cnn"),
    pytest.param(RESNET, id="resnet18", marks=pytest.mark.long),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_two_processes_leave_one_run_with_the_numbers_of_one_process(elsewhere: Path, choice: tuple[str, ...]) -> None:
    alone, together = _run("alone", *choice, together=False), _run("together", *choice, together=True)
    assert (alone.returncode, together.returncode) == (0, 0), alone.stderr + together.stderr
    (expected,), (run,) = find_runs(elsewhere / "alone"), find_runs(elsewhere / "together")
    assert run.path.relative_to(elsewhere / "together") == expected.path.relative_to(elsewhere / "alone")
    assert (expected.metrics["num_processes"], run.metrics["num_processes"]) == (1, 2)
    assert together.stdout.count("run directory: ") == 1
    histories = [one.history().drop(columns="seconds") for one in (expected, run)]
    pd.testing.assert_frame_equal(*histories, rtol=2e-4)
    weights = [load_file(one.path / "model.safetensors") for one in (expected, run)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        tolerance = 1e-3 if "running" in name else 1e-5  # statistics of activations, not weights
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=tolerance, msg=name)
    logits = [pd.read_csv(one.path / "predictions.csv")["logit"] for one in (expected, run)]
    pd.testing.assert_series_equal(*logits, rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_two_processes_go_on_where_one_was_cut_off(elsewhere: Path) -> None:
    choice = ("model=cnn", "data.image_size=96", "optimizer.lr=1e-3", "epochs=40")  # slow enough to be cut off
    reference = _run("reference", *choice, together=False)
    assert reference.returncode == 0, reference.stderr
    command = [installed("cxr-run"), "outputs=cut", *SMALL, *choice]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   2/"):
                process.kill()
    answer = _run("cut", *choice, together=True)
    assert answer.returncode == 0, answer.stderr
    assert "resuming after epoch" in answer.stdout
    (expected,), (run,) = find_runs(elsewhere / "reference"), find_runs(elsewhere / "cut")
    pd.testing.assert_frame_equal(
        expected.history().drop(columns="seconds"), run.history().drop(columns="seconds"), rtol=5e-3
    )


def test_a_run_that_fails_ends_all_processes(elsewhere: Path) -> None:
    answer = _run("outputs", "model=cnn", "data.image_size=16", "epochs=1", "optimizer.lr=1e30", together=True)
    assert answer.returncode == 1
    assert "the loss is not finite in epoch 1" in answer.stderr
    (run,) = find_runs(elsewhere / "outputs")
    assert run.state == "failed"


@pytest.mark.long
def test_a_command_without_pixels_to_share_ends_too(elsewhere: Path) -> None:
    answer = _run("outputs", "model=linear", "data.image_size=32", "epochs=1", together=True)
    assert answer.returncode == 0, answer.stderr
    (run,) = find_runs(elsewhere / "outputs")
    assert json.loads((run.path / "metrics.json").read_text("utf-8"))["engine"] == "gram"


def test_a_helper_holds_one_model_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_runner.training import distributed as ranks

    built: list[weakref.ref[nn.Module]] = []

    def build() -> nn.Module:
        assert [model() for model in built] == [None] * len(built)
        model = nn.Linear(1, 1)
        built.append(weakref.ref(model))
        return model

    messages = iter([("build",), ("build",), ("stop",)])
    monkeypatch.setattr(ranks, "_hear", lambda: next(messages))
    monkeypatch.setattr(ranks, "_build", build)
    monkeypatch.setattr(ranks.dist, "destroy_process_group", lambda: None)
    ranks.help_leader()
    assert len(built) == 2


def test_shared_batch_norm_is_batch_norm(tmp_path: Path) -> None:
    from cxr_runner.training.distributed import SharedBatchNorm

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        plain, shared = nn.BatchNorm2d(3), SharedBatchNorm(3)
        images = torch.randn(4, 3, 5, 5) + 2
        inputs = [images.clone().requires_grad_() for _ in range(2)]
        outputs = [layer(one) for layer, one in zip((plain, shared), inputs, strict=True)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            (output**3).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plain.running_var, shared.running_var)
        torch.testing.assert_close(plain.running_mean, shared.running_mean)
    finally:
        torch.distributed.destroy_process_group()

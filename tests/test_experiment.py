"""Whole runs in process: what they leave behind, and that it is what their configuration says."""

import json
import math
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_module
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, roc_auc_score

import cxr_runner
from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.errors import RunFailedError, UserError
from cxr_runner.config.validation import from_hydra, split_runs
from cxr_runner.experiment.sweep import run_sweep, train
from cxr_runner.models.cnn import CNN
from cxr_runner.models.linear_relu import LinearReLU
from cxr_runner.training.engines import choose_engine
from cxr_runner.training.gram.space import GramSpace
from cxr_runner.training.gram.steps import GramBackend
from cxr_runner.training.loop import train_epoch
from cxr_runner.training.pixel import PixelBackend, images_at_once
from test_native_kernels import needs_compiler

PHANTOM = ("data.num_images=60", "data.image_size=16", "epochs=2", "progress=none", "plots=never")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CXR_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def _config(outputs, *overrides):
    with initialize_config_module("cxr_runner.conf", version_base="1.3"):
        return from_hydra(compose("config", [f"outputs={outputs}", *overrides]))


def _run(outputs, *overrides):
    """Train one run and return its directory."""
    train([_config(outputs, *overrides)])
    (run,) = find_runs(outputs)
    return run


def _content(path):
    """Return what must be equal between two runs of the same configuration."""
    history = pd.read_csv(path / "history.csv").drop(columns="seconds").to_csv()
    return history, (path / "predictions.csv").read_bytes(), (path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("choice", [("model=linear",), ("model=linear_relu", "engine=pixel"), ("model=cnn",)])
def test_the_same_configuration_gives_the_same_bytes(tmp_path, choice):
    first = _run(tmp_path / "a", *choice, *PHANTOM)
    second = _run(tmp_path / "b", *choice, *PHANTOM)
    assert first.path.relative_to(tmp_path / "a") == second.path.relative_to(tmp_path / "b")
    assert _content(first.path) == _content(second.path)
    other = _run(tmp_path / "c", *choice, *PHANTOM, "seed=1")
    assert _content(other.path) != _content(first.path)
    assert other.path.parent.name == first.path.parent.name


def test_metrics_follow_from_the_predictions(tmp_path):
    run = _run(tmp_path, "model=linear", "optimizer.lr=0.01", "batch_size=7", *PHANTOM)
    predictions = pd.read_csv(run.path / "predictions.csv")
    assert predictions.columns.tolist() == ["split", "name", "patient", "label", "logit", "probability"]
    assert predictions["split"].unique().tolist() == ["val", "test"]
    assert predictions["name"].is_unique
    np.testing.assert_allclose(predictions["probability"], 1 / (1 + np.exp(-predictions["logit"])))
    for split, table in predictions.groupby("split"):
        decisions = (table["logit"] > 0).astype(int)
        right = (decisions == table["label"]).to_numpy()
        means = [right[start : start + 7].mean() for start in range(0, len(right), 7)]
        assert run.metrics[split]["accuracy"] == pytest.approx(accuracy_score(table["label"], decisions))
        assert run.metrics[split]["accuracy_batch_mean"] == pytest.approx(np.mean(means))
        assert run.metrics[split]["auroc"] == pytest.approx(roc_auc_score(table["label"], table["logit"]))
    last = run.history().iloc[-1]
    assert last["val_accuracy"] == pytest.approx(run.metrics["val"]["accuracy"])


def test_the_weights_on_disk_make_the_predictions_on_disk(tmp_path):
    run = _run(tmp_path, "model=cnn", *PHANTOM)
    model = CNN(16, 10, 3)
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    from cxr_runner.base.progress import Reporter
    from cxr_runner.data.dataset import open_dataset

    dataset = open_dataset(_config(tmp_path, "model=cnn", *PHANTOM).data, Reporter())
    images = torch.tensor(dataset.images[dataset.rows("test")]).float().unsqueeze(1) / 255
    predictions = pd.read_csv(run.path / "predictions.csv").query("split == 'test'")
    assert predictions["name"].tolist() == dataset.names("test")
    np.testing.assert_allclose(model(images).detach().numpy(), predictions["logit"], rtol=1e-4, atol=1e-5)


def _write_folder(root, test_images_seed):
    """Write a small data set with given splits; only its test images depend on the seed."""
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        rng = np.random.default_rng(test_images_seed if split == "test" else [1, count])
        for label, name in enumerate(("NORMAL", "PNEUMONIA")):
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 200, (16, 16)) + 50 * label
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{k}.png")


def test_nothing_learned_depends_on_the_test_images(tmp_path):
    runs = []
    for seed in (2, 3):
        _write_folder(tmp_path / f"images{seed}", seed)
        overrides = (
            "data=folder",
            f"data.root={tmp_path}/images{seed}",
            *PHANTOM[1:],
            "early_stopping.restore_best=true",
        )
        runs.append(_run(tmp_path / f"out{seed}", "model=linear", "optimizer.lr=0.01", *overrides))
    one, other = (_content(run.path) for run in runs)
    assert one[0] == other[0], "history"
    assert one[2] == other[2], "weights"
    assert one[1] != other[1], "predictions of the test images"


def test_a_finished_run_is_not_trained_again_unless_forced(tmp_path, monkeypatch):
    first = _run(tmp_path, *PHANTOM)
    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.experiment.stack.train_epoch", lambda *_: pytest.fail("trained again"))
        _run(tmp_path, *PHANTOM, "name=linear", "progress=none")
    before = (first.path / "status.json").read_text()
    _run(tmp_path, *PHANTOM, "force=true")
    after = json.loads((first.path / "status.json").read_text())
    assert after["state"] == "done"
    assert (first.path / "status.json").read_text() != before


def _cut_off(monkeypatch, after, *arguments):
    def cut_off(trainers, *rest):
        if len(trainers[0].history) == after:
            raise KeyboardInterrupt
        train_epoch(trainers, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.experiment.stack.train_epoch", cut_off)
        patch.setattr("cxr_runner.experiment.stack._CHECKPOINT_SHARE", math.inf)
        with pytest.raises(KeyboardInterrupt):
            _run(*arguments)


@pytest.mark.parametrize(
    "overrides", [("model=cnn",), ("optimizer=adam", "augment.flip=0.5", "loss.pos_weight=balanced")]
)
def test_a_cut_off_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path, monkeypatch, overrides):
    overrides = (*overrides, *PHANTOM, "epochs=4")
    whole = _run(tmp_path / "whole", *overrides)
    _cut_off(monkeypatch, 2, tmp_path / "cut", *overrides)
    (cut,) = find_runs(tmp_path / "cut")
    assert (cut.state, cut.problem) == ("interrupted", "interrupted")
    assert (cut.path / "checkpoint.pt").exists()
    assert len(cut.history()) == 2
    begun = []

    def watched(trainers, *arguments):
        begun.append(len(trainers[0].history) + 1)
        train_epoch(trainers, *arguments)

    monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", watched)
    resumed = _run(tmp_path / "cut", *overrides)
    assert begun == [3, 4]
    assert _content(resumed.path) == _content(whole.path)
    assert not (resumed.path / "checkpoint.pt").exists()


@needs_compiler
def test_a_run_that_goes_on_by_other_kernels_says_so_and_is_no_beginning_of_another(tmp_path, monkeypatch, capsys):
    for after, kernels in enumerate(("torch", "native", "torch"), start=1):
        _cut_off(monkeypatch, after, tmp_path, *PHANTOM, "epochs=4", f"kernels={kernels}")
    run = _run(tmp_path, *PHANTOM, "epochs=4", "kernels=torch", "progress=lines")
    assert "seed 0: resuming after epoch 3\n" in capsys.readouterr().out, "by the last kernels that it had"
    assert run.metrics["kernels"] == "torch, then native, then torch"
    train([_config(tmp_path, *PHANTOM, "epochs=5", "kernels=torch", "progress=lines")])
    assert "going on" not in capsys.readouterr().out
    assert {each.metrics["kernels"] for each in find_runs(tmp_path)} == {run.metrics["kernels"], "torch"}


@needs_compiler
def test_kernels_that_trained_no_epoch_are_not_said_to_have(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.experiment.stack.leave_results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path, *PHANTOM, "kernels=torch")
    run = _run(tmp_path, *PHANTOM, "kernels=native")
    assert run.metrics["kernels"] == "torch"
    assert "kernels_reason" not in run.metrics


@needs_compiler
def test_a_run_that_a_longer_one_of_other_kernels_passes_on_its_way_says_so_too(tmp_path, monkeypatch, capsys):
    _cut_off(monkeypatch, 1, tmp_path, *PHANTOM, "epochs=4", "kernels=torch")
    train([_config(tmp_path, *PHANTOM, f"epochs={epochs}", "kernels=native", "progress=lines") for epochs in (3, 4)])
    assert "seed 0: resuming after epoch 1, computed by torch kernels\n" in capsys.readouterr().out
    assert [run.metrics["kernels"] for run in find_runs(tmp_path)] == ["torch, then native"] * 2


@pytest.mark.parametrize("name", ["metrics.json", "model.safetensors", "predictions.csv"])
def test_a_finished_run_that_lost_a_file_is_trained_anew(tmp_path, name):
    run = _run(tmp_path, *PHANTOM)
    before = _content(run.path)
    (run.path / name).unlink()
    assert _content(_run(tmp_path, *PHANTOM).path) == before
    (run.path / "metrics.json").write_text('{"val": null}')
    with pytest.raises(RunFailedError, match=r"^altered: metrics\.json has changed since the run was finished"):
        _run(tmp_path, *PHANTOM)
    (run.path / "status.json").write_text('{"state": "done"}')  # as of runs from before there were checksums
    assert _content(_run(tmp_path, *PHANTOM).path) == before


def test_a_damaged_checkpoint_is_said_removed_and_started_over(tmp_path):
    run = _run(tmp_path, *PHANTOM)
    before = _content(run.path)
    (run.path / "metrics.json").unlink()
    (run.path / "checkpoint.pt").write_bytes(b"garbage")
    with pytest.raises(RunFailedError, match=r"checkpoint\.damaged\.pt"):
        _run(tmp_path, *PHANTOM)
    assert _content(_run(tmp_path, *PHANTOM).path) == before


def test_a_loss_that_is_not_finite_fails_the_run_and_says_when(tmp_path):
    with pytest.raises(RunFailedError, match=r"try optimizer\.grad_clip=1 or a smaller optimizer\.lr"):
        _run(tmp_path, "optimizer.lr=1e30", "engine=pixel", *PHANTOM)
    (run,) = find_runs(tmp_path)
    assert run.state == "failed"
    assert "not finite in epoch 1" in run.problem
    assert run.diverged
    assert "not finite" in json.loads((run.path / "status.json").read_text())["traceback"]
    assert not (run.path / "metrics.json").exists()


def refused_by_the_cpu():
    """The error of torch itself for more memory than any machine has."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**45)
    return raised.value


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory.\nTried"), MemoryError(), refused_by_the_cpu()], ids=repr
)
@pytest.mark.parametrize(("engine", "way_out"), [("pixel", "model"), ("gram", "engine=pixel")])
def test_a_run_that_does_not_fit_into_memory_fails_and_says_what_to_do(tmp_path, monkeypatch, error, engine, way_out):
    def fail(*_):
        raise error

    monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", fail)
    with pytest.raises(RunFailedError, match=rf"^the memory of cpu .* batch_size=32; .*{way_out}$"):
        _run(tmp_path, f"engine={engine}", "device=cpu", *PHANTOM)
    (run,) = find_runs(tmp_path)
    assert "batch_size=32; a smaller one" in run.problem


def test_a_failed_run_keeps_no_model_in_memory_for_the_rest_of_a_sweep(tmp_path, monkeypatch):
    alive = []

    def fail(trainers, *_):
        alive.append(weakref.ref(trainers[0].backend.model))
        try:
            trainers[0].backend.model(torch.zeros(3))
        except RuntimeError as error:
            raise ValueError("a chain of errors") from error

    monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", fail)
    outcomes = run_sweep([_config(tmp_path, "model=cnn", *PHANTOM)])
    assert isinstance(outcomes[0].error, ValueError)
    assert alive[0]() is None


@pytest.mark.parametrize("lr", ["1e30", "1e200"])
def test_what_only_float64_can_hold_fails_in_gram_space_too(tmp_path, lr):
    with pytest.raises(RunFailedError, match=r"optimizer\.lr"):
        _run(tmp_path, f"optimizer.lr={lr}", *PHANTOM)
    (run,) = find_runs(tmp_path)
    assert run.state == "failed"


def test_a_model_whose_output_is_constant_is_flagged(tmp_path, monkeypatch):
    alive = _run(tmp_path / "alive", "model=linear", *PHANTOM)
    assert alive.metrics["collapsed"] is False

    def dead(*_):
        model = LinearReLU(16, 2, 10)
        with torch.no_grad():
            model.layer_stack[-2].bias.fill_(-100)
        return model

    monkeypatch.setattr("cxr_runner.experiment.stack.build_model", dead)
    collapsed = _run(tmp_path / "dead", "model=linear_relu", *PHANTOM)
    assert collapsed.state == "done"
    assert collapsed.metrics["collapsed"] is True
    assert collapsed.metrics["test"]["tp"] == 0, "a logit of 0 is negative"
    assert collapsed.history()["train_loss"].tolist() == pytest.approx([np.log(2)] * 2)


@pytest.mark.parametrize("model", ["linear", "linear_relu"])
def test_both_engines_come_to_the_same_decisions(tmp_path, model):
    overrides = (f"model={model}", "data.num_images=60", "data.image_size=32", "epochs=4", "progress=none")
    overrides += ("optimizer.lr=0.01", "optimizer.momentum=0.9", "loss.pos_weight=0.37", "seed=1")
    gram = _run(tmp_path / "gram", *overrides)
    pixel = _run(tmp_path / "pixel", *overrides, "engine=pixel")
    assert [gram.metrics["engine"], pixel.metrics["engine"]] == ["gram", "pixel"]
    assert gram.id != pixel.id
    assert gram.metrics["engine_disagreement"] < 1e-4
    assert not gram.metrics["collapsed"]
    np.testing.assert_allclose(gram.history()["val_loss"], pixel.history()["val_loss"], rtol=1e-4)
    ours, theirs = (pd.read_csv(run.path / "predictions.csv") for run in (gram, pixel))
    np.testing.assert_allclose(ours["logit"], theirs["logit"], rtol=1e-3, atol=1e-4)
    clear = ours["logit"].abs() > 1e-3
    assert ((ours["logit"] > 0) == (theirs["logit"] > 0))[clear].all()


@pytest.mark.parametrize(
    ("overrides", "engine", "reason"),
    [
        ((), "gram", "exact"),
        (("optimizer=adam",), "pixel", "optimizer=adam leaves the span"),
        (("model=cnn",), "pixel", "model=cnn does not begin with a linear layer"),
        (("augment.flip=0.5",), "pixel", "augment"),
        (("optimizer.grad_clip=1",), "pixel", "grad_clip"),
        (("precision=bf16",), "pixel", "precision=bf16"),
        (("data.num_images=80", "data.image_size=8"), "pixel", "64 pixels are no more than 80 images"),
        (("engine=pixel",), "pixel", "asked for"),
    ],
)
def test_auto_chooses_by_validity_and_shape_and_the_run_says_why(tmp_path, overrides, engine, reason):
    metrics = _run(tmp_path, *PHANTOM, "epochs=1", *overrides).metrics
    assert metrics["engine"] == engine
    assert reason in metrics["engine_reason"]


@pytest.mark.parametrize(
    ("machine", "gpu", "reason"),
    [
        (100, 100, "exact"),
        (20, 100, "would take 6 GB of memory"),
        (100, 10, "would take 3 of the 10 GB of cuda"),
    ],
)
def test_auto_leaves_out_a_gram_matrix_that_the_machine_or_the_gpu_has_no_room_for(
    tmp_path, monkeypatch, machine, gpu, reason
):
    monkeypatch.setattr("cxr_runner.training.engines.memory_bytes", lambda: machine * 10**9)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: SimpleNamespace(total_memory=gpu * 10**9))
    dataset = SimpleNamespace(images=range(20_000))  # 3.2 GB
    choice = choose_engine(_config(tmp_path), dataset, torch.device("cuda"))
    assert choice.engine == ("gram" if reason == "exact" else "pixel")
    assert reason in choice.reason


def test_gram_space_where_it_is_not_valid_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"^engine=gram: not possible here: optimizer=adam"):
        _config(tmp_path, "engine=gram", "optimizer=adam")


def test_weights_that_do_not_give_the_engines_logits_fail_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("cxr_runner.experiment.evaluation.largest_disagreements", lambda *_: [10.0])
    with pytest.raises(RunFailedError, match="differ by 10 from those of engine=gram"):
        _run(tmp_path, *PHANTOM)


def test_balanced_weighs_by_the_training_split(tmp_path):
    run = _run(tmp_path, "loss.pos_weight=balanced", *PHANTOM)
    counts = run.data["counts"]["train"]
    assert run.metrics["pos_weight"] == pytest.approx(counts["NORMAL"] / counts["PNEUMONIA"])


def test_early_stopping_ends_a_run_before_its_last_epoch(tmp_path):
    run = _run(tmp_path, *PHANTOM, "epochs=40", "optimizer.lr=0.3", "early_stopping.patience=2")
    assert run.metrics["stopped_early"] is True
    assert run.metrics["epochs_trained"] == len(run.history()) == run.metrics["best_epoch"] + 2


@pytest.mark.parametrize(
    "overrides", [("model=resnet18", "data.image_size=64"), ("precision=bf16",), ("optimizer=adamw",)]
)
def test_what_goes_beyond_the_study_runs_too(tmp_path, overrides):
    run = _run(tmp_path, *PHANTOM, *overrides, "epochs=1")
    assert run.state == "done"
    assert 0 <= run.metrics["test"]["auroc"] <= 1


def test_the_run_says_what_it_was_trained_on_and_with(tmp_path):
    run = _run(tmp_path, "device=cpu", *PHANTOM, "plots=auto")
    assert run.data["title"] == "synthetic phantom data"
    assert run.data["fingerprint"] == run.metrics["data_fingerprint"]
    assert run.metrics["synthetic"] is True
    assert {"python", "torch", "cxr-runner"} <= set(run.metrics["versions"])
    assert run.metrics["engine"] == "gram"
    assert run.metrics["device"].startswith("cpu")
    assert run.metrics["train_seconds"] == pytest.approx(run.history()["seconds"].sum())
    assert run.config["optimizer"]["lr"] == 1e-4
    checkout = Path(__file__).parents[1]
    if (checkout / ".git").exists() and Path(cxr_runner.__file__).is_relative_to(checkout):
        git = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
        assert run.metrics["git_commit"].removesuffix("+") == commit
    with Image.open(run.path / "curves.png") as curves, Image.open(run.path / "confusion.png") as confusion:
        assert min(*curves.size, *confusion.size) > 300


@pytest.mark.parametrize(
    ("capability", "model", "said"),
    [
        ("AVX2", "linear", "on this CPU, which has no instructions for it"),
        ("AVX2", "cnn", "on this CPU, which has no instructions for it"),
        ("AVX512", "cnn", "on a CPU with a C++ compiler (kernels=native)"),
        ("AVX512", "linear", None),
    ],
)
def test_bf16_on_a_cpu_where_float32_is_faster_is_said_to_be_slow(
    tmp_path, monkeypatch, capsys, capability, model, said
):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    _run(tmp_path, f"model={model}", "precision=bf16", "device=cpu", *PHANTOM, "progress=lines")
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("precision=bf16")]
    assert len(found) == (said is not None)
    assert said is None or f"precision=bf16 is slower than float32 {said}" in found[0]


@pytest.mark.parametrize(("device", "largest"), [("cpu", 8), ("cuda", sys.maxsize)])
def test_a_cnn_computes_few_large_images_at_once_on_a_cpu(tmp_path, device, largest):
    of_cnn = images_at_once(_config(tmp_path, "model=cnn", "data.image_size=640"), torch.device(device))
    assert of_cnn == largest
    assert images_at_once(_config(tmp_path, "data.image_size=640"), torch.device(device)) == sys.maxsize


def test_a_run_on_a_cpu_computes_as_few_images_at_once_in_all_that_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr("cxr_runner.training.pixel._CNN_PIXELS_AT_ONCE", 3 * 16**2)
    seen, forward = set(), CNN.forward
    monkeypatch.setattr(CNN, "forward", lambda self, images: seen.add(len(images)) or forward(self, images))
    _run(tmp_path, "model=cnn", "device=cpu", *PHANTOM)
    assert max(seen) == 3


def test_a_diagnosis_computes_few_images_at_once_whatever_fits_in_training(tmp_path, monkeypatch):
    seen, forward = set(), CNN.forward

    def watched(self, images):
        if torch.is_grad_enabled() and not self.training:
            seen.add(len(images))
        return forward(self, images)

    monkeypatch.setattr(CNN, "forward", watched)
    run = _run(tmp_path, "model=cnn", *PHANTOM)
    assert max(seen) == 8 < run.config["batch_size"]


def test_outputs_that_are_not_finite_fail_the_run(tmp_path, monkeypatch):
    def logits(self, members, rows, batch_size):
        return torch.full((1, len(rows)), torch.nan if len(self.feed.pixels[rows]) == 6 else 0.5)  # the test split

    monkeypatch.setattr("cxr_runner.training.pixel.PixelBackend.logits", logits)
    with pytest.raises(RunFailedError, match="outputs that are not finite"):
        _run(tmp_path, "engine=pixel", *PHANTOM)


@pytest.mark.long
def test_each_device_of_a_sweep_gets_a_gram_space_of_its_own_and_one_is_there_at_a_time(tmp_path, monkeypatch):
    spaces = []

    class Watched(GramSpace):
        def __init__(self, products, dataset):
            assert [space() for space in spaces] == [None] * len(spaces)
            super().__init__(products, dataset)
            spaces.append(weakref.ref(self))

    other = torch.device("cpu:0")  # the CPU too, but by a name of its own
    monkeypatch.setattr(
        "cxr_runner.experiment.plan.choose_device", lambda name: other if name == "cuda" else torch.device("cpu")
    )
    monkeypatch.setattr("cxr_runner.experiment.sweep.GramSpace", Watched)
    train([_config(tmp_path, f"device={name}", f"seed={seed}", *PHANTOM) for seed, name in enumerate(["cpu", "cuda"])])
    assert len(spaces) == 2


def test_no_stack_opens_more_files_than_a_process_may(tmp_path, monkeypatch):
    sizes = []

    def fail(runs, *_):
        sizes.append(len(runs))
        return {run.files.path: RunFailedError("not trained") for run in runs}

    monkeypatch.setattr("cxr_runner.experiment.sweep.train_stack", fail)
    run_sweep(split_runs(_config(tmp_path, "seeds=300", *PHANTOM)))
    assert sum(sizes) == 300
    assert max(sizes) <= 128


def test_a_stack_is_as_large_as_memory_allows_whatever_its_members_begin_with(tmp_path, monkeypatch):
    stacks = []

    def fail(runs, *_):
        stacks.append(runs)
        return {run.files.path: RunFailedError("not trained") for run in runs}

    monkeypatch.setattr("cxr_runner.experiment.sweep.train_stack", fail)
    monkeypatch.setattr("cxr_runner.experiment.plan._STACK_BYTES", 5 * 48 * 10 * 80)  # what five have, of 80 images
    rates = [f"optimizer.lr={rate}" for rate in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)]
    run_sweep([_config(tmp_path, *PHANTOM, "data.num_images=80", rate) for rate in rates])
    assert len(stacks) > 1
    assert sum(map(len, stacks)) == len(rates)


def _chain():
    """Return the functions of the program that are being called, the innermost first."""
    frame, chain = sys._getframe(1), []
    while frame is not None:
        if f"{os.sep}cxr_runner{os.sep}" in frame.f_code.co_filename:
            chain.append(frame.f_code.co_qualname.replace("<locals>.", ""))
        frame = frame.f_back
    return chain


@pytest.mark.parametrize("engine", ["gram", "pixel"])
def test_few_frames_lie_between_the_command_and_a_step_and_no_two_have_one_name(cxr_run, monkeypatch, engine):
    chains, step = [], {"gram": GramBackend, "pixel": PixelBackend}[engine].step

    def watched(self, *arguments):
        chains.append(_chain())
        return step(self, *arguments)

    monkeypatch.setattr({"gram": GramBackend, "pixel": PixelBackend}[engine], "step", watched)
    answer = cxr_run(*PHANTOM, f"engine={engine}", "device=cpu")
    assert answer.code == 0, answer.err
    chain = chains[0]
    assert chain[-1] == "run", "the command"
    assert len(chain) + 1 <= 9, chain  # and the step itself, which stands in the test here
    names = [name.rpartition(".")[2] for name in [*chain, "step"]]
    assert len(set(names)) == len(names), names

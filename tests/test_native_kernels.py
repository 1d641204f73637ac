"""Kernels compiled for the CPU: right to rounding, repeatable to the bit, and torch's where there is no compiler."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from conftest import Answer
from cxr_runner.base.machine import cpu_features
from cxr_runner.models.cnn import CNN
from cxr_runner.models.native import compiler, conv_block
from cxr_runner.models.native.compiler import CompilerError, compiled, find_compiler
from cxr_runner.report.collected_runs import CollectedRun, RunSplit
from cxr_runner.report.compare.training_setups import timed_runs

needs_compiler = pytest.mark.skipif(
    find_compiler() is None and "CI" not in os.environ, reason="NO COMPILER: the kernels are not tested; install g++"
)
Tensors = tuple[Tensor, ...]
SHAPES = [
    (1, 10, 3, 37, 41),
    (10, 10, 3, 64, 48),
    (5, 5, 5, 33, 30),
    (1, 1, 1, 4, 4),
    (10, 10, 7, 2, 3),
    (1, 20, 3, 18, 70),
]


def draw(inputs: int, filters: int, side: int, height: int, width: int, count: int = 3) -> Tensors:
    """Images and weights; about half of the units behind the first ReLU are 0."""
    torch.manual_seed(inputs + 10 * side + width)
    weights = (filters, inputs, side, side), (filters,), (filters, filters, side, side), (filters,)
    return torch.rand(count, inputs, height, width), *(torch.randn(shape) / (3 * side) for shape in weights)


def plainly(images: Tensor, first: Tensor, first_bias: Tensor, second: Tensor, second_bias: Tensor) -> Tensor:
    pad = first.shape[2] // 2
    hidden = conv2d(images, first, first_bias, padding=pad).relu()
    return max_pool2d(conv2d(hidden, second, second_bias, padding=pad).relu(), 2)


def with_gradients(block: Callable[..., Tensor], tensors: Tensors, slopes: Tensor) -> Tensors:
    asked = [tensor.clone().requires_grad_() for tensor in tensors]
    result = block(*asked)
    return result.detach(), *torch.autograd.grad(result, asked, slopes)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_gradients_are_those_of_float64(shape: tuple[int, int, int, int, int]) -> None:
    tensors = draw(*shape)
    slopes = torch.randn(plainly(*tensors).shape)
    expected = with_gradients(plainly, tuple(tensor.double() for tensor in tensors), slopes.double())
    torch_alone = with_gradients(plainly, tensors, slopes)
    native = with_gradients(conv_block.conv_block, tensors, slopes)
    for ours, float64, float32 in zip(native, expected, torch_alone, strict=True):
        assert ours.shape == float64.shape
        scale = float64.abs().max()
        error, of_torch = (ours - float64).abs().max(), (float32 - float64).abs().max()
        assert error <= max(2e-6 * scale, 3 * of_torch)


@needs_compiler
def test_bits_depend_neither_on_threads_nor_on_the_images_beside() -> None:
    tensors = draw(10, 10, 3, 33, 50, count=5)
    images, *weights = tensors
    before, slopes = torch.get_num_threads(), torch.randn(5, 10, 16, 25)
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(with_gradients(conv_block.conv_block, tensors, slopes))
    finally:
        torch.set_num_threads(before)
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))
    alone = with_gradients(conv_block.conv_block, (images[3:4], *weights), slopes[3:4])
    assert torch.equal(alone[0], results[0][0][3:4])
    assert torch.equal(alone[1], results[0][1][3:4])
    with torch.no_grad():
        assert torch.equal(conv_block.conv_block(*tensors), results[0][0])


@needs_compiler
def test_the_first_of_equal_pixels_gets_the_slope_as_in_torch() -> None:
    images, *weights = draw(1, 10, 3, 20, 20)
    tensors = (torch.full_like(images, 0.5), *weights)
    slopes = torch.ones(3, 10, 10, 10)
    ours, theirs = (with_gradients(block, tensors, slopes) for block in (conv_block.conv_block, plainly))
    # All inner pixels are alike, so that another choice would move whole slopes between them.
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in zip(ours, theirs, strict=True))


@needs_compiler
def test_what_is_no_number_is_not_hidden() -> None:
    tensors = draw(1, 10, 3, 20, 20)
    tensors[0][1, 0, 7, 7] = torch.nan
    slopes = torch.ones(3, 10, 10, 10)
    ours, theirs = (with_gradients(block, tensors, slopes) for block in (conv_block.conv_block, plainly))
    assert torch.equal(ours[0].isnan(), theirs[0].isnan())
    assert theirs[2].isnan().any()
    assert ours[2].isnan().any()


@needs_compiler
def test_numbers_of_another_type_are_refused() -> None:
    tensors = draw(1, 10, 3, 20, 20)
    with pytest.raises(TypeError, match="must be float32"):
        conv_block.conv_block(tensors[0].double(), *tensors[1:])
    with pytest.raises(TypeError, match="must be float32"):
        conv_block.conv_block(*tensors[:4], tensors[4].to("meta"))


@needs_compiler
def test_a_model_gives_the_logits_and_gradients_that_torch_gives() -> None:
    torch.manual_seed(0)
    model, images = CNN(40, 10, 3), torch.rand(4, 1, 40, 40)
    model.compile_kernels()
    gradients = []
    for compute in (model, model.forward_natively):
        model.zero_grad()
        logits = compute(images)
        torch.autograd.backward(logits.square().sum())
        gradients.append([logits.detach(), *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


@needs_compiler
def test_a_library_is_compiled_once_and_another_cpu_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path))
    source = tmp_path / "one.cpp"
    source.write_text('extern "C" int one() { return ONE; }\n')
    path = compiled(source, {"ONE": 1})
    assert path.parent == tmp_path / "native"
    monkeypatch.setattr(compiler, "find_compiler", lambda: pytest.fail("compiled again"))
    assert compiled(source, {"ONE": 1}) == path
    monkeypatch.undo()
    monkeypatch.setenv("CXR_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "cpu_features", lambda: "another CPU")
    assert compiled(source, {"ONE": 1}) != path
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".so"] == []


def test_the_compiler_is_that_of_the_environment_or_a_usual_one_or_that_of_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    assert find_compiler() is None
    monkeypatch.setattr(compiler, "find_spec", lambda name: object())
    assert find_compiler() == [sys.executable, "-m", "ziglang", "c++"]
    for name in ("clang++", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_compiler() == [str(tmp_path / "clang++")]
    monkeypatch.setenv("CXX", "mine")
    assert find_compiler() == [str(tmp_path / "mine")]
    monkeypatch.setattr(sys, "platform", "win32")
    assert find_compiler() is None


@needs_compiler
def test_what_does_not_compile_or_computes_something_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path))
    broken = tmp_path / "broken.cpp"
    broken.write_text("int one() { return two; }\n")
    with pytest.raises(CompilerError, match=r"did not compile: .*broken\.cpp.*error"):
        compiled(broken, {})
    wrong = tmp_path / "conv_block.cpp"
    wrong.write_text('extern "C" void forward() {}\nextern "C" void backward() {}\n')
    monkeypatch.setattr(conv_block, "load_library", lambda source, definitions: compiler.load_library(wrong, {}))
    conv_block.load_conv_block.cache_clear()
    with pytest.raises(CompilerError, match="does not compute what torch does"):
        conv_block.load_conv_block(1, 2, 3)
    assert [path for path in (tmp_path / "native").iterdir() if path.suffix != ".so"] == []


def test_a_cpu_is_told_by_its_model_and_its_instructions(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "model name : One CPU\nflags : fpu avx2\n\nmodel name : One CPU\nflags : x\n"
    )
    assert "One CPU" in cpu_features(tmp_path)
    assert "fpu avx2" in cpu_features(tmp_path)
    assert cpu_features(tmp_path / "nowhere")


TINY = (
    "model=cnn",
    "model.hidden=2",
    "data.num_images=40",
    "data.image_size=16",
    "epochs=2",
    "device=cpu",
    "plots=never",
)


def results(folder: Path) -> tuple[dict[str, object], list[float]]:
    (run,) = folder.glob("runs/*/seed=0")
    logits = [float(line.split(",")[3]) for line in (run / "predictions.csv").read_text().splitlines()[1:]]
    return json.loads((run / "metrics.json").read_text()), logits


@needs_compiler
def test_a_run_says_which_kernels_it_has_used_and_is_the_same_run_with_either(
    cxr_run: Callable[..., Answer], elsewhere: Path
) -> None:
    answer = cxr_run(*TINY, "outputs=native")
    assert "kernels: native (compiled for this CPU)" in answer.out + answer.err
    answer = cxr_run(*TINY, "outputs=torch", "kernels=torch")
    assert "kernels: torch (asked for)" in answer.out + answer.err
    (native, ours), (plain, theirs) = results(elsewhere / "native"), results(elsewhere / "torch")
    assert (native["kernels"], plain["kernels"]) == ("native", "torch")
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    names = [next((elsewhere / folder / "runs").iterdir()).name for folder in ("native", "torch")]
    assert names[0] == names[1]
    again = cxr_run(*TINY, "outputs=torch")
    assert "kernels:" not in again.out + again.err  # nothing is trained


def test_without_a_compiler_a_run_takes_torchs_kernels_and_says_so(
    cxr_run: Callable[..., Answer], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    conv_block.load_conv_block.cache_clear()
    answer = cxr_run(*TINY)
    assert answer.code == 0
    reason = "no C++ compiler found; pip install 'cxr-runner[native]' brings one"
    assert f"kernels: torch ({reason})" in answer.out + answer.err
    metrics, _ = results(elsewhere / "outputs")
    assert (metrics["kernels"], metrics["kernels_reason"]) == ("torch", reason)
    answer = cxr_run(*TINY, "kernels=native", "outputs=other")
    assert answer.code == 2
    assert answer.err.endswith(f"kernels=native: not possible here: {reason}; auto and torch are\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("model=linear", "engine=pixel"), "model=linear has none for pixels"),
        (("model=logistic",), "model=logistic takes no steps"),
        (
            ("model=linear", "optimizer=adam"),
            "Gram space has them, but for this run: optimizer=adam leaves the span of the training images",
        ),
        (("model=cnn", "precision=bf16"), "precision=bf16"),
        (("model=cnn", "model.hidden=33"), "more than 32 filters"),
        (("model=cnn", "model.kernel_size=9"), "filters larger than 7x7"),
        (
            ("model=cnn", "model.hidden=32", "model.kernel_size=7"),
            "32 filters of 7x7, which torch's kernels compute as fast",
        ),
    ],
)
def test_kernels_that_there_are_not_are_refused_before_anything_is_done(
    arguments: tuple[str, ...], reason: str, cxr_run: Callable[..., Answer], elsewhere: Path
) -> None:
    answer = cxr_run(*arguments, "kernels=native")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"cxr-run: kernels=native: not possible here: {reason}; auto and torch are\n"
    assert list(elsewhere.iterdir()) == []


@needs_compiler
def test_two_processes_that_compile_at_once_both_get_a_whole_library(tmp_path: Path) -> None:
    code = "from cxr_runner.models.native.conv_block import load_conv_block; load_conv_block(1, 3, 3)"
    environment = {"CXR_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(300) for process in started] == [0, 0]
    assert len(list((tmp_path / "native").iterdir())) == 1


def test_times_of_one_kind_of_kernels_are_compared_and_those_of_other_models_go_with_either() -> None:
    def timed(row: str, seed: int, model: str, **metrics: object) -> CollectedRun:
        facts = {"engine": "pixel", "device": "cpu (2 threads)"} | metrics
        path, split = Path(row), RunSplit(0, None, None, "")
        return CollectedRun(path, row, row, row, seed, split, row, row, {"model": {"name": model}}, facts, {})

    linear, old = timed("20", 0, "linear"), timed("22", 0, "cnn")  # of a version that had torch's kernels alone
    native, other = (timed(row, 1, "cnn", kernels="native") for row in ("22", "25"))
    plain = timed("22", 2, "cnn", kernels="torch")
    found = timed_runs([[linear, old, native, other, plain]], ["20", "22", "25"])
    assert found == {"20": [linear], "22": [native], "25": [other]}
    found = timed_runs([[linear, old, native, plain]], ["20", "22"])
    assert found["20"] == [linear]
    assert found["22"] in ([native], [old, plain])

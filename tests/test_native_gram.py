"""Gram space by kernels that were compiled for this CPU: against SGD on pixels, written out, and as commands run it."""

import ctypes
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from conftest import Answer
from cxr_runner.models.native import compiler
from cxr_runner.models.native.compiler import CompilerError
from cxr_runner.training import kernels
from cxr_runner.training.gram import native_epoch
from cxr_runner.training.gram.native_epoch import NativeImages, NativeLayer, NativeMember, load_native_epoch
from cxr_runner.training.gram.native_steps import cut_evenly
from test_native_kernels import needs_compiler

LR = 0.02


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


GENERATOR = torch.Generator().manual_seed(0)
PIXELS = draw(700, 800)  # of more images than a window, and more columns than are fetched at once
LABELS = (PIXELS[:, 0] + draw(700) > 0).float()


def by_autograd(model: nn.Sequential, order: Tensor, batch_size: int, momentum: float, decay: float) -> list[float]:
    """Train for an epoch by SGD on the pixels, with ``torch.optim``'s rule written out; return the losses."""
    loss_function, losses = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(0.4, dtype=torch.float64)), []
    velocity = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for batch in order.split(batch_size):
        loss = loss_function(model(PIXELS[batch]).squeeze(1), LABELS[batch].double())
        slopes = torch.autograd.grad(loss, list(model.parameters()))
        losses.append(loss.item())
        with torch.no_grad():
            for parameter, slope, speed in zip(model.parameters(), slopes, velocity, strict=True):
                speed.mul_(momentum).add_(slope + decay * parameter)
                parameter -= LR * speed
    return losses


@needs_compiler
@pytest.mark.parametrize("batch_size", [7, 32, 300, 700])
@pytest.mark.parametrize(
    ("sizes", "momentum", "decay"),
    [((1,), 0.0, 0.0), ((5, 1), 0.9, 0.0), ((13, 3, 1), 0.0, 0.1), ((20, 1), 0.0, 0.0), ((37, 2, 4, 1), 0.9, 0.1)],
)
def test_an_epoch_is_plain_sgd_on_pixels(
    batch_size: int, sizes: tuple[int, ...], momentum: float, decay: float
) -> None:
    torch.manual_seed(1)
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise((PIXELS.shape[1], *sizes))]
    model = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in layers[:-1])), layers[-1]).double()
    order, width = torch.randperm(700), sizes[0] + 2
    behind = [(0, 0) if isinstance(layer, nn.ReLU) else (layer.in_features, layer.out_features) for layer in model[1:]]
    natives = (NativeLayer * len(behind))(*(NativeLayer(*pair) for pair in behind))
    num_steps = -(-700 // batch_size)
    start = model[0].weight.detach().clone()
    rest = torch.cat([parameter.detach().flatten() for parameter in list(model.parameters())[1:]])

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    tensors = {
        "coordinates": zeros(700, width),
        "coordinates_velocity": zeros(700, width),
        "decay": torch.ones(1, dtype=torch.float64),
        "decay_velocity": zeros(1),
        "rest": rest,
        "rest_velocity": torch.zeros_like(rest),
        "starts": nn.functional.pad(PIXELS @ start.T, (0, 2)),
        "lrs": torch.full((num_steps,), LR, dtype=torch.float64),
        "targets": LABELS[order],
        "losses": zeros(num_steps),
        "logits": zeros(700),
    }
    member = NativeMember(
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
        layers=ctypes.addressof(natives),
        momentum=momentum,
        weight_decay=decay,
        pos_weight=0.4,
        outputs=sizes[0],
        width=width,
        num_layers=len(behind),
        num_rest=len(rest),
    )
    gram = PIXELS @ PIXELS.T
    native = load_native_epoch()
    native.train(NativeImages(gram, 700, order), batch_size, [member])
    expected = by_autograd(model, order, batch_size, momentum, decay)
    assert tensors["losses"].tolist() == pytest.approx(expected, rel=1e-11)
    trained = tensors["decay"] * start + tensors["coordinates"][:, : sizes[0]].T @ PIXELS
    torch.testing.assert_close(trained, model[0].weight.detach(), rtol=1e-10, atol=1e-12)
    others = torch.cat([parameter.detach().flatten() for parameter in list(model.parameters())[1:]])
    torch.testing.assert_close(tensors["rest"], others, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(trained, start, rtol=1e-3), "a model that does not learn would pass vacuously"
    assert not tensors["coordinates"][:, sizes[0] :].any()
    native.answer(NativeImages(gram, 700, order), [member])
    torch.testing.assert_close(tensors["logits"], model(PIXELS[order]).squeeze(1).detach(), rtol=1e-10, atol=1e-11)


@given(st.lists(st.tuples(st.binary(max_size=1), st.integers(1, 20)), min_size=1, max_size=30), st.integers(1, 4))
def test_shares_are_of_about_the_same_cost_and_keep_like_things_together(
    things: list[tuple[bytes, int]], most: int
) -> None:
    keys, costs = [key for key, _ in things], [cost for _, cost in things]
    shares = cut_evenly(keys, costs, most)
    assert sorted(itertools.chain(*shares)) == list(range(len(things)))
    assert all(shares)
    assert len(shares) <= most
    for share in shares:
        assert sum(costs[thing] for thing in share) <= sum(costs) / most + max(costs)
    ordered = [keys[thing] for share in shares for thing in share]
    assert ordered == sorted(keys)


@needs_compiler
def test_a_library_that_computes_something_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path))
    wrong = tmp_path / "wrong.cpp"
    wrong.write_text('extern "C" void train_epoch() {}\nextern "C" void answer() {}\n')
    monkeypatch.setattr(native_epoch, "load_library", lambda source, definitions: compiler.load_library(wrong, {}))
    load_native_epoch.cache_clear()
    with pytest.raises(CompilerError, match="does not compute what torch does"):
        load_native_epoch()


TINY = ("data.num_images=60", "data.image_size=16", "device=cpu", "plots=never")
LINEAR = (*TINY, "epochs=3", "optimizer.lr=0.01")


def found(outputs: Path) -> dict[str, tuple[dict[str, object], bytes, bytes]]:
    """Return the metrics of runs, and what they have left of predictions and weights."""
    return {
        str(path.parent.relative_to(outputs)): (
            json.loads(path.read_text()),
            (path.parent / "predictions.csv").read_bytes(),
            (path.parent / "model.safetensors").read_bytes(),
        )
        for path in outputs.glob("runs/*/*/metrics.json")
    }


@needs_compiler
def test_runs_alone_leave_the_bytes_that_they_leave_in_a_sweep_and_torchs_kernels_the_same_numbers(
    cxr_run: Callable[..., Answer], elsewhere: Path
) -> None:
    together = ("-m", "model=linear,linear_relu", "model.hidden=3,8", "seed=0,1")
    answer = cxr_run(*LINEAR, *together, "kernels=native", "outputs=sweep")
    assert "kernels: native (compiled for this CPU)" in answer.out + answer.err
    for model, hidden, seed in itertools.product(("linear", "linear_relu"), (3, 8), (0, 1)):
        one = (f"model={model}", f"model.hidden={hidden}", f"seed={seed}", "kernels=native", "outputs=alone")
        assert cxr_run(*LINEAR, *one).code == 0
    cxr_run(*LINEAR, *together, "kernels=torch", "outputs=torch")
    sweep, alone, torchs = (found(elsewhere / name) for name in ("sweep", "alone", "torch"))
    assert len(sweep) == 8
    assert {name: parts[1:] for name, parts in sweep.items()} == {name: parts[1:] for name, parts in alone.items()}
    assert {metrics["kernels"] for metrics, *_ in sweep.values()} == {"native"}
    assert {(metrics["kernels"], metrics["kernels_reason"]) for metrics, *_ in torchs.values()} == {
        ("torch", "asked for")
    }
    for name, (metrics, *_) in sweep.items():
        assert metrics["test"] == pytest.approx(torchs[name][0]["test"], rel=1e-9)


@needs_compiler
def test_what_takes_less_time_than_compiling_is_left_to_torch(
    cxr_run: Callable[..., Answer], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = cxr_run(*LINEAR, "outputs=few")
    assert "kernels" not in answer.out + answer.err
    ((few, *_),) = found(elsewhere / "few").values()
    assert "kernels" not in few
    monkeypatch.setattr(kernels, "_FEW_IMAGES", 20)
    cxr_run(*LINEAR, "outputs=many")
    cxr_run(*TINY, "model=logistic", "outputs=solved")
    ((many, *_),), ((solved, *_),) = (found(elsewhere / name).values() for name in ("many", "solved"))
    assert many["kernels"] == "native"
    assert "kernels" not in solved


def test_without_a_compiler_gram_space_takes_torchs_kernels_and_says_so(
    cxr_run: Callable[..., Answer], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_FEW_IMAGES", 20)
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    load_native_epoch.cache_clear()
    answer = cxr_run(*LINEAR)
    assert answer.code == 0
    assert "kernels: torch (no C++ compiler found; pip install 'cxr-runner[native]' brings one)" in answer.out
    answer = cxr_run(*LINEAR, "kernels=native", "outputs=other")
    assert answer.code == 2
    assert "kernels=native: not possible here: no C++ compiler found" in answer.err

"""Is a GPU right: against the CPU, against itself, and after a run was killed?"""

import subprocess
import time
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.gpu_steps import Outcome, Step
from benchmarks.measuring import Options
from cxr_runner import api
from installed import installed

CNN = ("model=cnn", "optimizer.lr=1e-3")
RESNET = ("model=resnet18", "optimizer.lr=1e-4", "epochs=1", "data.image_size=64")
# By name: what is run, and how far logits may be apart, relative to the largest. Gram space computes in float64; pixels
# in float32, whose sums each device adds up in its own order; batch norm over few images magnifies that.
AGREEING = {
    "linear, Gram": (("model=linear", "engine=gram"), 1e-5),
    "linear+ReLU, Gram": (("model=linear_relu", "engine=gram", "loss.pos_weight=0.37"), 1e-5),
    "linear, Gram, momentum": (("model=linear", "engine=gram", "optimizer.momentum=0.9"), 1e-5),
    "linear, pixels": (("model=linear", "engine=pixel"), 1e-3),
    "linear+ReLU, pixels": (("model=linear_relu", "engine=pixel"), 1e-3),
    "linear, Adam": (("model=linear", "optimizer=adam"), 1e-2),
    "CNN": (CNN, 1e-2),
    "CNN, Adam": (("model=cnn", "optimizer=adam"), 1e-2),
    "CNN, bf16": ((*CNN, "precision=bf16"), 0.1),
    "ResNet-18": (RESNET, 0.1),
}
REPEATED = {
    "linear, Gram, 3 members": ("model=linear", "engine=gram", "seeds=3"),
    "CNN": CNN,
    "CNN, bf16": (*CNN, "precision=bf16"),
    "ResNet-18": RESNET,
}

_MOST_SECONDS = 60  # of a command


def steps(options: Options, folder: Path) -> list[Step]:
    """Return the checks."""
    agreeing = [
        Step(
            "check", f"CPU and GPU agree: {name}", partial(_agree, case, tolerance, options, folder / f"agree {number}")
        )
        for number, (name, (case, tolerance)) in enumerate(AGREEING.items())
    ]
    repeated = [
        Step("check", f"twice the same bytes: {name}", partial(_repeat, case, options, folder / f"repeat {number}"))
        for number, (name, case) in enumerate(REPEATED.items())
    ]
    alone = Step("check", "alone as among 40: linear+ReLU, Gram", partial(_alone, options, folder / "alone"))
    killed = Step("check", "killed and resumed: CNN", partial(_kill, options, folder / "killed"))
    return [*agreeing, *repeated, alone, killed]


def _data(options: Options) -> tuple[str, ...]:
    size = (
        ("data.num_images=60", "data.image_size=32") if options.quick else ("data.num_images=300", "data.image_size=64")
    )
    return ("data=phantom", *size, "epochs=2", "progress=none")


def _run(case: tuple[str, ...], options: Options, outputs: Path, device: str) -> None:
    api.run([*_data(options), *case, f"device={device}", f"outputs={outputs}"])


def _agree(case: tuple[str, ...], tolerance: float, options: Options, folder: Path) -> Outcome:
    logits = []
    for part, device in (("cpu", "cpu"), ("gpu", options.device)):
        _run(case, options, folder / part, device)
        (path,) = (folder / part).rglob("predictions.csv")
        logits.append(pd.read_csv(path)["logit"])
    cpu, gpu = logits
    allowed = tolerance * (1 + cpu.abs().max())
    apart = (cpu - gpu).abs().max()
    assert apart <= allowed, f"logits differ by {apart:.1e}, allowed are {allowed:.1e}"
    turned = ((cpu > 0) != (gpu > 0)) & (cpu.abs() > allowed)
    assert not turned.any(), f"{turned.sum()} decisions differ"
    return f"logits within {apart:.1e} (allowed {allowed:.1e}), {len(cpu)} decisions equal", {}


def _repeat(case: tuple[str, ...], options: Options, folder: Path) -> Outcome:
    for part in ("first", "second"):
        _run(case, options, folder / part, options.device)
    return _same_bytes(folder / "first", folder / "second")


def _alone(options: Options, folder: Path) -> Outcome:
    """Train a member of a stack alone too: its kernels must not depend on company."""
    case = ("model=linear_relu", "engine=gram", "plots=never")
    _run((*case, "seeds=40"), options, folder / "together", options.device)
    _run((*case, "seed=35"), options, folder / "alone", options.device)
    return _same_bytes(folder / "alone", folder / "together")


def _kill(options: Options, folder: Path) -> Outcome:
    """Kill a run once it has a checkpoint, let it go on, and compare with one that nobody disturbed."""
    case = [*_data(options), *CNN, "epochs=60", f"device={options.device}"]
    whole, cut = ([installed("cxr-run"), *case, f"outputs={folder / name}"] for name in ("whole", "cut"))
    subprocess.run(whole, check=True, timeout=_MOST_SECONDS)
    with subprocess.Popen(cut) as process:
        deadline = time.monotonic() + _MOST_SECONDS
        while not list(folder.glob("cut/runs/*/*/checkpoint.pt")):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, f"no checkpoint in {_MOST_SECONDS} seconds"
            time.sleep(0.01)
        process.kill()
    assert not list(folder.glob("cut/runs/*/*/metrics.json")), "the run was done before it was killed"
    subprocess.run(cut, check=True, timeout=_MOST_SECONDS)
    return _same_bytes(folder / "whole", folder / "cut")


def _same_bytes(first: Path, second: Path) -> Outcome:
    names = ("predictions.csv", "model.safetensors")
    paths = [path for path in sorted(first.rglob("*")) if path.name in names]
    assert paths, "the run left nothing"
    for path in paths:
        other = second / path.relative_to(first)
        assert path.read_bytes() == other.read_bytes(), f"{path.name} differs"
    return f"predictions and weights equal, {len(paths)} files", {}

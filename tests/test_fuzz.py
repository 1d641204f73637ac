"""Whatever is asked for and whatever lies in a folder of runs: a result, or one line that says why not."""

import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.artifacts.samples import Sample, read_samples, samples_path, write_samples
from cxr_runner.base.errors import BadImageError, RunFailedError, UserError
from cxr_runner.config.validation import from_hydra
from cxr_runner.data.sources.folder import FolderSource
from cxr_runner.data.sources.image_file import MAX_BYTES
from cxr_runner.experiment.sweep import train
from cxr_runner.report.collected import NOTHING_WITHHELD, Withheld
from cxr_runner.report.write import write_report
from killable import results
from run_trees import PHANTOM, write_run
from test_config import composed


def _choices(**values: list[object]) -> st.SearchStrategy[list[str]]:
    """Return some keys with one of their values each, as on a command line."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(options) for key, options in values.items()}).map(
        lambda chosen: [f"{key.replace('__', '.')}={value}" for key, value in chosen.items()]
    )


MODELS = st.one_of(
    st.just(["model=linear"]),
    _choices(model__layers=[1, 3], model__hidden=[1, 7]).map(lambda more: ["model=linear", *more]),
    _choices(model__layers=[1, 4], model__output_relu=["false"]).map(lambda more: ["model=linear_relu", *more]),
    _choices(model__hidden=[1, 3], model__kernel_size=[1, 2, 5, 31]).map(lambda more: ["model=cnn", *more]),
)
OPTIMIZERS = st.one_of(
    _choices(optimizer__momentum=[0.5, 0.99], optimizer__nesterov=["true"]),
    st.sampled_from([["optimizer=adam"], ["optimizer=adamw"]]),
)
OTHERS = _choices(
    optimizer__lr=[1e-30, 0.1, 1e10, 1e300],
    optimizer__weight_decay=[0, 0.1, 1e5],
    optimizer__grad_clip=[1e-9, 1],
    loss__pos_weight=["balanced", 1e-9, 1e9],
    batch_size=[1, 7, 10**6],
    seed=[0, 2**32 - 1],
    schedule__name=["cosine", "step"],
    schedule__warmup_epochs=[1, 5],
    early_stopping__patience=[1],
    early_stopping__metric=["val_f1", "val_auroc"],
    early_stopping__restore_best=["true"],
    augment__flip=[0.5],
    augment__degrees=[180],
    augment__scale=[0.9],
    engine=["pixel", "gram"],
    precision=["bf16"],
    deterministic=["false"],
    data__split__strategy=["patient", "given"],
    data__split__seed=[3],
    data__image_size=[8, 17],
)


def _fuzz(max_examples: int) -> settings:
    """Return settings for examples that take a second each and clear away after themselves."""
    checks = list(HealthCheck)
    return settings(max_examples=max_examples, deadline=None, derandomize=True, suppress_health_check=checks)


def _answer(tmp_path: Path, overrides: list[str]) -> None:
    """Train what was asked for; nothing but the two errors that people are told of may come out."""
    shutil.rmtree(tmp_path / "outputs", ignore_errors=True)
    tiny = ["data.num_images=40", "data.image_size=16", "epochs=2", "progress=none", f"outputs={tmp_path}/outputs"]
    problem = ""
    try:
        train([from_hydra(composed(*tiny, *overrides))])
    except (UserError, RunFailedError) as error:
        problem = str(error)
    runs = find_runs(tmp_path)
    assert len(problem.splitlines()) <= 1
    assert [run.state for run in runs] == (["done"] if not problem else ["failed"] * len(runs))
    if not problem:
        metrics = runs[0].metrics
        assert len(runs[0].predictions()) == metrics["val"]["n"] + metrics["test"]["n"]


@_fuzz(8)
@given(model=MODELS, optimizer=OPTIMIZERS, others=OTHERS)
def test_a_valid_configuration_runs_and_another_is_refused_in_one_line(
    own_process: None, tmp_path: Path, model: list[str], optimizer: list[str], others: list[str]
) -> None:
    _answer(tmp_path, [*model, *optimizer, *others])


@pytest.mark.long
@_fuzz(150)
@given(model=MODELS, optimizer=OPTIMIZERS, others=OTHERS)
def test_many_configurations_run_or_are_refused_in_one_line(
    own_process: None, tmp_path: Path, model: list[str], optimizer: list[str], others: list[str]
) -> None:
    _answer(tmp_path, [*model, *optimizer, *others])


HOSTILE = "<script>alert(1)</script>|`$x$\\\x1b[31m\u202e\n'\""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(HOSTILE),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=9), values, max_size=3),
    max_leaves=6,
)
DESCRIBED = PHANTOM | {
    "counts": {split: {"NORMAL": 3, "PNEUMONIA": 3} for split in ("train", "val", "test")},
    "duplicates_dropped": [{"name": "a.png", "same_as": "b.png"}],
    "warnings": ["24 test images are copies of training images"],
    "inventory": {
        "classes": [{"class": "NORMAL", "split": "train", "images": 3, "formats": {"PNG": 3}, "bits": {"8": 3}}],
        "passed_over": [{"suffix": ".dcm", "reason": "DICOM is not read", "files": 12}],
        "bits": None,
    },
}
FILES = ("config.yaml", "status.json", "data.json", "metrics.json", "history.csv", "predictions.csv")


@st.composite
def _harm(draw: st.DrawFn) -> Callable[[Path], None]:
    """Return what somebody, or a disk, does to a file."""
    kind = draw(st.sampled_from(("bytes", "cut", "bit", "value", "gone", "folder", "loop", "pipe")))
    data, position, value = draw(st.binary(max_size=60)), draw(st.floats(0, 1, exclude_max=True)), draw(JSON)

    def harm(path: Path) -> None:
        content = bytearray(path.read_bytes()) if path.is_file() else bytearray(b"{}")
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        match kind:
            case "bytes":
                path.write_bytes(data)
            case "cut":
                path.write_bytes(content[: int(position * len(content))])
            case "bit" if content:
                content[int(position * len(content))] ^= 1 << len(data) % 8
                path.write_bytes(content)
            case "value":
                path.write_text(_with_value(bytes(content), position, value))
            case "folder":
                path.mkdir()
            case "loop":
                path.symlink_to(path)
            case "pipe":
                os.mkfifo(path)

    return harm


def _with_value(content: bytes, position: float, value: object) -> str:
    """Put a value for one of the values of a JSON object, or of all of it."""
    try:
        whole = json.loads(content)
        keys = [(part, key) for part in (whole, *whole.values()) if isinstance(part, dict) for key in part]
        part, key = keys[int(position * len(keys))]
        part[key] = value
    except (ValueError, AttributeError, IndexError):
        whole = value
    return json.dumps(whole)


def _report_on(tmp_path: Path, harms: list[tuple[str, Callable[[Path], None]]]) -> None:
    shutil.rmtree(tmp_path / "outputs", ignore_errors=True)
    for seed in (0, 1):
        files = write_run(tmp_path / "outputs", seed=seed, data=DESCRIBED)
    for name, harm in harms:
        harm(files.path / name)
    for withheld in (NOTHING_WITHHELD, Withheld(names=True, images=True)):
        write_report(tmp_path / "outputs", tmp_path / "report", withheld=withheld)
        page = (tmp_path / "report" / "index.html").read_text("utf-8")
        assert "<script>alert" not in page
        assert not any(character in page for character in "\x1b\u202e")


HARMS = st.lists(st.tuples(st.sampled_from(FILES), _harm()), min_size=1, max_size=3)


@pytest.mark.usefixtures("quick_pictures")
@_fuzz(8)
@given(harms=HARMS)
def test_a_report_comes_from_whatever_lies_in_a_run_directory(
    tmp_path: Path, harms: list[tuple[str, Callable[[Path], None]]]
) -> None:
    _report_on(tmp_path, harms)


@pytest.mark.long
@pytest.mark.usefixtures("quick_pictures")
@_fuzz(300)
@given(harms=HARMS)
def test_a_report_comes_from_whatever_lies_in_many_run_directories(
    tmp_path: Path, harms: list[tuple[str, Callable[[Path], None]]]
) -> None:
    _report_on(tmp_path, harms)


def test_samples_that_would_fill_the_memory_are_no_samples(tmp_path: Path) -> None:
    path = samples_path(tmp_path, PHANTOM["fingerprint"])
    path.parent.mkdir()
    grey = np.zeros((9, 9), np.uint8)
    write_samples(path, [Sample("name", "NORMAL", grey, grey, (9, 9), 9)])
    assert len(read_samples(path)) == 1
    write_samples(path, [Sample("name", "NORMAL", np.zeros((2000, 2000), np.uint8), grey, (9, 9), 9)])
    assert path.stat().st_size < 10_000
    assert read_samples(path) == []


def test_an_image_file_beyond_the_limit_is_refused_with_the_limit(tmp_path: Path) -> None:
    for name in ("NORMAL", "PNEUMONIA"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "1.png").open("wb") as file:
            file.truncate(MAX_BYTES + 1)  # of which the disk holds nothing
    source = FolderSource(tmp_path)
    source.scan()
    with pytest.raises(BadImageError, match=r"^more than 1,000,000,000 bytes$"):
        source.load(0)


def test_a_clock_that_jumps_changes_no_result(
    own_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["data.num_images=40", "data.image_size=16", "epochs=3", "progress=none"]
    train([from_hydra(composed(*command, f"outputs={tmp_path}/steady"))])
    jumps = itertools.cycle([0.0, 4e9, 1e6, -3e8])
    monkeypatch.setattr("time.time", lambda: next(jumps))
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    train([from_hydra(composed(*command, f"outputs={tmp_path}/jumping"))])
    assert results(tmp_path / "jumping") == results(tmp_path / "steady")


class _Trap:
    """What a pickle may do to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_no_file_of_weights_runs_code(tmp_path: Path) -> None:
    torch.save({"conv1.weight": _Trap(tmp_path / "sprung")}, tmp_path / "weights.pt")
    weights = ["model=resnet18", f"model.weights={tmp_path}/weights.pt", "data.image_size=64"]
    with pytest.raises(UserError, match=r"^model\.weights=.*weights\.pt: is no file of weights"):
        train([from_hydra(composed("data.num_images=40", "progress=none", *weights))])
    assert not (tmp_path / "sprung").exists()

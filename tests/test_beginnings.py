"""A finished run in Gram space is the beginning of a longer one, bit for bit, and of no other."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from cxr_runner import load
from cxr_runner.artifacts.rundir import RunDir, find_runs
from cxr_runner.base.errors import UserError
from cxr_runner.experiment import beginnings
from test_native_kernels import needs_compiler

TINY = ("data.num_images=80", "data.image_size=32", "progress=lines", "plots=never")
MOVING = ("optimizer.momentum=0.9", "optimizer.weight_decay=0.01", "seeds=2")


@pytest.fixture
def train(cxr_run, elsewhere: Path):
    def run(outputs: str, epochs: int, *overrides: str) -> str:
        answer = cxr_run(*TINY, f"epochs={epochs}", f"outputs={outputs}", *overrides)
        assert answer.code == 0, answer.err
        return answer.out + answer.err

    return run


def _longest(outputs: str) -> list[RunDir]:
    runs = find_runs(Path(outputs))
    return [RunDir(run.path) for run in runs if run.config["epochs"] == max(run.config["epochs"] for run in runs)]


def _without_seconds(files: RunDir) -> list[str]:
    return [line.rpartition(",")[0] for line in files.history.read_text().splitlines()]


@pytest.mark.parametrize("overrides", [MOVING, ("model=linear_relu", "seed=2")], ids=["momentum and decay", "plain"])
def test_a_longer_run_goes_on_bit_for_bit(train, overrides) -> None:
    train("parts", 2, *overrides)
    train("parts", 3, *overrides)
    assert "going on after the 3 epochs" in train("parts", 5, *overrides), "the longest of two"
    assert "going on" not in train("whole", 5, *overrides)
    for part, whole in zip(_longest("parts"), _longest("whole"), strict=True):
        for name in ("predictions.csv", "model.safetensors", "gram.safetensors"):
            assert (part.path / name).read_bytes() == (whole.path / name).read_bytes(), name
        assert _without_seconds(part) == _without_seconds(whole)
        assert part.gram.stat().st_size < 10**6
    assert find_runs(_longest("parts")[0].path)[0].metrics["went_on_from"]["epochs"] == 3


def test_one_command_trains_a_beginning_once_and_leaves_what_it_is_alone(train, cxr_run) -> None:
    asked = (*TINY, *MOVING, "epochs=2,4,3", "early_stopping.patience=1")
    assert cxr_run("-m", *asked, "outputs=together").code == 0
    for epochs in (2, 3, 4):
        train("alone", epochs, *MOVING, "early_stopping.patience=1", "force=true")
    found, alone = (
        {run.path.relative_to(run.path.parents[2]): run for run in find_runs(Path(name))}
        for name in ("together", "alone")
    )
    assert found.keys() == alone.keys()
    assert len(found) == 6
    for name, run in found.items():
        for file in ("predictions.csv", "model.safetensors", "gram.safetensors"):
            assert (run.path / file).read_bytes() == (alone[name].path / file).read_bytes(), (name, file)
        assert _without_seconds(RunDir(run.path)) == _without_seconds(RunDir(alone[name].path))
        longest = run.config["epochs"] == 4
        assert ("went_on_from" in run.metrics) != longest
    assert {run.metrics["stack_size"] for run in found.values()} == {6}


def test_a_beginning_of_a_run_that_fails_before_its_end_is_trained_by_itself(cxr_run, elsewhere: Path) -> None:
    answer = cxr_run("-m", *TINY, "optimizer.lr=1e200", "epochs=2,4")
    assert answer.code == 1
    states = [path.read_text() for path in Path("outputs").rglob("status.json")]
    assert len(states) == 2
    assert all('"failed"' in state and "not finite in epoch 1" in state for state in states)


def test_a_beginning_is_no_longer_than_it_is_asked_to_be_where_the_longer_run_has_got_there_before(
    train, cxr_run
) -> None:
    train("outputs", 2)
    (first,) = _longest("outputs")
    answer = cxr_run("-m", *TINY, "name=again", "epochs=2,4")
    assert answer.code == 0, answer.err
    assert "going on after the 2 epochs" in answer.out
    (again,) = Path("outputs").glob(f"runs/again-{first.path.parent.name.rpartition('-')[2]}/seed=0")
    assert _without_seconds(RunDir(again)) == _without_seconds(first)
    assert (again / "predictions.csv").read_bytes() == first.predictions.read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ("schedule.name=cosine",),
        ("early_stopping.patience=1", "early_stopping.restore_best=true"),
        ("force=true",),
        ("engine=pixel",),
    ],
)
def test_where_it_would_not_be_the_same_it_begins_at_the_beginning(train, overrides) -> None:
    train("outputs", 2, *overrides)
    assert "going on" not in train("outputs", 3, *overrides)


def test_a_beginning_that_is_altered_or_of_another_version_is_none(train, monkeypatch) -> None:
    train("outputs", 2)
    (short,) = _longest("outputs")
    content = short.gram.read_bytes()
    short.gram.write_bytes(content[:-1] + b"x")
    assert "going on" not in train("outputs", 3)
    short.gram.unlink()  # a run of before there were any
    assert "going on" not in train("outputs", 3, "force=true")
    short.gram.write_bytes(content)
    monkeypatch.setattr(beginnings, "code_versions", lambda kernels: "others")
    assert "going on" not in train("outputs", 4)


@needs_compiler
def test_a_beginning_by_other_kernels_is_none(train) -> None:
    train("outputs", 2, "kernels=torch")
    assert "going on" not in train("outputs", 3, "kernels=native")
    assert "going on" in train("outputs", 4, "kernels=native")
    assert "going on" not in train("outputs", 5, "kernels=torch", "force=true")


def test_a_compact_run_gives_the_same_module_back(train) -> None:
    train("full", 2, *MOVING)
    train("compact", 2, *MOVING, "save=compact")
    for full, compact in zip(_longest("full"), _longest("compact"), strict=True):
        assert not compact.model.exists()
        assert compact.predictions.read_bytes() == full.predictions.read_bytes()
        weights, again = (load(files.path).module.state_dict() for files in (full, compact))
        assert weights.keys() == again.keys()
        assert all(torch.equal(weights[name], again[name]) for name in weights)
    before = [files.status.read_bytes() for files in _longest("compact")]
    train("compact", 2, *MOVING)
    assert [files.status.read_bytes() for files in _longest("compact")] == before, "done, whichever way it is saved"
    assert "going on after the 2 epochs" in train("compact", 3, *MOVING, "save=compact")


def test_a_compact_run_without_its_images_says_so(cxr_run, train, tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in ("a", "b"):
        (images / name).mkdir(parents=True)
        for number in range(20):
            Image.effect_noise((24, 24), 50 + number).save(images / name / f"{number}.png")
    asked = ("data=folder", f"data.root={images}", "data.positive=b", "data.image_size=24", "engine=gram")
    assert cxr_run(*asked, "save=compact", "epochs=1", "progress=none").code == 0
    (files,) = _longest("outputs")
    shutil.rmtree(images)
    with pytest.raises(UserError, match="was trained with save=compact"):
        load(files.path)

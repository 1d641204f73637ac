"""A finished run in Gram space is the beginning of a longer one, bit for bit, and of no other."""

from pathlib import Path

import pytest

from cxr_runner.artifacts.rundir import RunDir, find_runs
from cxr_runner.experiment import beginnings

TINY = ("data.num_images=80", "data.image_size=32", "progress=lines")
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
    monkeypatch.setattr(beginnings, "_versions", lambda: "others")
    assert "going on" not in train("outputs", 4)

"""Several splits of one store in one command: what they share is opened once, and each run is what it is alone."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Answer
from cxr_runner.base.errors import DivergedError, UserError
from cxr_runner.config.compose import compose
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.image_set import Images
from cxr_runner.experiment import run_figures, shared_data
from cxr_runner.experiment.sweep import run_sweep, train
from cxr_runner.training.gram import products, space
from cxr_runner.training.loop import train_epoch
from killable import results

RUN = ("model=linear", "optimizer.momentum=0.9", "data.num_images=60", "data.image_size=16", "epochs=2")
FOLDS = (*RUN, "progress=none", "data.split.folds=3")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none drawn, which takes longer than all the rest."""
    monkeypatch.setattr(run_figures, "MOST_DRAWN", 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def configs(outputs: Path, *overrides: str) -> list[RunConfig]:
    return compose([f"outputs={outputs}", *overrides])


@pytest.mark.parametrize("engine", ["gram", "pixel"])
def test_every_run_of_several_splits_is_what_it_is_alone_bit_for_bit(tmp_path: Path, engine: str) -> None:
    together = configs(tmp_path / "together", *FOLDS, "seeds=2", f"engine={engine}")
    train(together)
    train([replace(config, outputs=str(tmp_path / "turned")) for config in together[::-1]])
    for config in together:
        train([replace(config, outputs=str(tmp_path / "alone"))])
    expected = results(tmp_path / "alone")
    assert len(expected) == 6
    assert len({predictions for _, predictions, _ in expected.values()}) == 6
    assert results(tmp_path / "together") == results(tmp_path / "turned") == expected


def test_images_are_opened_and_checked_once_and_so_is_the_gram_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def count(owner: object, name: str) -> None:
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: (called.append(name), function(*given, **named))[1])

    count(shared_data, "open_images")
    count(Images, "intact")
    count(products, "open_gram_matrix")
    count(products.StoreProducts, "_load_start")
    train(configs(tmp_path, *FOLDS, "seeds=2", "data.split.repeats=2"))
    assert sorted(called) == ["_load_start", "_load_start", "intact", "open_gram_matrix", "open_images"]
    assert len(results(tmp_path)) == 12


def test_a_store_that_was_damaged_is_noticed_for_all_splits(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configs(tmp_path / "before", *FOLDS))
    (path,) = cache.glob("*/images.npy")
    content = bytearray(path.read_bytes())
    content[-58 * 256] ^= 128  # of image 2, which no sample of sixteen contains
    path.write_bytes(content)
    train(configs(tmp_path / "after", *FOLDS, "progress=lines"))
    assert capsys.readouterr().out.count("is damaged and built anew") == 1
    assert results(tmp_path / "after") == results(tmp_path / "before")


def test_a_split_that_cannot_be_made_and_one_that_fails_stop_no_other(tmp_path: Path) -> None:
    first, second, third = configs(tmp_path, *FOLDS)
    wild = replace(second, optimizer=replace(second.optimizer, lr=1e200))
    impossible = replace(third, data=replace(third.data, split=replace(third.data.split, keep_test=True)))
    told: list[Exception] = []
    outcomes = run_sweep([impossible, first, wild, impossible, third], told.append)
    assert [type(outcome.error) for outcome in outcomes] == [
        UserError,
        type(None),
        DivergedError,
        UserError,
        type(None),
    ]
    assert [type(error) for error in told] == [UserError, DivergedError], "each once"
    assert len(list(tmp_path.glob("runs/*/seed=*/metrics.json"))) == 2


def test_images_that_cannot_be_opened_are_said_once_for_all_splits(tmp_path: Path) -> None:
    told: list[Exception] = []
    missing = ("data=folder", f"data.root={tmp_path}/nowhere", "data.split.folds=3", "progress=none")
    outcomes = run_sweep(configs(tmp_path, *missing), told.append)
    assert len(told) == 1
    assert [outcome.error for outcome in outcomes] == told * 3


def test_a_sweep_of_splits_that_is_interrupted_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(configs(whole, *FOLDS, "epochs=4", "seeds=2"))
    begun: list[int] = []

    def watched(trainers, *given):
        begun.append(len(trainers[0].history) + 1)
        if len(begun) == 7:  # the third epoch of the second split
            raise KeyboardInterrupt
        train_epoch(trainers, *given)

    monkeypatch.setattr("cxr_runner.experiment.stack.train_epoch", watched)
    monkeypatch.setattr("cxr_runner.experiment.stack._CHECKPOINT_SHARE", math.inf)
    with pytest.raises(KeyboardInterrupt):
        train(configs(cut, *FOLDS, "epochs=4", "seeds=2"))
    states = [json.loads(path.read_text())["state"] for path in cut.glob("runs/*/seed=*/status.json")]
    assert sorted(states) == ["done", "done", "interrupted", "interrupted"]
    begun.append(0)
    train(configs(cut, *FOLDS, "epochs=4", "seeds=2"))
    assert begun[8:] == [3, 4, 1, 2, 3, 4]
    assert results(cut) == results(whole)


def test_both_launchers_leave_the_same(cxr_run: Callable[..., Answer], elsewhere: Path) -> None:
    assert cxr_run(*FOLDS, "seeds=2", "outputs=one").code == 0
    folds = (*FOLDS, "data.split.fold=0,1,2", "seed=0,1")
    assert cxr_run("-m", *folds, "outputs=stack").code == 0
    assert cxr_run("-m", *folds, "outputs=basic", "hydra/launcher=basic").code == 0
    expected = results(elsewhere / "one")
    assert len(expected) == 6
    assert results(elsewhere / "stack") == results(elsewhere / "basic") == expected


def test_images_are_described_once_and_each_further_split_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configs(tmp_path, *FOLDS, "progress=lines", "data.split.repeats=2", "seeds=2"))
    said = capsys.readouterr().out.splitlines()
    described = [line for line in said if line.startswith("data: ") and "fingerprint" in line]
    assert len(described) == 6
    assert [line for line in described if "60 images" in line] == described[:1]
    assert [line.partition(";")[0] for line in described[1:3]] == [
        f"data: fold {fold} (of 0 to 2) is test, split seed 0" for fold in (1, 2)
    ]
    assert len([line for line in said if line.startswith("warning:") and "patient" in line]) == 1
    assert all("; 1 warning, in data.json of each run; " in line for line in described[1:])
    assert len(list(tmp_path.glob("samples/*.npz"))) == 1


@pytest.mark.parametrize(
    ("most", "plots", "drawn_of_three", "said"),
    [(3, "auto", 3, False), (2, "auto", 0, True), (2, "always", 3, False), (3, "never", 0, False)],
)
def test_a_large_sweep_draws_figures_only_on_demand_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    most: int,
    plots: str,
    drawn_of_three: int,
    said: bool,
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(run_figures, "MOST_DRAWN", most)
    monkeypatch.setattr(run_figures, "workers", lambda *_, **__: _at_once())
    monkeypatch.setattr(run_figures, "draw_into", lambda path: drawn.append(path) or "")
    train(configs(tmp_path, *FOLDS, "progress=lines", f"plots={plots}"))
    assert len(drawn) == drawn_of_three
    assert ("plots=always draws them" in capsys.readouterr().out) == said
    train(configs(tmp_path, *FOLDS, "data.split.fold=1"))
    assert len(drawn) == drawn_of_three + 1, "of a finished run that lacks them"


def _at_once():
    from contextlib import nullcontext
    from functools import partial

    return nullcontext(partial)


def test_a_space_takes_its_part_of_the_matrix_whatever_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(configs(tmp_path / "whole", *FOLDS))
    monkeypatch.setattr(space, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(products, "_PIXELS_OF_A_CORE", 11)
    train(configs(tmp_path / "pieces", *FOLDS))
    assert results(tmp_path / "pieces") == results(tmp_path / "whole")

"""Reports on hundreds of runs: they end, all runs are in them, and the seconds are printed (pytest -m long -s)."""

import time
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from cxr_runner import cli
from split_trees import Maker, make_images, make_splits

pytestmark = pytest.mark.long

NUM_IMAGES = 2910  # 582 of them are test, as in the study
RATES, BATCHES, MODELS = (1e-4, 1e-3, 1e-2, 1e-1), (16, 32, 64, 128), ("linear", "cnn")


def write_configurations(root: Path, number: int, folds: int | None) -> None:
    images = make_images(NUM_IMAGES)
    splits = make_splits(images, folds)
    every = list(product(MODELS, BATCHES, RATES))[:number]
    for tag, (model, batch_size, lr) in enumerate(every):
        settings = {"model": model, "batch_size": batch_size, "optimizer.lr": lr}
        Maker(root, images, splits, settings, tag=tag, gain=1 + 0.03 * tag).write(range(10))


@pytest.mark.parametrize(("number", "folds", "num_runs"), [(32, None, 320), (10, 5, 500)])
def test_a_report_on_hundreds_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, folds: int | None, num_runs: int
) -> None:
    start = time.perf_counter()
    write_configurations(tmp_path, number, folds)
    written = time.perf_counter()
    monkeypatch.setattr("sys.argv", ["cxr-report", str(tmp_path)])
    with pytest.raises(SystemExit) as ending:
        cli.report()
    assert ending.value.code == 0
    print(f"{num_runs} runs: {written - start:.1f} s to make up, {time.perf_counter() - written:.1f} s to report on")
    table = pd.read_csv(tmp_path / "report" / "tables" / "comparison.csv")
    assert (len(table), table["num_runs"].sum()) == (number, num_runs)
    assert table["accuracy_low"].notna().all()

"""Both tables as a plan, and what a forecast is made of."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cxr_runner.artifacts.rundir import find_runs
from cxr_runner.base.numbers import format_duration
from cxr_runner.study import load_study
from cxr_runner.study.grid import Pace, RowGroup, Wanted, finished, forecast, plan, samples, shape
from run_trees import write_run
from test_study import changed, configuration

STUDY = load_study()
DATA = {"name": "phantom", "num_images": 800, "image_size": 640}


def run_of(outputs: Path, row_id: str, seed: int, **changes: Any) -> None:
    config = changed(configuration(STUDY.row(row_id)) | {"data": DATA}, **changes)
    write_run(outputs, STUDY.row(row_id).experiment, f"{len(list(outputs.rglob('seed=*'))):010}", seed, config=config)


@pytest.mark.parametrize("preset", ["laptop", "full"])
def test_every_row_is_in_exactly_one_group_and_in_one_sweep(preset: Any) -> None:
    groups = plan(preset, 10, 640, STUDY)
    assert Counter(row.id for group in groups for row in group.rows) == Counter(row.id for row in STUDY.rows)
    for group in groups:
        sweeps = group.sweeps()
        assert set().union(*(sweep.wanted() for sweep in sweeps)) == group.wanted()
        assert len(sweeps) == (1 if group.shared else len(group.rows))


def test_the_full_preset_takes_nothing_away_and_the_laptop_s_only_from_what_is_slow() -> None:
    assert {(group.seeds, group.image_size) for group in plan("full", 10, 640, STUDY)} == {(10, 640)}
    sgd, adam, cnn = plan("laptop", 10, 640, STUDY)
    assert (sgd.seeds, sgd.image_size) == (10, 640)
    assert (adam.seeds, adam.image_size) == (2, 640)
    assert (cnn.seeds, cnn.image_size) == (1, 64)
    assert {(group.seeds, group.image_size) for group in plan("laptop", 1, 32, STUDY)} == {(1, 32)}


def test_a_group_says_what_cxr_run_has_to_be_told() -> None:
    group = RowGroup("two", (STUDY.row("0"), STUDY.row("20b")), 3, 64, True)
    overrides = [group.overrides(row) for row in group.rows]
    assert overrides[1] == ["experiment=table2_20b", "seeds=3", "data.image_size=64"]
    assert group.wanted() == {Wanted(row, seed, 64) for row in ("0", "20b") for seed in (0, 1, 2)}


def test_a_forecast_counts_only_what_is_left() -> None:
    group = RowGroup("two", (STUDY.row("0"), STUDY.row("20")), 3, 640, True)
    paces = {("linear", "sgd", 640): Pace(epoch=0.5, run=2.0)}
    assert forecast(group, set(), paces) == pytest.approx(3 * (10 * 0.5 + 2) + 3 * (50 * 0.5 + 2))
    done = {Wanted("20", seed, 640) for seed in range(3)} | {Wanted("0", 1, 640), Wanted("0", 0, 64)}
    assert forecast(group, done, paces) == pytest.approx(2 * (10 * 0.5 + 2))
    assert forecast(group, group.wanted(), {}) == 0


def test_every_pace_that_a_forecast_asks_for_is_measured_on_the_shortest_row() -> None:
    for group in plan("full", 2, 640, STUDY):
        rows = samples(group, set())
        assert {shape(row, 640) for row in group.rows} == {shape(row, 640) for row in rows}
        assert {row.epochs for row in rows} == {10}
        assert samples(group, group.wanted()) == []
    assert [row.id for row in samples(plan("full", 2, 640, STUDY)[2], set())] == ["10", "11", "12", "13"]


def test_finished_runs_are_found_by_configuration_data_and_size(tmp_path: Path) -> None:
    run_of(tmp_path, "0", 0)
    run_of(tmp_path, "20", 4, data__image_size=64)
    run_of(tmp_path, "1", 0, data__num_images=80)  # other data
    run_of(tmp_path, "2", 0, optimizer__momentum=0.9)  # no row of the study
    write_run(tmp_path, "x", "a" * 10, 0, config=configuration(STUDY.row("3")), status={"state": "failed"})
    assert finished(find_runs(tmp_path), DATA, STUDY) == {Wanted("0", 0, 640), Wanted("20", 4, 64)}
    assert finished(find_runs(tmp_path), {**DATA, "image_size": 8}, STUDY) == {Wanted("0", 0, 640), Wanted("20", 4, 64)}


def test_durations_are_written_as_people_say_them() -> None:
    assert [format_duration(seconds) for seconds in (0.2, 89, 120, 5000, 5400, 36000)] == (
        ["0.2 s", "89 s", "2 min", "83 min", "1.5 h", "10.0 h"]
    )

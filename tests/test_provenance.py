"""Where the runs of a report come from."""

from pathlib import Path
from typing import Any

import pytest

from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect_runs
from cxr_runner.report.render.commands import Commands
from cxr_runner.report.render.provenance import gather_facts
from cxr_runner.report.write import write_report
from cxr_runner.study import load_study
from run_trees import run_metrics, write_run

SERVER = {"cpu": "AMD EPYC 7B13", "cores": 2, "memory": 17 * 10**9, "system": "Linux 6.1.0 x86_64"}
LAPTOP = {"cpu": "Apple M2", "cores": 8, "memory": None, "system": "Darwin 23.1.0 arm64"}


def machines(root: Path, *entries: Any) -> str:
    """Write a run for each entry ``machine`` of metrics.json, None for none, and return what is said of them."""
    for seed, machine in enumerate(entries):
        write_run(root, seed=seed, metrics=run_metrics(**({} if machine is None else {"machine": machine})))
    (runs,), _ = collect_runs(root, load_study(), Reporter())
    return gather_facts(runs, Commands(runs, {}))["Machine"]


def test_the_page_names_the_machine(tmp_path: Path) -> None:
    write_run(tmp_path, metrics=run_metrics(machine=SERVER | {"cpu": "AMD <b>EPYC</b>"}))
    write_report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    said = "AMD &lt;b&gt;EPYC&lt;/b&gt;, 2 cores, 15.8 GiB, Linux 6.1.0 x86_64"
    assert f"<dt>Machine</dt><dd>{said}</dd>" in page


def test_one_machine_is_named_once(tmp_path: Path) -> None:
    assert machines(tmp_path, SERVER, SERVER) == "AMD EPYC 7B13, 2 cores, 15.8 GiB, Linux 6.1.0 x86_64"


def test_several_machines_are_named_with_their_numbers_of_runs(tmp_path: Path) -> None:
    assert machines(tmp_path, None, LAPTOP, SERVER, SERVER) == (
        "AMD EPYC 7B13, 2 cores, 15.8 GiB, Linux 6.1.0 x86_64 (2 runs); "
        "Apple M2, 8 cores, Darwin 23.1.0 arm64 (1 run); not recorded (1 run)"
    )


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (None, "not recorded"),
        ("a server", "not recorded"),
        ([SERVER], "not recorded"),
        ({}, "not recorded"),
        (dict.fromkeys(SERVER, True), "not recorded"),
        ({key: [1] for key in SERVER}, "not recorded"),
        (SERVER | {"cores": -1, "memory": 10**400}, "AMD EPYC 7B13, Linux 6.1.0 x86_64"),
        (SERVER | {"cpu": "two\nlines\x1b[31m", "system": {}, "memory": 2.5}, "two lines [31m, 2 cores"),
        (SERVER | {"cpu": "\n"}, "2 cores, 15.8 GiB, Linux 6.1.0 x86_64"),
    ],
)
def test_runs_without_a_machine_or_with_a_damaged_one_stop_nothing(tmp_path: Path, machine: Any, said: str) -> None:
    assert machines(tmp_path, machine) == said

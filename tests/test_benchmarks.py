"""Every benchmark leaves its table and its JSON; no figure is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import ALL

TESTS = Path(__file__).parent
QUICK = ("linear", "decoding", "scaling")  # the others start many processes


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in ALL])
def test_a_benchmark_prints_its_table_and_writes_it_as_json(name: str, tmp_path: Path) -> None:
    if name == "trainer":
        pytest.importorskip("lightning", reason="installed by make bench only")
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert answer.returncode == 0, answer.stderr
    results = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("*.json")]
    assert results
    for result in results:
        assert result["name"].startswith(name)
        assert result["machine"]["cores"] >= 1
        assert f"{result['name']}: {result['unit']}" in answer.stdout
        assert len(result["figures"]) >= 2
        for figures in result["figures"]:
            assert figures["wall"] > 0
            assert figures["name"] in answer.stdout
    assert "figures mean nothing" in answer.stdout


def test_a_benchmark_that_is_not_there_is_named_with_those_that_are() -> None:
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "benchmarks", "liner"]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 1
    assert answer.stderr == f"liner: no such benchmark, valid are {', '.join(ALL)}\n"

"""Every benchmark leaves its table and its JSON; no figure is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_checks, gpu_speed
from benchmarks.__main__ import ALL, NAMES
from stand_in import one_gpu

TESTS = Path(__file__).parent
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
}
QUICK = ("scaling",)  # the others start more processes or take longer


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in ALL])
def test_a_benchmark_prints_its_table_and_writes_it_as_json(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path, timeout=600)
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
        if name == "folds":
            assert result["facts"]["same"] == result["facts"]["compared"] == 2
    assert "figures mean nothing" in answer.stdout


def test_a_benchmark_that_is_not_there_is_named_with_those_that_are() -> None:
    command = [sys.executable, "-m", "benchmarks", "liner"]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert answer.returncode == 1
    assert answer.stderr == f"liner: no such benchmark, valid are {', '.join(NAMES)}\n"


@pytest.mark.long
def test_the_check_of_a_gpu_goes_through_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "gpu", "--quick", "--device", "cpu", "--out", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path, timeout=600)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text("utf-8"))["rows"]
    assert {row["result"] for row in rows} == {"ok"}
    assert len(rows) == 26


@pytest.mark.placement
def test_a_step_of_the_check_of_a_gpu_that_fails_is_a_row_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the stand-in for a GPU, which tiny steps take some seconds on; what starts processes is left out."""
    monkeypatch.setenv("CXR_CACHE", str(tmp_path))
    monkeypatch.setattr(gpu_checks, "REPEATED", {"unheard of": ("model=unheard_of",)})
    monkeypatch.setattr(gpu_checks, "AGREEING", {"linear": gpu_checks.AGREEING["linear, Gram"]})
    for starts_many in ("_kill", "_alone"):
        monkeypatch.setattr(gpu_checks, starts_many, lambda *_: ("not here", {}))
    with one_gpu():
        code = gpu.main(["--quick", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "gpu.json").read_text("utf-8"))
    assert (code, content["machine"]["gpu"]) == (1, "stand-in")
    rows = {row["name"]: row for row in content["rows"]}
    failed = [name for name, row in rows.items() if row["result"] != "ok"]
    assert failed == ["twice the same bytes: unheard of"]
    assert "unheard_of" in rows[failed[0]]["said"]
    assert rows["Gram space, one of 50 members"]["figures"]["seconds"] > 0
    table = (tmp_path / "gpu.md").read_text("utf-8")
    assert table in capsys.readouterr().out
    assert table.count("x |") == len(gpu_speed.PIXELS) + len(gpu_speed.MEMBERS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_its_check_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("gpu: torch can use no CUDA device here")

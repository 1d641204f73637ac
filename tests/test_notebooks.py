"""The notebooks run from top to bottom, and are committed without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, object]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_explore_the_data", "02_reproduce_the_study"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped_and_cells_hold_no_logic(notebook: Path) -> None:
    for cell in code_cells(notebook):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert not any(line.startswith(("def ", "class ", "if ")) for line in cell["source"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    script = "\n".join("".join(cell["source"]) for cell in code_cells(notebook))  # type: ignore[arg-type]
    environment = os.environ | {
        "CXR_NOTEBOOK_DATA": "data=phantom data.num_images=60 data.image_size=24",
        "CXR_NOTEBOOK_OUTPUTS": str(tmp_path / "outputs"),
    }
    command = [sys.executable, "-W", "error", "-c", script]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert (process.returncode, process.stderr) == (0, "")

"""The notebooks run from top to bottom in a kernel and show their figures, and are committed with small outputs."""

import json
import pickle
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

from cxr_runner.plots.notebook import make_shown
from study_trees import write_study

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, object]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_three() -> None:
    names = ["01_explore_the_data", "02_reproduce_the_study", "03_my_own_images"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_hold_no_logic_and_outputs_no_paths_and_no_warnings(notebook: Path) -> None:
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))  # make notebooks
    for cell in cells:
        assert not any(line.startswith(("def ", "class ", "if ")) for line in cell["source"])  # type: ignore[attr-defined]
        assert [one for one in cell["outputs"] if one.get("name") == "stderr"] == []  # type: ignore[attr-defined]
        texts = json.dumps([{**one, "data": {**one.get("data", {}), "image/png": ""}} for one in cell["outputs"]])  # type: ignore[attr-defined]
        assert re.findall(r"/(?:tmp|home|root|Users|work)/|Warning|\\u001b", texts) == []


def test_the_notebooks_are_small() -> None:
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 400_000


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of this environment, whatever is installed and set up for the user."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "MPLBACKEND", "CXR_NOTEBOOK_OUTPUTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CXR_NOTEBOOK_DATA", "data=phantom data.num_images=60 data.image_size=24 plots=never")


@pytest.mark.usefixtures("jupyter")
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        pytest.param("01_explore_the_data", "notebooks", marks=pytest.mark.long),
        ("02_reproduce_the_study", "."),
        pytest.param("03_my_own_images", "notebooks", marks=pytest.mark.long),
    ],
)
def test_it_runs_from_top_to_bottom_and_shows_its_figures(name: str, folder: str, tmp_path: Path) -> None:
    shutil.copytree(NOTEBOOKS[0].parent, tmp_path / "notebooks")
    content = nbformat.read(tmp_path / "notebooks" / f"{name}.ipynb", as_version=4)
    client = NotebookClient(content, timeout=300, kernel_name="python3", resources=_started_in(tmp_path / folder))
    client.execute()
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    streams = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert streams == []
    figures = [cell for cell in cells if re.match(r"cxr_runner\.(study_figure|forest|curves)", cell.source)]
    shown = [[output.data.get("image/png", "") for output in cell.outputs] for cell in figures]
    assert len(figures) >= 2
    assert all(len(pngs) == 1 and b64decode(pngs[0]).startswith(b"\x89PNG") for pngs in shown)
    assert list((tmp_path / folder / "outputs" / "notebooks").rglob("metrics.json"))
    assert ["epoch" in output.text for cell in cells for output in cell.outputs if "text" in output].count(True) >= 1


def _started_in(folder: Path) -> dict[str, dict[str, str]]:
    return {"metadata": {"path": str(folder)}}


def test_a_figure_is_a_picture_without_pyplot(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20"])
    code = f"import cxr_runner, sys; f = cxr_runner.study_figure({str(tmp_path)!r}, 18); png = f._repr_png_(); "
    code += "assert png.startswith(b'\\x89PNG'), png; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_a_figure_shows_texts_that_its_font_lacks_and_can_be_pickled() -> None:
    figure = Figure()
    figure.suptitle("\u80ba")
    shown = make_shown(figure)
    assert shown is figure
    assert pickle.loads(pickle.dumps(shown))._repr_png_() == shown._repr_png_()

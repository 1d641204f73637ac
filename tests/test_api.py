"""The public API: what completion and help show, its examples, and what its tables and figures hold."""

import doctest
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cxr_runner
from cxr_runner import api
from cxr_runner.base.errors import UserError
from run_trees import HOSPITAL, write_run

READ = ["load", "load_runs", "compare", "forest", "curves", "comparison_table", "study_figure"]  # what run has trained


def failures(name: str) -> int:
    """Run the example of a call, in the working directory."""
    call = getattr(api, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(call, name, globs={"cxr_runner": cxr_runner})
    assert example.examples
    return doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example).failed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory of the examples, in which that of ``run`` has trained."""
    path, before = tmp_path_factory.mktemp("examples"), Path.cwd()
    os.chdir(path)
    assert failures("run") == 0
    yield path
    os.chdir(before)


@pytest.mark.usefixtures("own_process", "folder")
@pytest.mark.parametrize("name", READ)
def test_the_example_of_a_call_does_what_it_shows(name: str) -> None:
    assert failures(name) == 0


def test_the_api_is_listed_and_explained_by_help() -> None:
    assert dir(cxr_runner) == sorted(cxr_runner.__all__) == sorted(["run", *READ, "__version__"])
    assert sorted(api.__all__) == sorted(["run", *READ])
    code = "import cxr_runner, pydoc; print(pydoc.plain(pydoc.render_doc(cxr_runner)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert [name for name in READ if f"\n    {name}(" not in answer.stdout] == []


def test_importing_and_listing_the_package_imports_nothing_heavy() -> None:
    code = "import cxr_runner, sys; dir(cxr_runner); print({'pandas', 'numpy', 'torch', 'matplotlib'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert answer.stdout == "set()\n"


def test_a_comparison_holds_means_intervals_and_differences_of_each_configuration(folder: Path) -> None:
    runs = cxr_runner.load_runs(folder / "outputs")
    table = cxr_runner.compare(folder / "outputs").set_index("configuration")
    for model, label in (("linear", "linear"), ("linear_relu", "linear + ReLU")):
        assert table.loc[label, "accuracy"] == pytest.approx(runs[runs["model"] == model]["accuracy"].mean())
    assert (table["accuracy_low"] < table["accuracy_high"]).all()
    gap = table.loc["linear + ReLU", "accuracy"] - table.loc["linear", "accuracy"]
    assert table.loc["linear + ReLU", "accuracy_difference"] == pytest.approx(gap)
    assert np.isnan(table.loc["linear", "accuracy_difference"])
    assert set(table["data"]) == {"synthetic phantom data"}


def test_a_comparison_goes_by_the_baseline_the_metric_and_the_selection(folder: Path) -> None:
    by_name = cxr_runner.compare(folder / "outputs", baseline="linear_relu", metric="f1")
    assert by_name["configuration"].tolist() == ["linear + ReLU", "linear"]
    metrics = [column for column in by_name.columns if column in ("accuracy", "f1", "auroc")]
    assert metrics == ["f1", "accuracy", "auroc"]
    (only,) = cxr_runner.compare(folder / "outputs", select=["model=linear_relu", "epochs=3"])["name"]
    assert only.startswith("linear_relu-")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"baseline": "cnn"}, r"^baseline=cnn: no configuration is called so; valid are linear \(linear-"),
        ({"metric": "loss"}, r"^metric=loss: valid are accuracy, f1, auroc$"),
        ({"select": ["model=cnn"]}, r"^select=model=cnn: no run is like that; here are linear, linear_relu$"),
    ],
)
def test_a_mistake_is_named_as_python_writes_it(folder: Path, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cxr_runner.compare(folder / "outputs", **asked)  # type: ignore[arg-type]


def test_figures_hold_every_configuration_that_is_asked_for(folder: Path) -> None:
    forest, curves = cxr_runner.forest(folder / "outputs"), cxr_runner.curves(folder / "outputs")
    ticks = {label.get_text() for axes in forest.axes for label in axes.get_yticklabels()}
    assert {"linear", "linear + ReLU"} <= ticks
    legend = " ".join(text.get_text() for one in curves.legends for text in one.get_texts())
    assert "linear + ReLU" in legend
    fewer = cxr_runner.curves(folder / "outputs", select=["model=linear"])
    assert "ReLU" not in " ".join(text.get_text() for one in fewer.legends for text in one.get_texts())
    assert forest._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_figures_are_of_one_data_set_and_a_table_of_all(tmp_path: Path) -> None:
    write_run(tmp_path, "phantoms")
    write_run(tmp_path, "ward", data=HOSPITAL)
    for draw in (cxr_runner.forest, cxr_runner.curves):
        with pytest.raises(UserError, match=r"^root=.*: runs on one data set .*Ward 7"):
            draw(tmp_path)
    table = cxr_runner.compare(tmp_path)
    assert sorted(table["data"]) == ["Ward 7", "synthetic phantom data"]
    assert table["is_reference"].all()

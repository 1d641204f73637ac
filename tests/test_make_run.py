"""What ``make run`` promises: three families that learn, one collapse on purpose, and a page that opens on them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import cxr_runner
from installed import installed

CHECKOUT = Path(__file__).parents[1]
FAMILIES = ["CNN", "linear", "linear + ReLU"]
COLLAPSED = "collapse-on-purpose"


@pytest.fixture(scope="module")
def commands() -> list[str]:
    """The commands of the target, as make would give them to a shell."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    asked = ["make", "--just-print", "--no-print-directory", "--old-file=.venv/.ready", "run"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    answer = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=True, env=alone)
    return answer.stdout.splitlines()


def test_it_trains_three_seeds_of_each_and_ends_with_where_the_page_is(commands: list[str]) -> None:
    trains = [line for line in commands if "/cxr-run " in line]
    assert [line for line in trains if "seeds=3" not in line.split()] == []
    assert f"name={COLLAPSED}" in trains[-1].split()
    assert "outputs/demo/report/index.html" in commands[-1]


@pytest.mark.long
def test_every_family_learns_and_what_shall_collapse_does(
    commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for line in (line for line in commands if "/cxr-" in line):
        command, *arguments = shlex.split(line)
        fewer = [argument.replace("seeds=3", "seeds=1") for argument in arguments]
        subprocess.run([installed(Path(command).name), *fewer], cwd=tmp_path, check=True, timeout=600)
    compared = cxr_runner.compare(tmp_path / "outputs" / "demo").set_index("configuration")
    assert sorted(compared.index, key=str.casefold) == sorted([*FAMILIES, COLLAPSED], key=str.casefold)
    learned = compared.loc[FAMILIES]
    runs = cxr_runner.load_runs(tmp_path / "outputs" / "demo")
    trivial = max(runs["tp"] + runs["fn"]) / max(runs["n"])  # always positive
    assert (learned["accuracy"] > trivial + 0.1).all()
    assert (learned["auroc"] > 0.9).all()
    assert (learned[["num_collapsed", "num_all_positive", "num_all_negative"]] == 0).all().all()
    assert compared.loc[COLLAPSED, "num_collapsed"] == 1
    page = (tmp_path / "outputs" / "demo" / "report" / "index.html").read_text("utf-8")
    first = re.split("<h[2-6][^>]*>", page.partition("<body")[2])[1]  # up to the second heading
    assert all(words in first for words in [*FAMILIES, COLLAPSED])

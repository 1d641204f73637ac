"""The published results: reports that are made again from the archives, and what the documentation says of them."""

import json
import os
import re
import shutil
import statistics
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.base.checksums import digest_of_file
from cxr_runner.base.errors import RunFailedError
from cxr_runner.commands.verifying import verify_report

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
ARCHIVES = sorted(path.name.removesuffix(".tar.xz") for path in RESULTS.glob("*.tar.xz"))
Metrics = dict[str, Any]
STUDY, README = (ROOT / "docs" / "study.md").read_text("utf-8"), (ROOT / "README.md").read_text("utf-8")


def sums(name: str) -> dict[str, str]:
    lines = (RESULTS / name / "SHA256SUMS").read_text("utf-8").splitlines()
    return {file.removeprefix("./"): digits for digits, file in (line.split("  ") for line in lines)}


def configurations(name: str) -> dict[tuple[str, float], list[Metrics]]:
    """Return the metrics of an archive's runs by the name of their configuration and its learning rate."""
    with tarfile.open(RESULTS / f"{name}.tar.xz") as archive:
        of_runs = [member for member in archive if "seed=" in member.name]
        files = {one.name: archive.extractfile(one).read().decode() for one in of_runs}  # type: ignore[union-attr]
    runs: dict[tuple[str, float], list[Metrics]] = {}
    for path in (file.removesuffix("/metrics.json") for file in files if file.endswith("/metrics.json")):
        learning_rate = re.search("^  lr: (.+)", files[f"{path}/config.yaml"], re.MULTILINE)
        assert learning_rate is not None
        metrics = json.loads(files[f"{path}/metrics.json"]) | {"split": json.loads(files[f"{path}/data.json"])["split"]}
        runs.setdefault((path.split("/")[-2].rpartition("-")[0], float(learning_rate[1])), []).append(metrics)
    return runs


def row(runs: list[Metrics], *names: str) -> Iterator[str]:
    """Yield how many runs did not collapse, and the mean and standard deviation of test metrics of these."""
    good = [run for run in runs if not run["collapsed"]]
    yield f"{len(good)} of {len(runs)}"
    for name in names:
        values = [run["test"][name] for run in good]
        yield f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


@pytest.fixture(scope="module")
def at_640() -> dict[tuple[str, float], list[Metrics]]:
    return configurations("study-640")


@pytest.fixture(scope="module")
def at_224() -> dict[tuple[str, float], list[Metrics]]:
    """Without runs on pixels of what was trained in Gram space too: they are there for their times."""
    runs = configurations("study-224")
    engines = {key: {run["engine"] for run in of_key} for key, of_key in runs.items()}
    return {
        key: [run for run in of_key if run["engine"] == "gram" or "gram" not in engines[key]]
        for key, of_key in runs.items()
    }


def has_row(text: str, label: str, cells: Iterator[str]) -> bool:
    """Whether a row of a table in a text begins like this and has these cells, in this order and others between."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    wanted = list(cells)
    return any(row[0].startswith(f"{label}:") and in_order(wanted, row) for row in rows)


def in_order(wanted: list[str], row: list[str]) -> bool:
    remaining = iter(row)
    return all(cell in remaining for cell in wanted)


def test_all_of_it_is_small() -> None:
    names = ["bacterial_viral", "folds-224", "folds-640", "hospital", "splits-640", "study-224", "study-640"]
    assert names == ARCHIVES
    assert sum((RESULTS / f"{name}.tar.xz").stat().st_size for name in ARCHIVES) < 5_000_000
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 5_500_000


@pytest.mark.parametrize("name", ARCHIVES)
def test_published_tables_are_those_of_the_report(name: str) -> None:
    expected = sums(name)
    for path in (RESULTS / name / "tables").glob("*.md"):
        assert digest_of_file(path) == expected[f"tables/{path.name}"], path


@pytest.mark.parametrize(("page", "name"), [("claims.md", "study-640"), ("claims-224.md", "study-224")])
def test_a_page_of_claims_is_that_of_the_report(page: str, name: str) -> None:
    assert digest_of_file(ROOT / "docs" / page) == sums(name)["claims.md"]


def test_a_report_is_made_again_from_its_archive(
    tmp_path: Path, quick_pictures: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but what is drawn, which takes longer: `make results` compares that as well."""
    out, published = tmp_path / "out", tmp_path / "published"
    words = [RESULTS / "bacterial_viral.tar.xz", "--study", "bacterial_viral", "--out", out]
    answer: Answer = call_inside(cli.report, ["cxr-report", *map(str, words)], monkeypatch, capsys)
    assert answer.code == 0, answer.err
    published.mkdir()
    kept = {name: digits for name, digits in sums("bacterial_viral").items() if name.startswith(("report.", "tables/"))}
    (published / "SHA256SUMS").write_text("".join(f"{digits}  {name}\n" for name, digits in kept.items()))
    assert len(kept) > 30
    try:
        verify_report(out, published)
    except RunFailedError as error:
        pytest.fail(f"{error}. If the report is meant to differ: make publish, and look at what did")


@pytest.mark.long
def test_make_results_makes_all_reports_again_and_names_what_differs(elsewhere: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copytree(RESULTS, elsewhere / "docs" / "results")
    shutil.copy(ROOT / "Makefile", elsewhere)
    for name in ("pyproject.toml", "constraints.txt"):
        (elsewhere / name).touch()
    (elsewhere / ".venv").symlink_to(ROOT / ".venv")
    changed = elsewhere / "docs" / "results" / "splits-640" / "tables" / "comparison.md"
    changed.write_text(changed.read_text("utf-8").replace("0.9", "0.8"), "utf-8")
    command = ["make", "--keep-going", "--old-file=.venv/.ready", "results"]
    made = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert made.returncode != 0
    assert made.stdout.count("as in docs/results") == len(ARCHIVES) - 1, made.stderr
    assert "is not what docs/results/splits-640 has: tables/comparison.md" in made.stderr


@pytest.mark.parametrize(
    ("name", "label", "of_readme"),
    [
        *[(f"table1_{number}", number, True) for number in ("20", "21", "23", "24")],
        *[(f"table2_{number}", number, number in ("20b", "21b")) for number in ("20b", "21b", "23b", "24b")],
    ],
)
def test_the_documentation_has_the_figures_of_the_archives(
    name: str,
    label: str,
    of_readme: bool,
    at_640: dict[tuple[str, float], list[Metrics]],
    at_224: dict[tuple[str, float], list[Metrics]],
) -> None:
    metrics = ("accuracy_batch_mean", "accuracy", "f1")
    assert has_row(STUDY, label, row(at_640[name, 1e-4], *metrics))
    assert has_row(README, label, row(at_640[name, 1e-4], *metrics)) is of_readme
    for lr in (1e-4, 8.2e-4):
        assert has_row(STUDY, label, row(at_224[name, lr], *metrics)), lr


@pytest.mark.parametrize("number", ["22", "25", "22b", "25b"])
def test_the_cnns_of_fifty_epochs_have_the_figures_of_the_archive(
    number: str, at_224: dict[tuple[str, float], list[Metrics]]
) -> None:
    (name,) = {name for name, _ in at_224 if name.endswith(f"_{number}")}
    assert has_row(STUDY, number, row(at_224[name, 1e-2], "accuracy_batch_mean", "accuracy", "f1"))


@pytest.mark.parametrize("number", ["10", "11", "12", "13", "16", "19"])
def test_the_cnns_of_ten_epochs_have_the_figures_of_the_archive(
    number: str, at_224: dict[tuple[str, float], list[Metrics]]
) -> None:
    runs = at_224[f"table1_{number}", 1e-4 if number == "19" else 1e-2]
    accuracies, ranks = (", ".join(f"{run['test'][key]:.3f}" for run in runs) for key in ("accuracy", "auroc"))
    (line,) = [line for line in STUDY.splitlines() if line.startswith(f"| {number}: ") and accuracies in line]
    assert ranks in line


def test_the_cnns_in_folds_have_the_figures_of_the_archive() -> None:
    table = (RESULTS / "folds-224" / "tables" / "comparison.md").read_text("utf-8")
    rows = {line.split("|")[1].strip().partition(":")[0]: line for line in table.splitlines()[2:]}
    answers = (ROOT / "docs" / "answers.md").read_text("utf-8")
    for number in ("11", "16", "22"):
        cells = [cell.strip() for cell in rows[number].split("|")]
        assert has_row(STUDY, number, iter([cells[2]]))
        assert has_row(answers, number, iter([cells[2], cells[3], cells[7]]))
    assert rows["logistic"].split("|")[2].strip() in answers.replace("**", "")


def test_other_splits_give_what_the_documentation_says() -> None:
    runs = configurations("splits-640")["table1_21", 1e-4]
    for seed in (1, 2):
        of_seed = [run for run in runs if run["split"]["seed"] == seed and not run["collapsed"]]
        values = [run["test"]["accuracy"] for run in of_seed]
        said = f"{min(values):.3f} to {max(values):.3f} with `data.split.seed={seed}`"
        assert said in " ".join(STUDY.split())


def test_folds_by_patient_give_what_the_documentation_says() -> None:
    table = (RESULTS / "folds-640" / "tables" / "comparison.md").read_text("utf-8")
    runs = configurations("folds-640")
    for number in ("20", "21", "23", "24"):
        of_row = [run for run in runs[f"table1_{number}", 1e-4] if not run["collapsed"]]
        mean = f"{statistics.mean(run['test']['accuracy'] for run in of_row):.3f}"
        interval = next(line for line in table.splitlines() if line.startswith(f"| {number}:")).split("|")[2].strip()
        assert has_row(STUDY, number, iter([mean, interval, f"{50 - len(of_row)}"])), (number, mean, interval)


@pytest.mark.parametrize("name", ["linear", "linear_weighted", "linear_relu", "linear_small_lr"])
def test_the_second_study_gives_what_the_documentation_says(name: str) -> None:
    table = (RESULTS / "bacterial_viral" / "tables" / "comparison.md").read_text("utf-8")
    cells = next(line for line in table.splitlines() if line.startswith(f"| {name}:")).split("|")
    (line,) = (line for line in STUDY.splitlines() if line.startswith(f"| `{name}`"))
    assert in_order([cells[2].strip(), cells[7].strip()], [cell.strip() for cell in line.split("|")])

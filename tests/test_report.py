import collections
import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from cxr_runner.artifacts.metrics import METRICS
from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import LineReporter
from cxr_runner.report.write import write_report
from run_trees import CONFIG, HOSPITAL, PHANTOM, run_metrics, write_run
from study_trees import STUDIED, write_study

# Prints which files of runs are opened in each step of a report.
OPENED = """
import json, sys
from functools import partial
from pathlib import Path
from cxr_runner.base.progress import Reporter
from cxr_runner.report.collect.tree import collect
from cxr_runner.report.compare.comparison import compare
from cxr_runner.report.render.pages import render
from cxr_runner.study import load_study

root, opened = Path(sys.argv[1]), {"collect": [], "compare": [], "render": []}
step = ""

def note(event, arguments):
    if event == "open" and step and str(arguments[0]).startswith(str(root / "runs")):
        opened[step].append(str(arguments[0]))

sys.addaudithook(note)
step = "collect"
collected = collect(root, load_study(), Reporter())
step = "compare"
compared = compare(collected)
step = "render"
if __name__ == "__main__":
    render(collected, compared, root / "report", Reporter(), partial)
    print(json.dumps(opened))
"""
CNN = {"name": "cnn", "hidden": 8, "kernel_size": 5, "sgd_lr": 1e-2}


class Report:
    """A report as written, read back."""

    def __init__(self, root: Path) -> None:
        self.out = root / "report"
        write_report(root, self.out)
        self.page = (self.out / "report.md").read_text("utf-8")
        self.html = (self.out / "index.html").read_text("utf-8")
        self.runs = pd.read_csv(self.out / "tables" / "runs.csv", dtype={"id": str, "fingerprint": str})
        self.summary = pd.read_csv(self.out / "tables" / "configurations.csv", keep_default_na=False, dtype=str)

    @property
    def pictures(self) -> list[str]:
        return sorted(path.name for path in (self.out / "figures").glob("curves*.png"))

    @property
    def left_out(self) -> str:
        return self.page.partition("## Runs left out")[2]


@pytest.fixture
def real_pictures() -> None:
    """Ask for pictures that are drawn to the end."""


@pytest.fixture(autouse=True)
def _pictures(request: pytest.FixtureRequest) -> None:
    if "real_pictures" not in request.fixturenames:
        request.getfixturevalue("quick_pictures")


def configuration(**changes: Any) -> dict[str, Any]:
    """Return the usual configuration with some groups exchanged."""
    return copy.deepcopy(CONFIG) | changes


def test_the_table_of_runs_has_one_row_a_finished_run_with_its_figures(tmp_path: Path) -> None:
    write_run(tmp_path, "linear", "0123456789", 3, metrics=run_metrics(70, 5, 4, 21, pos_weight=0.37))
    write_run(tmp_path, "conv", "abcdefabcd", 0, config=configuration(model=CNN))
    runs = Report(tmp_path).runs.set_index("name")
    expected = ["row", "name", "id", "seed", "split_seed", "fold", "data", "fingerprint", "synthetic", "image_size"]
    expected += [
        "model",
        "layers",
        "hidden",
        "kernel_size",
        "optimizer",
        "lr",
        "pos_weight",
        "batch_size",
        "epochs",
        "engine",
        "device",
    ]
    expected += [metric.key for metric in METRICS]
    expected += ["tp", "fp", "fn", "tn", "n", "val_accuracy", "val_f1", "val_auroc"]
    expected += ["collapsed", "collapse_reason", "train_seconds", "path"]
    assert {"name", *runs.columns} == set(expected)
    linear = runs.loc["linear"]
    assert (linear["id"], linear["seed"], linear["data"]) == ("0123456789", 3, PHANTOM["title"])
    assert (linear["split_seed"], pd.isna(linear["fold"])) == (0, True)  # a run from before there were folds
    assert (linear["accuracy"], linear["val_accuracy"], linear["tp"], linear["n"]) == (0.91, 0.8, 70, 100)
    assert (linear["layers"], linear["pos_weight"], linear["lr"], linear["epochs"]) == (2, 0.37, 1e-4, 3)
    assert linear["path"] == "runs/linear-0123456789/seed=3"
    assert bool(linear["synthetic"])
    assert (runs.loc["conv", "model"], runs.loc["conv", "kernel_size"]) == ("cnn", 5)
    assert pd.isna(runs.loc["conv", "layers"])


def test_no_number_of_the_table_of_runs_is_short_of_digits(tmp_path: Path) -> None:
    write_run(tmp_path, metrics=run_metrics(99, 0, 0, 1, pos_weight=0.37, train_seconds=12345.67))
    (line,) = (Report(tmp_path).out / "tables" / "runs.md").read_text("utf-8").splitlines()[2:]
    assert " | 0.37 | 32 | 3 | 1.000 | " in line
    assert line.endswith(" | no | 12,345.7 |")


def test_whole_numbers_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    write_run(tmp_path, "linear")
    write_run(tmp_path, "conv", config=configuration(model=CNN))
    text = (Report(tmp_path).out / "tables" / "runs.csv").read_text()
    assert ",cnn,,8,5,sgd," in text
    assert ",linear,2,10,,sgd," in text


def test_the_summary_averages_the_seeds_of_each_configuration(tmp_path: Path) -> None:
    counts = [(70, 5, 4, 21), (66, 8, 8, 18), (72, 9, 2, 17)]
    for seed, confusion in enumerate(counts):
        metrics = run_metrics(*confusion, train_seconds=float(seed), collapsed=seed == 1)
        write_run(tmp_path, "linear", "0123456789", seed, metrics=metrics)
    write_run(tmp_path, "linear", "aaaaaaaaaa", 0, metrics=run_metrics(74, 26, 0, 0))
    summary = Report(tmp_path).summary.set_index("configuration")
    row = summary.loc["linear-0123456789"]
    f1 = pd.Series([2 * tp / (2 * tp + fp + fn) for tp, fp, fn, _ in counts])
    recall = pd.Series([tp / (tp + fn) for tp, _, fn, _ in counts])
    assert (row["num_seeds"], row["num_collapsed"], float(row["train_seconds_mean"])) == ("3", "1", 1.0)
    assert float(row["accuracy_mean"]) == pytest.approx((0.91 + 0.84 + 0.89) / 3)
    assert float(row["accuracy_sd"]) == pytest.approx(pd.Series([0.91, 0.84, 0.89]).std())
    assert (float(row["f1_mean"]), float(row["f1_sd"])) == pytest.approx((f1.mean(), f1.std()))
    assert (float(row["recall_mean"]), float(row["recall_sd"])) == pytest.approx((recall.mean(), recall.std()))
    single = summary.loc["linear-aaaaaaaaaa"]
    assert (single["num_seeds"], float(single["accuracy_mean"]), single["accuracy_sd"]) == ("1", 0.74, "")


def test_the_page_shows_mean_and_deviation_best_configuration_first(tmp_path: Path) -> None:
    for seed, tn in enumerate((11, 21)):
        write_run(tmp_path, "middling", seed=seed, metrics=run_metrics(70, 26 - tn, 4, tn))
    write_run(tmp_path, "best", metrics=run_metrics(74, 1, 0, 25))
    page = Report(tmp_path).page
    assert "0.860 ± 0.071" in page
    assert page.index("| best-") < page.index("| middling-")


def test_configurations_are_told_apart_by_what_differs_between_them(tmp_path: Path) -> None:
    write_run(tmp_path, "linear", "aaaaaaaaaa", 0)
    write_run(tmp_path, "linear", "aaaaaaaaaa", 1)
    other = configuration(optimizer={"name": "sgd", "lr": 1e-2, "nesterov": True}, outputs="elsewhere")
    write_run(tmp_path, "linear", "bbbbbbbbbb", 0, config=other)
    differs = Report(tmp_path).summary.set_index("configuration")["differs_in"]
    assert differs["linear-aaaaaaaaaa"] == "optimizer.lr=0.0001 optimizer.nesterov=false"
    assert differs["linear-bbbbbbbbbb"] == "optimizer.lr=0.01 optimizer.nesterov=true"


def test_models_and_devices_are_named_where_they_differ(tmp_path: Path) -> None:
    write_run(tmp_path, "a", config=configuration(model=CNN))
    write_run(tmp_path, "b", metrics=run_metrics(device="cuda:1 (some GPU)"))
    differs = Report(tmp_path).summary.set_index("configuration")["differs_in"]
    assert differs["a-0123456789"] == "device=cpu model=cnn model.hidden=8 model.kernel_size=5"
    assert differs["b-0123456789"] == "device=cuda model=linear model.hidden=10 model.layers=2"


def test_data_sets_are_kept_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "same", "0123456789", 0, data=PHANTOM)
    write_run(tmp_path, "same", "abcdefabcd", 0, data=HOSPITAL, metrics=run_metrics(74, 26, 0, 0))
    write_run(tmp_path / "copy", "same", "0123456789", 0, data=HOSPITAL)  # even under one id and seed
    report = Report(tmp_path)
    assert sorted(report.summary["num_seeds"]) == ["1", "1", "1"]
    assert report.summary["fingerprint"].tolist() == [HOSPITAL["fingerprint"]] * 2 + [PHANTOM["fingerprint"]]
    _, ward, phantom, *_ = report.page.split("\n## ")
    assert ward.startswith("Ward 7\n")
    assert "synthetic" not in ward
    assert "same-abcdefabcd" in ward
    assert all(said in ward for said in ("Nobody et al., 2020", "CC BY 4.0", "figures/curves_1.png"))
    assert phantom.startswith("synthetic phantom data\n")
    assert all(said in phantom for said in ("Drawn by a generator.", "none needed", "figures/curves_2.png"))
    assert report.pictures == ["curves_1.png", "curves_2.png"]


@pytest.mark.parametrize("manifest", [True, False])
def test_of_an_earlier_report_nothing_stays_but_what_others_left(tmp_path: Path, manifest: bool) -> None:
    write_run(tmp_path)
    ward = write_run(tmp_path, "ward", data=HOSPITAL)
    earlier = Report(tmp_path)
    assert earlier.pictures == ["curves_1.png", "curves_2.png"]
    (earlier.out / "figures" / "curves_mine.png").touch()
    (earlier.out / "tables" / "notes.csv").touch()
    if not manifest:  # reports did not always leave one
        (earlier.out / "manifest.json").unlink()
    shutil.rmtree(ward.path.parent)
    report = Report(tmp_path)
    assert report.pictures == ["curves.png", "curves_mine.png"]
    names = {path.name for path in (report.out / "tables").iterdir()}
    assert {"notes.csv", "runs.csv", "comparison.csv"} < names
    assert [name for name in names if re.search(r"_\d\.", name)] == []


@pytest.mark.parametrize(
    "names", ['["../linear.txt", "figures/../../linear.txt", "figures/..", "tables/a\\u0000", 3]', '"figures"', "null"]
)
def test_a_manifest_that_is_not_as_it_should_be_removes_nothing_else(tmp_path: Path, names: str) -> None:
    write_run(tmp_path)
    out = Report(tmp_path).out
    (tmp_path / "linear.txt").touch()
    (out / "manifest.json").write_text(f'{{"files": {names}}}')
    Report(tmp_path)
    assert (tmp_path / "linear.txt").is_file()


def test_what_the_page_of_somebody_else_links_stays(tmp_path: Path) -> None:
    write_run(tmp_path)
    figures = tmp_path / "report" / "figures"
    figures.mkdir(parents=True)
    (figures / "curves_2.png").touch()
    (tmp_path / "report" / "index.html").write_text('<title>My results</title><a href="figures/curves_2.png">2</a>')
    assert Report(tmp_path).pictures == ["curves.png", "curves_2.png"]


def test_the_manifest_names_all_that_a_report_wrote(tmp_path: Path) -> None:
    write_run(tmp_path)
    out = Report(tmp_path).out
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert set(json.loads((out / "manifest.json").read_text())["files"]) == files - {"manifest.json", ".lock"}


def test_what_killed_reports_left_is_removed_and_what_others_left_is_not(tmp_path: Path) -> None:
    write_run(tmp_path)
    out = Report(tmp_path).out
    ours = ["figures/.curves.0123abcd.tmp.svg", "tables/.runs.0123abcd.tmp.csv", ".index.0123abcd.tmp.html"]
    ours.append(".manifest.0123abcd.tmp.json")
    others = ["figures/.notes.0123abcd.tmp.svg", "tables/.runs.tmp.csv", ".tmp", "tables/.index.0123abcd.tmp.html"]
    for name in (*ours, *others):
        (out / name).touch()
    Report(tmp_path)
    assert [name for name in ours if (out / name).exists()] == []
    assert [name for name in others if (out / name).exists()] == others


def test_a_report_waits_for_another_into_the_same_folder_and_says_so_once(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path)
    report = Report(tmp_path)
    before = (report.out / "index.html").stat().st_mtime_ns
    said: list[str] = []

    class Waiting(LineReporter):
        def line(self, text: str) -> None:
            if "waiting" not in text:
                return
            said.append(text)
            assert (report.out / "index.html").stat().st_mtime_ns == before
            Timer(0.2, lock.release).start()

    lock = FileLock(report.out / ".lock", thread_local=False)
    other = Thread(target=lock.acquire)
    other.start()
    other.join()
    write_report(tmp_path, report.out, Waiting())
    assert said == [f"waiting for another process, which writes the same report ({report.out / '.lock'})"]
    assert (report.out / "index.html").stat().st_mtime_ns > before


def test_every_file_of_a_run_is_opened_once_and_none_while_rendering(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=range(2), rows=["0", "14", "20", "21"], names="patient{}.png")
    write_study(tmp_path, seeds=[0], rows=["5"], lr=1e-2)
    script = tmp_path / "report.py"
    script.write_text(OPENED)
    answer = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=True)
    opened = json.loads(answer.stdout.splitlines()[-1])
    assert opened["render"] == []
    counts = collections.Counter(opened["collect"] + opened["compare"])
    assert set(counts.values()) == {1}
    assert opened["compare"] == []
    assert {Path(name).name for name in counts} == {
        *("config.yaml", "data.json", "history.csv", "metrics.json", "predictions.csv", "status.json")
    }


@pytest.mark.parametrize("value", [None, "lacking"])
def test_a_metric_that_an_older_run_lacks_is_an_empty_cell(tmp_path: Path, value: str | None) -> None:
    optional = [one.key for one in METRICS if not one.required]
    for seed in range(2):
        metrics = run_metrics()
        for split in ("val", "test"):
            for key in optional:
                metrics[split] |= {key: None}
                if value:
                    del metrics[split][key]
        write_run(tmp_path, "old", seed=seed, metrics=metrics)
        write_run(tmp_path, "new", seed=seed)
    report = Report(tmp_path)
    assert "## Runs left out" not in report.page
    old = report.runs[report.runs["name"] == "old"]
    assert len(old) == 2
    assert old[optional].isna().all(axis=None)
    assert report.runs[report.runs["name"] == "new"][optional].notna().all(axis=None)
    means = report.summary.set_index("configuration").loc["old-0123456789"]
    assert (means["accuracy_mean"], means["auroc_mean"], means["f1_sd"]) == ("0.91", "", "")


def test_rows_of_the_study_whose_runs_lack_metrics_are_compared_by_the_others(tmp_path: Path) -> None:
    write_study(tmp_path, rows=["20", "21", "23"], names="patient{}.png")
    for path in tmp_path.glob("runs/table1_20-*/seed=*/metrics.json"):
        content = json.loads(path.read_text())
        for key in ("accuracy_batch_mean", "f1", "ece", "auprc"):
            del content["test"][key]
        path.write_text(json.dumps(content))
    report = Report(tmp_path)
    assert "nan" not in report.page
    assert "all collapsed" not in report.page
    assert "all collapsed" not in report.html
    table = pd.read_csv(report.out / "tables" / "fig20.csv", dtype={"row": str}).set_index(["row", "metric"])
    assert pd.isna(table.loc[("20", "f1"), "mean"])
    assert table.loc[("20", "accuracy"), "mean"] > 0.8
    assert table.loc[("21", "f1"), "num_seeds"] == 3


def test_synthetic_data_under_another_title_are_called_synthetic(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path, data=PHANTOM | {"title": "My phantoms"})
    assert "## My phantoms (synthetic phantom data)\n" in Report(tmp_path).page
    assert "My phantoms (synthetic phantom data)" in capsys.readouterr().out


def test_the_page_is_not_for_clinical_use_and_missing_citations_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, data=HOSPITAL | {"citation": "", "licence": ""})
    report = Report(tmp_path)
    assert "Not for clinical use." in report.page
    assert "Not for clinical use" in report.html
    assert "Citation: not given" in report.page
    assert "Licence: not given" in report.page


def test_collapsed_runs_are_flagged_in_table_and_text(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed, metrics=run_metrics(collapsed=seed > 0))
    report = Report(tmp_path)
    said = "- 2 of 3 runs collapsed (one output for all images, which says nothing about the model): of linear."
    assert said in report.page
    assert re.search(r"^\| linear-0123456789 .* \| 2 \| 2\.0 \|$", report.page, re.MULTILINE)
    assert report.runs["collapsed"].tolist() == [False, True, True]


def test_failed_and_unfinished_runs_are_listed_with_their_reason(tmp_path: Path) -> None:
    write_run(tmp_path, "good")
    write_run(tmp_path, "bad", status={"state": "failed", "error": "out of memory", "traceback": "..."})
    write_run(tmp_path, "slow", status={"state": "running", "started": "2001-02-03T04:05:06+00:00"})
    write_run(tmp_path, "cut", status={"state": "interrupted", "error": "interrupted", "traceback": "..."})
    # As interrupted runs were written until they had a state of their own.
    write_run(tmp_path, "old", status={"state": "failed", "error": "interrupted", "traceback": "..."})
    report = Report(tmp_path)
    assert report.runs["name"].tolist() == ["good"]
    for name in ("cut", "old"):
        assert f"| runs/{name}-0123456789/seed=0 | interrupted | interrupted |" in report.left_out
    assert "| runs/bad-0123456789/seed=0 | failed | out of memory |" in report.left_out
    assert "| runs/slow-0123456789/seed=0 | running | not finished (started 2001-02-03" in report.left_out
    assert "1 finished run of 1 configuration on 1 data set; left out: 1 failed, 2 interr" in report.page


def test_a_report_of_failures_only_is_written_and_says_so(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path, status={"state": "failed", "error": "out of memory"})
    report = Report(tmp_path)
    assert "No run is finished; left out: 1 failed" in report.page
    assert "No run is finished" in report.html
    assert (len(report.runs), len(report.summary), report.pictures) == (0, 0, [])
    assert "accuracy_mean" in report.summary.columns
    out = capsys.readouterr().out
    assert "No run is finished" in out
    assert "out of memory" in out


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("status.json", "\x00garbage", "says nothing of its state"),
        ("metrics.json", "[1, 2]", "metrics.json is missing or unreadable"),
        ("metrics.json", '{"test": 3}', "metrics.json: engine is missing or not a text"),
        ("data.json", "{}", "data.json: title is missing or not a text"),
        ("data.json", '{"title": "x", "fingerprint": 7}', "data.json: fingerprint is missing or not a text"),
        ("config.yaml", "a: [", "config.yaml: data.image_size is missing or not a whole number"),
        ("config.yaml", "data: {image_size: 8}", "config.yaml: model.name is missing or not a text"),
    ],
)
def test_runs_with_damaged_files_are_left_out_with_the_reason(
    tmp_path: Path, file: str, content: str, reason: str
) -> None:
    write_run(tmp_path, "good")
    (write_run(tmp_path, "odd").path / file).write_text(content)
    report = Report(tmp_path)
    assert report.runs["name"].tolist() == ["good"]
    assert reason in report.left_out


@pytest.mark.parametrize("value", ['"0.9"', "true", "NaN", "Infinity", "1" + 400 * "0", "[0.9]"])
def test_a_figure_that_is_no_finite_number_leaves_the_run_out(tmp_path: Path, value: str) -> None:
    files = write_run(tmp_path)
    text = files.metrics.read_text()
    changed = text.replace('"auroc": 0.9', f'"auroc": {value}')
    assert changed != text
    files.metrics.write_text(changed)
    assert "metrics.json: test.auroc is missing or not a finite number" in Report(tmp_path).left_out


def test_a_count_beyond_64_bits_leaves_the_run_out(tmp_path: Path) -> None:
    write_run(tmp_path, metrics=run_metrics() | {"test": run_metrics()["test"] | {"tp": 10**30}})
    assert "metrics.json: test.tp is missing or not a whole number" in Report(tmp_path).left_out


def test_folders_that_are_no_run_directories_are_listed(tmp_path: Path) -> None:
    write_run(tmp_path, "good")
    good = write_run(tmp_path, "misnamed").path
    good.rename(good.with_name("seed=first"))
    nameless = tmp_path / "elsewhere" / "seed=0"
    nameless.mkdir(parents=True)
    (nameless / "status.json").mkdir()
    report = Report(tmp_path)
    assert report.runs["name"].tolist() == ["good"]
    assert "runs/misnamed-0123456789/seed=first | done | the folder is not named" in report.left_out
    assert "elsewhere/seed=0" in report.left_out


def test_a_run_that_lies_there_twice_is_counted_once(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    report = Report(tmp_path)
    assert report.summary["num_seeds"].tolist() == ["1"]
    left_out = "| b/runs/linear-0123456789/seed=0 | done | the same configuration and seed as a/runs/linear-0123456789"
    assert left_out in report.left_out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("", "No columns to parse"),
        ("\x00\x01", "no column epoch of numbers"),
        ("epoch,train_loss\n1,2\n", "no column train\\_accuracy of numbers"),
        ("epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,0.5,many,0.5,0.5\n", "no column train\\_accuracy"),
        ("epoch,train_loss,train_accuracy,val_loss,val_accuracy\n", "of numbers"),
        ("epoch,train_loss,train_accuracy,val_loss,val_accuracy\n-4,1,1,1,1\n", "no epochs counted from 1"),
    ],
)
def test_a_run_without_a_usable_history_keeps_its_figures(tmp_path: Path, content: str | None, reason: str) -> None:
    files = write_run(tmp_path)
    files.history.unlink()
    if content is not None:
        files.history.write_text(content)
    report = Report(tmp_path)
    assert len(report.runs) == 1
    assert report.pictures == []
    line = next(line for line in report.page.splitlines() if "history.csv" in line)
    assert line.startswith("- runs/linear-0123456789/seed=0: history.csv: ")
    assert reason.replace("\\_", "_") in line


def test_hostile_names_are_shown_as_they_are_and_break_no_table(tmp_path: Path, capsys: Any) -> None:
    name = "a|b,<script>alert(1)<b>$x$[b]*`_"
    write_run(tmp_path, name, data=HOSPITAL | {"title": f"T {name}\n# no heading \x1b[31m", "citation": "[x](y)\n\nz"})
    write_run(tmp_path, "plain", status={"state": "failed", "error": "a | b\n| c |"})
    report = Report(tmp_path)
    assert "<script>" not in report.page
    assert "\x1b" not in report.page
    assert "\n# no heading" not in report.page
    assert r"a\|b,&lt;script&gt;alert(1)&lt;b&gt;\$x\$\[b\]\*\`\_-0123456789" in report.page
    assert r"Citation: \[x\](y) z" in report.page
    for block in report.page.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1
    assert "<b>" not in report.html
    assert "<script>alert" not in report.html
    assert "a|b,&lt;script&gt;alert(1)&lt;b&gt;$x$[b]*`_" in report.html
    assert report.runs["name"].tolist() == [name]
    out = capsys.readouterr().out
    assert f"{name}-0123456789" in out
    assert "\x1b" not in out


def test_names_with_underscores_stay_readable_in_the_source(tmp_path: Path) -> None:
    write_run(tmp_path, "linear_relu")
    assert "| linear_relu-0123456789 |" in Report(tmp_path).page


def test_nothing_is_cut_off_where_there_is_no_terminal(tmp_path: Path, capsys: Any) -> None:
    name = "n" * 100
    write_run(tmp_path, name, status={"state": "failed", "error": "e" * 300})
    write_run(tmp_path, name, "aaaaaaaaaa")
    Report(tmp_path)
    out = capsys.readouterr().out
    assert "e" * 300 in out
    assert "…" not in out
    assert out.count("n") >= 2 * 100
    assert "0.910" in out
    assert f"{tmp_path / 'report' / 'index.html'}\n" in out
    assert max(len(line) for line in out.splitlines() if " 0.910 " in line and "mean" not in line) <= 100


def test_many_failures_do_not_fill_the_terminal(tmp_path: Path, capsys: Any) -> None:
    for seed in range(8):
        write_run(tmp_path, seed=seed, status={"state": "failed", "error": "out of memory"})
    report = Report(tmp_path)
    out = capsys.readouterr().out
    assert out.count("out of memory") == 5
    assert "and 3 more" in out
    assert report.left_out.count("out of memory") == 8


@pytest.mark.usefixtures("real_pictures")
def test_the_same_runs_give_the_same_report_wherever_they_lie(tmp_path: Path) -> None:
    contents = []
    for folder in ("here", "there"):
        root = tmp_path / folder
        if contents:  # when claims were stated belongs to the tree
            shutil.copytree(tmp_path / "here" / "studies", root / "studies")
        for seed in range(2):
            write_run(root, seed=seed, data=HOSPITAL)
        write_run(root, "other", status={"state": "failed", "error": "out of memory"})
        write_study(root, rows=["20"], seeds=range(2), data=STUDIED | {"fingerprint": "2" * 16}, names="patient{}.png")
        out = Report(root).out
        contents.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]
    assert contents[0][Path("figures/curves_1.png")].startswith(b"\x89PNG")
    written = {path.as_posix() for path in contents[0]}
    assert {"report.md", "index.html", "errata.html", "errata.md", "claims.md", "tables/runs.csv"} < written
    assert {"tables/comparison_1.csv", "tables/fig20_2.tex", "figures/forest_2.svg", "figures/errata.svg"} < written


def test_a_part_of_the_tree_can_be_named_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_run(tmp_path).path.parent)
    write_report(Path(), Path("report"))
    assert "| linear-0123456789 |" in Path("report/report.md").read_text("utf-8")


def test_a_missing_root_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ROOT=.*nowhere: no such folder"):
        write_report(tmp_path / "nowhere", tmp_path / "report")


def test_a_root_without_runs_names_the_command_that_makes_them(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text("{}")
    with pytest.raises(UserError, match=r"^ROOT=.* holds no runs yet; cxr-run makes them"):
        write_report(tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_an_output_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match=r"^--out=.*taken: cannot write there \("):
        write_report(tmp_path, tmp_path / "taken")


def test_the_report_never_imports_torch_and_matplotlib_only_to_draw() -> None:
    code = (
        "import sys, cxr_runner.report.write\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import cxr_runner.plots.curves, cxr_runner.experiment.summary\n"
        "heavy = {'torch', 'torchmetrics', 'datasets', 'hydra', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
